"""The sections of the configuration file: every key with its unit, bounds and default."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from detectors import registry
from streams.durations import parse_duration
from streams.errors import ConfigError
from streams.formats import get_format
from streams.kpis import PAID_CHANNELS
from streams.monitor import SEGMENT_KPIS

__all__ = [
    "CustomKpi",
    "Detection",
    "Funnel",
    "Kafka",
    "Live",
    "Metrics",
    "NamedDetector",
    "Note",
    "Privacy",
    "Section",
    "Segments",
    "Shop",
    "Source",
    "Time",
    "Topics",
    "host_ports",
    "secret",
]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_HOST_PORT = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?")


def _duration(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    raise ValueError('write a duration with its unit, such as "30s"')


def host_ports(told: str) -> str:
    """The addresses of a broker as they are; ``ValueError`` where one cannot be one."""
    for one in told.split(","):
        found = _HOST_PORT.fullmatch(one.strip())
        if not found or not 1 <= int(found["port"] or 9092) <= 65_535:
            raise ValueError(f"{one.strip()!r} is no host:port; write it as shop-kafka:9092, several with commas")
    return told


def _format(name: str) -> str:
    try:
        return get_format(name).name
    except ConfigError as error:
        raise ValueError(f"{error.problem}; {error.way_out}") from None


Duration = Annotated[int, BeforeValidator(_duration), Field(ge=0, json_schema_extra={"duration": True})]
Port = Annotated[int, Field(ge=0, le=65_535)]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
Dimension = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Section(BaseModel):
    """A table of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)


class Kafka(Section):
    """Where the broker is and how to talk to it. FUNNELWATCH_KAFKA_<KEY> in the environment wins over the file."""

    bootstrap: Annotated[str, AfterValidator(host_ports)] = Field(
        "127.0.0.1:9092", description="host:port, several separated by commas"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to connect"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field("PLAIN", description="for SASL_*")
    sasl_username: str = Field("", description="for SASL_*")
    sasl_password_file: str = Field("", description="a file with the password, or FUNNELWATCH_KAFKA_SASL_PASSWORD")
    ssl_cafile: str = Field("", description="PEM file of the CA; empty: the system's")
    ssl_certfile: str = Field("", description="PEM file of the client's certificate, if the broker wants one")
    ssl_keyfile: str = Field("", description="PEM file of its key; empty: it is in ssl_certfile")
    ssl_key_password_file: str = Field(
        "", description="for a key that is encrypted, or FUNNELWATCH_KAFKA_SSL_KEY_PASSWORD"
    )
    ssl_check_hostname: bool = Field(True, description="whether the certificate must name the host")

    def security(self) -> dict[str, Any]:
        """Arguments of aiokafka clients; empty for plain text.

        Raises
        ------
        ConfigError
            Where user, password or a file is missing or cannot be used, or is there and would not be used.
        """
        self._refuse_unused()
        told: dict[str, Any] = {}
        if self.security_protocol != "PLAINTEXT":
            told["security_protocol"] = self.security_protocol
        if self.security_protocol.startswith("SASL"):
            told["sasl_mechanism"] = self.sasl_mechanism
            told["sasl_plain_username"] = self.sasl_username
            told["sasl_plain_password"] = secret(
                "FUNNELWATCH_KAFKA_SASL_PASSWORD", self.sasl_password_file, "kafka.sasl_password_file"
            )
            if not (self.sasl_username and told["sasl_plain_password"]):
                raise ConfigError(
                    "needs a user and a password",
                    key="kafka.security_protocol",
                    value=self.security_protocol,
                    way_out="set kafka.sasl_username and kafka.sasl_password_file or FUNNELWATCH_KAFKA_SASL_PASSWORD",
                )
        if self.security_protocol.endswith("SSL"):
            told["ssl_context"] = self._ssl_context()
        return told

    def _refuse_unused(self) -> None:
        """Who names a user or a CA believes to be protected: a protocol that passes over it is a mistake."""
        unused = ["sasl_username", "sasl_password_file"] if not self.security_protocol.startswith("SASL") else []
        if not self.security_protocol.endswith("SSL"):
            unused += ["ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_key_password_file"]
        for key in unused:
            if value := getattr(self, key):
                raise ConfigError(
                    f"is not used by kafka.security_protocol = {self.security_protocol}",
                    key=f"kafka.{key}",
                    value=value,
                    way_out=f"remove it, or choose a protocol with {key.split('_', maxsplit=1)[0].upper()}",
                )

    def _ssl_context(self) -> ssl.SSLContext:
        if self.ssl_keyfile and not self.ssl_certfile:
            raise ConfigError(
                "is the key of no certificate",
                key="kafka.ssl_keyfile",
                value=self.ssl_keyfile,
                way_out="set kafka.ssl_certfile as well",
            )
        with _pem("kafka.ssl_cafile", self.ssl_cafile):
            context = ssl.create_default_context(cafile=self.ssl_cafile or None)
        context.check_hostname = self.ssl_check_hostname
        if self.ssl_certfile:
            with _pem("kafka.ssl_keyfile", self.ssl_keyfile), _pem("kafka.ssl_certfile", self.ssl_certfile):
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile or None, self._key_password)
        return context

    def _key_password(self) -> str:
        # Without this the library would ask for it on the terminal, and a service would wait for ever.
        key = "kafka.ssl_key_password_file"
        told = secret("FUNNELWATCH_KAFKA_SSL_KEY_PASSWORD", self.ssl_key_password_file, key)
        if not told:
            raise ConfigError(
                "is encrypted",
                key="kafka.ssl_keyfile",
                value=self.ssl_keyfile or self.ssl_certfile,
                way_out=f"set {key} or FUNNELWATCH_KAFKA_SSL_KEY_PASSWORD",
            )
        return told


class Source(Section):
    """One source topic. All of them are keyed by session and have the same number of partitions."""

    topic: Name = Field(description="name of the topic")
    format: Annotated[str, AfterValidator(_format)] = Field("native", description='"native", "ga4" or "segment"')


class Topics(Section):
    """The topics that funnelwatch writes."""

    kpi: Name = Field("funnelwatch.kpi", description="KPI rows; compacted, one partition")
    anomalies: Name = Field("funnelwatch.anomalies", description="verdicts and incidents; compacted, one partition")
    dead_letter: Name = Field("funnelwatch.dead-letter", description="records that could not be used, with the reason")
    snapshots: Name = Field("funnelwatch.snapshots", description="state; compacted, as many partitions as the sources")
    calendar: Name = Field(
        "funnelwatch.calendar", description="what operators announce or say; compacted, one partition"
    )
    partitions: int = Field(4, ge=1, le=1_000, description="of source topics that funnelwatch creates")
    replication_factor: int = Field(1, ge=1, le=15, description="of topics that funnelwatch creates")


class Shop(Section):
    """Who is watched."""

    name: Name = Field("shop", description="also the consumer group")
    timezone: str = Field("UTC", description="IANA name; the day and week shape follow it")
    currency: str = Field("CNY", pattern="^[A-Z]{3}$", description="ISO 4217; the one that losses are told in")
    review_horizon: Duration = Field(7 * DAY, description="how far back an incident must be replayable")


class Time(Section):
    """Event time: windows, disorder, lateness."""

    window: Duration = Field(60 * SECOND, description="length of a window")
    grace: Duration = Field(25 * SECOND, description="how long a window stays open behind its end")
    max_out_of_orderness: Duration = Field(5 * SECOND, description="the watermark is this far behind stream time")
    max_lateness: Duration = Field(HOUR, description="older records are rejected")
    max_future: Duration = Field(5 * MINUTE, description="records further ahead of their append time are rejected")
    idle_after: Duration = Field(30 * SECOND, description="quiet this long, stream time follows the clock")
    merge_wait: Duration = Field(10 * SECOND, description="how long a window waits for the rows of all partitions")


class Funnel(Section):
    """Sessions, carts and orders."""

    session_gap: Duration = Field(30 * MINUTE, description="longest silence inside a session")
    abandonment_timeout: Duration = Field(30 * MINUTE, description="silence after which a cart is idle")
    conversion_window: Duration = Field(24 * HOUR, description="longest time from opening a cart to paying it")
    order_memory: Duration = Field(24 * HOUR, description="how long order and payment ids are remembered")
    cohort_horizons: list[Duration] = Field([15 * MINUTE], description="conversion of sessions within these times")
    derive_event_id: Literal["content", "none"] = Field("content", description="for records without an id")
    page_view_events: list[str] = Field(["page_view"], description="event types that count as a page view")
    max_record_bytes: int = Field(1_048_576, ge=1_024, description="larger records are rejected, in bytes")


class Segments(Section):
    """By which values the counters are kept apart."""

    session: list[Dimension] = Field(["channel", "device", "region", "customer_type"], description="of the session")
    payment: list[Dimension] = Field(["payment_method", "payment_provider"], description="of the payment or order")
    product: list[Dimension] = Field(["category"], description="of the product views, cart adds and items")
    pairs: list[list[Dimension]] = Field([], description='pairs as well, such as [["device", "channel"]]')
    max_values: int = Field(50, ge=1, le=1_000, description="per dimension; the rest is `other`")
    cube_leaves: int = Field(
        200, ge=0, le=10_000, description="combinations of values that a window keeps to say where a loss sits; 0: none"
    )


class Privacy(Section):
    """What of a person may be kept."""

    salt_file: str = Field("", description="file with the salt for user and visitor ids, or FUNNELWATCH_SALT")
    dead_letter_payload: Literal["full", "none"] = Field("full", description="original bytes in dead letters")
    dead_letter_max_bytes: int = Field(65_536, ge=0, le=900_000, description="of the original kept, in bytes")


class CustomKpi(Section):
    """A KPI of your own: a formula over counters."""

    name: Dimension = Field(description="unique")
    numerator: list[str] = Field(description="counters that add up")
    denominator: list[str] = Field([], description="counters that add up; none: a volume")
    unit: str = Field("", description="what a value counts, such as `orders`")
    hurts: Literal["down", "up", "none"] = Field("down", description="the direction that is bad")
    delay: Duration = Field(0, description="how long the counters lag behind their cause")
    min_window: Duration = Field(MINUTE, description="shortest window it means something in")
    help: str = Field("", description="one sentence for the board")


class NamedDetector(Section):
    """A KPI of the whole that another detector judges in place of the scan."""

    kpi: str = Field(description="as in docs/kpis.md")
    name: str = Field(description="of the registry")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in registry.names():
            raise ValueError(f"no detector is called {name!r}; there are {', '.join(registry.names())}")
        return name


class Detection(Section):
    """How readily the judge speaks; one setting serves shops of every size."""

    false_pages_per_week: float = Field(1.0, gt=0, le=1_000, description="budget for all series together")
    warm_up: Duration = Field(2 * HOUR, description="time before the first verdict of a series")
    segment_kpis: list[str] = Field(list(SEGMENT_KPIS), description="ratios and counts judged by segment as well")
    segment_dimensions: list[Dimension] = Field([], description="by these; empty: all of session and payment")
    max_segment_series: int = Field(200, ge=0, le=10_000, description="cap on judged segments")
    paid_channels: list[str] = Field(list(PAID_CHANNELS), description="channels that are paid for")
    detectors: list[NamedDetector] = Field(
        [], description='in place of the scan, such as [{kpi = "orders", name = "river.gaussian"}]'
    )


class Note(Section):
    """A campaign or holiday that is announced, so that it does not page."""

    name: str = Field(description="shown where it matters")
    kind: Literal["campaign", "holiday"] = Field("campaign", description='"campaign" or "holiday"')
    start: datetime = Field(description="TOML date-time; without an offset it is the shop's clock")
    end: datetime = Field(description="exclusive")
    segment: dict[Dimension, str] = Field(
        {}, description='only there, such as {channel = "sem"}; empty: the whole shop'
    )


class Metrics(Section):
    """The page that Prometheus reads."""

    host: str = Field("127.0.0.1", description="address to bind; loopback unless told otherwise")
    port: Port = Field(9464, description="0: any free one")
    max_series: int = Field(20_000, ge=100, description="cap on exported series; the rest is counted as dropped")


class Live(Section):
    """The running worker."""

    session_timeout: Duration = Field(10 * SECOND, description="a silent worker loses its partitions after this time")
    checkpoint_interval: Duration = Field(5 * SECOND, description="between snapshots")
    max_poll_records: int = Field(1_000, ge=1, description="records of one fetch")
    stuck_after: Duration = Field(
        60 * SECOND, description="the watchdog ends the process after this time without progress"
    )
    stop_within: Duration = Field(15 * SECOND, description="a worker that has not stopped after this time is ended")
    snapshot_bytes_per_second: int = Field(
        4 << 20, ge=1_024, description="what snapshots of a worker may write on average; large ones are rarer"
    )
    judge_history: Duration = Field(15 * DAY, description="how far back a new judge reads the KPI rows")
    republish: Duration = Field(15 * MINUTE, description="of which a new judge tells its verdicts again")


def secret(variable: str, path: str, key: str) -> str:
    """The variable of the environment, else the content of the file, else nothing; never the value in an error."""
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
    except UnicodeDecodeError:
        # Not even as a cause: the error holds the bytes of the file.
        raise ConfigError("is no UTF-8 text", key=key, value=path, way_out=f"or set {variable}") from None


@contextlib.contextmanager
def _pem(key: str, path: str) -> Iterator[None]:
    """Name the file that is at fault."""
    way_out = "name a readable PEM file"
    try:
        if path:
            Path(path).open("rb").close()
        yield
    except ssl.SSLError as error:
        problem = "does not belong to its key" if error.reason == "KEY_VALUES_MISMATCH" else f"cannot be used: {error}"
        raise ConfigError(problem, key=key, value=path or None, way_out=way_out) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", key=key, value=path or None, way_out=way_out) from error
