"""The configuration file: parsed once at the door by pydantic, then translated to frozen specs.

``config/shop.example.toml`` is written from these models by ``python -m streams.config_example``.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from streams.durations import parse_duration
from streams.engine.spec import EngineSpec, SourceSpec
from streams.errors import ConfigError

__all__ = ["Config", "load_config"]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def _duration(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    raise ValueError('write a duration with its unit, such as "30s"')


Duration = Annotated[int, BeforeValidator(_duration), Field(ge=0, json_schema_extra={"duration": True})]
Port = Annotated[int, Field(ge=0, le=65_535)]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
Dimension = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)


class Kafka(_Section):
    """Where the broker is and how to talk to it. FUNNELWATCH_KAFKA_<KEY> in the environment wins over the file."""

    bootstrap: str = Field("127.0.0.1:9092", description="host:port, several separated by commas")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to connect"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field("PLAIN", description="for SASL_*")
    sasl_username: str = Field("", description="for SASL_*")
    sasl_password_file: str = Field("", description="a file with the password, or FUNNELWATCH_KAFKA_SASL_PASSWORD")
    ssl_cafile: str = Field("", description="PEM file of the CA; empty: the system's")
    ssl_certfile: str = Field("", description="PEM file of the client's certificate, if the broker wants one")
    ssl_keyfile: str = Field("", description="PEM file of its key")


class Source(_Section):
    """One source topic. All of them are keyed by session and have the same number of partitions."""

    topic: Name = Field(description="name of the topic")
    format: str = Field("native", description='"native", "ga4" or "segment"')


class Topics(_Section):
    """The topics that funnelwatch writes."""

    kpi: Name = Field("funnelwatch.kpi", description="KPI rows; compacted, one partition")
    anomalies: Name = Field("funnelwatch.anomalies", description="verdicts and incidents; compacted, one partition")
    dead_letter: Name = Field("funnelwatch.dead-letter", description="records that could not be used, with the reason")
    snapshots: Name = Field("funnelwatch.snapshots", description="state; compacted, as many partitions as the sources")
    partitions: int = Field(4, ge=1, le=1_000, description="of source topics that funnelwatch creates")
    replication_factor: int = Field(1, ge=1, le=15, description="of topics that funnelwatch creates")


class Shop(_Section):
    """Who is watched."""

    name: Name = Field("shop", description="also the consumer group")
    timezone: str = Field("UTC", description="IANA name; the day and week shape follow it")
    currency: str = Field("CNY", pattern="^[A-Z]{3}$", description="ISO 4217; the one that losses are told in")
    review_horizon: Duration = Field(7 * DAY, description="how far back an incident must be replayable")


class Time(_Section):
    """Event time: windows, disorder, lateness."""

    window: Duration = Field(60 * SECOND, description="length of a window")
    grace: Duration = Field(25 * SECOND, description="how long a window stays open behind its end")
    max_out_of_orderness: Duration = Field(5 * SECOND, description="the watermark is this far behind stream time")
    max_lateness: Duration = Field(HOUR, description="older records are rejected")
    max_future: Duration = Field(5 * MINUTE, description="records further ahead of their append time are rejected")
    idle_after: Duration = Field(30 * SECOND, description="quiet this long, stream time follows the clock")
    merge_wait: Duration = Field(10 * SECOND, description="how long a window waits for the rows of all partitions")


class Funnel(_Section):
    """Sessions, carts and orders."""

    session_gap: Duration = Field(30 * MINUTE, description="longest silence inside a session")
    abandonment_timeout: Duration = Field(30 * MINUTE, description="silence after which a cart is idle")
    conversion_window: Duration = Field(24 * HOUR, description="longest time from opening a cart to paying it")
    order_memory: Duration = Field(24 * HOUR, description="how long order and payment ids are remembered")
    cohort_horizons: list[Duration] = Field([15 * MINUTE], description="conversion of sessions within these times")
    derive_event_id: Literal["content", "none"] = Field("content", description="for records without an id")
    page_view_events: list[str] = Field(["page_view"], description="event types that count as a page view")
    max_record_bytes: int = Field(1_048_576, ge=1_024, description="larger records are rejected, in bytes")


class Segments(_Section):
    """By which values the counters are kept apart."""

    session: list[Dimension] = Field(["channel", "device", "region", "customer_type"], description="of the session")
    payment: list[Dimension] = Field(["payment_method", "payment_provider"], description="of the payment or order")
    product: list[Dimension] = Field(["category"], description="of the product views, cart adds and items")
    pairs: list[list[Dimension]] = Field([], description='pairs as well, such as [["device", "channel"]]')
    max_values: int = Field(50, ge=1, le=1_000, description="per dimension; the rest is `other`")


class Privacy(_Section):
    """What of a person may be kept."""

    salt_file: str = Field("", description="file with the salt for user and visitor ids, or FUNNELWATCH_SALT")
    dead_letter_payload: Literal["full", "none"] = Field("full", description="original bytes in dead letters")
    dead_letter_max_bytes: int = Field(65_536, ge=0, le=900_000, description="of the original kept, in bytes")


class CustomKpi(_Section):
    """A KPI of your own: a formula over counters."""

    name: Dimension = Field(description="unique")
    numerator: list[str] = Field(description="counters that add up")
    denominator: list[str] = Field([], description="counters that add up; none: a volume")
    unit: str = Field("", description="what a value counts, such as `orders`")
    hurts: Literal["down", "up", "none"] = Field("down", description="the direction that is bad")
    delay: Duration = Field(0, description="how long the counters lag behind their cause")
    help: str = Field("", description="one sentence for the board")


class Metrics(_Section):
    """The page that Prometheus reads."""

    host: str = Field("127.0.0.1", description="address to bind; loopback unless told otherwise")
    port: Port = Field(9464, description="0: any free one")
    max_series: int = Field(20_000, ge=100, description="cap on exported series; the rest is counted as dropped")


class Live(_Section):
    """The running worker."""

    session_timeout: Duration = Field(10 * SECOND, description="a silent worker loses its partitions after this time")
    checkpoint_interval: Duration = Field(5 * SECOND, description="between snapshots")
    max_poll_records: int = Field(1_000, ge=1, description="records of one fetch")
    stuck_after: Duration = Field(
        60 * SECOND, description="the watchdog ends the process after this time without progress"
    )


class Config(_Section):
    """All of the file."""

    shop: Shop = Shop()
    kafka: Kafka = Kafka()
    source: list[Source] = Field([Source(topic="clickstream"), Source(topic="orders")], min_length=1)
    topics: Topics = Topics()
    time: Time = Time()
    funnel: Funnel = Funnel()
    segments: Segments = Segments()
    privacy: Privacy = Privacy()
    kpi: list[CustomKpi] = []
    metrics: Metrics = Metrics()
    live: Live = Live()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        topics = [source.topic for source in self.source]
        if len(set(topics)) != len(topics):
            raise ValueError(f"source: {topics} names a topic twice; each [[source]] needs a topic of its own")
        named = [*self.segments.session, *self.segments.payment, *self.segments.product]
        if len(set(named)) != len(named):
            raise ValueError(f"segments: {named} names a dimension twice")
        for pair in self.segments.pairs:
            if len(set(pair)) != 2 or not set(pair) <= {*self.segments.session, *self.segments.payment}:
                raise ValueError(f"segments.pairs: {pair} is not two different session or payment dimensions")
        if self.time.window <= 0 or DAY % self.time.window:
            raise ValueError(f"time.window: a day is no multiple of {self.time.window} ms; use 10s, 30s, 60s, 5m, …")
        return self

    def engine_spec(self) -> EngineSpec:
        """The engine's frozen spec; the salt comes from its file or the environment."""
        return EngineSpec(
            sources=tuple(SourceSpec(source.topic, source.format) for source in self.source),
            window_ms=self.time.window,
            grace_ms=self.time.grace,
            max_out_of_orderness_ms=self.time.max_out_of_orderness,
            max_lateness_ms=self.time.max_lateness,
            max_future_ms=self.time.max_future,
            idle_after_ms=self.time.idle_after,
            session_gap_ms=self.funnel.session_gap,
            abandonment_timeout_ms=self.funnel.abandonment_timeout,
            conversion_window_ms=self.funnel.conversion_window,
            order_memory_ms=self.funnel.order_memory,
            cohort_horizons_ms=tuple(self.funnel.cohort_horizons),
            session_dimensions=tuple(self.segments.session),
            payment_dimensions=tuple(self.segments.payment),
            product_dimensions=tuple(self.segments.product),
            pairs=tuple((first, second) for first, second in map(sorted, self.segments.pairs)),
            max_values=self.segments.max_values,
            derive_event_id=self.funnel.derive_event_id,
            max_record_bytes=self.funnel.max_record_bytes,
            page_view_events=tuple(self.funnel.page_view_events),
            salt=_secret("FUNNELWATCH_SALT", self.privacy.salt_file, "privacy.salt_file"),
        )


def load_config(path: str | Path | None = None) -> Config:
    """Read and check a TOML file; without a path every key has its default.

    Raises
    ------
    ConfigError
        The file cannot be read, is no TOML, or a key is unknown or out of bounds; the message names the key.
    """
    told: dict[str, Any] = {}
    if path is not None:
        try:
            told = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"cannot be read: {error.strerror}", key="--config", value=str(path), way_out="name a readable file"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"is no TOML: {error}", key="--config", value=str(path)) from error
    kafka = told.setdefault("kafka", {})
    if isinstance(kafka, dict):
        for key in Kafka.model_fields:
            if from_env := os.environ.get(f"FUNNELWATCH_KAFKA_{key.upper()}"):
                kafka[key] = from_env
    try:
        return Config.model_validate(told)
    except ValidationError as error:
        raise _explained(error) from None


def _explained(error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        siblings = _keys_beside(first["loc"])
        close = difflib.get_close_matches(str(first["loc"][-1]), siblings, n=1, cutoff=0.5)
        hint = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(siblings)}"
        return ConfigError(f"unknown key{more}", key=key, value=first["input"], way_out=hint)
    message = first["msg"].removeprefix("Value error, ")
    if not key:
        return ConfigError(message + more)
    return ConfigError(message + more, key=key, value=first["input"], way_out="see config/shop.example.toml")


def _keys_beside(loc: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for part in loc[:-1]:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            model = next(
                one
                for one in (annotation, *getattr(annotation, "__args__", ()))
                if isinstance(one, type) and issubclass(one, BaseModel)
            )
    return list(model.model_fields)


def _secret(variable: str, path: str, key: str) -> str:
    if variable in os.environ:
        return os.environ[variable]
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", key=key, value=path, way_out=f"or set {variable}"
        ) from error
