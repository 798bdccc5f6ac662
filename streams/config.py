"""The configuration file: parsed once at the door by pydantic, then translated to frozen specs.

``config/shop.example.toml`` is written from these models by ``python -m streams.config_example``.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, Field, ValidationError, model_validator

from detectors.seasonal import Note as CalendarNote
from streams.config_sections import (
    DAY,
    CustomKpi,
    Detection,
    Funnel,
    Kafka,
    Live,
    Metrics,
    Note,
    Privacy,
    Section,
    Segments,
    Shop,
    Source,
    Time,
    Topics,
    secret,
)
from streams.durations import format_duration
from streams.engine.spec import EngineSpec, SourceSpec
from streams.errors import ConfigError
from streams.kpis import Kpi, catalogue, dimension_kinds
from streams.monitor import MonitorSpec

__all__ = ["Config", "load_config"]

EXAMPLE = "see config/shop.example.toml"


class Config(Section):
    """All of the file."""

    shop: Shop = Shop()
    kafka: Kafka = Kafka()
    source: list[Source] = Field([Source(topic="clickstream"), Source(topic="orders")], min_length=1)
    topics: Topics = Topics()
    time: Time = Time()
    funnel: Funnel = Funnel()
    segments: Segments = Segments()
    privacy: Privacy = Privacy()
    kpi: list[CustomKpi] = Field([])
    detection: Detection = Detection()
    note: list[Note] = Field([])
    metrics: Metrics = Metrics()
    live: Live = Live()

    @model_validator(mode="after")
    def _known_zone(self) -> Config:
        try:
            ZoneInfo(self.shop.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(
                f"shop.timezone = {self.shop.timezone!r} is no time zone; use an IANA name such as Asia/Shanghai"
            ) from error
        for note in self.note:
            if self._moment_ms(note.start) >= self._moment_ms(note.end):
                raise ValueError(f"note {note.name!r}: its end {note.end} is not after its start {note.start}")
        return self

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
        for dimension in self.detection.segment_dimensions:
            if dimension not in named:
                raise ValueError(
                    f"detection.segment_dimensions: {dimension!r} is not in [segments]; use some of {named}"
                )
        for note in self.note:
            for dimension in note.segment:
                if dimension not in {*self.segments.session, *self.segments.payment}:
                    raise ValueError(
                        f"note {note.name!r}: {dimension!r} is no session or payment dimension; use some of {named}"
                    )
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
            cube_leaves=self.segments.cube_leaves,
            derive_event_id=self.funnel.derive_event_id,
            max_record_bytes=self.funnel.max_record_bytes,
            page_view_events=tuple(self.funnel.page_view_events),
            salt=secret("FUNNELWATCH_SALT", self.privacy.salt_file, "privacy.salt_file"),
        )

    def catalogue(self) -> tuple[Kpi, ...]:
        """The KPIs of funnelwatch and those of the file; ``ConfigError`` where one names no counter."""
        durations = ("delay", "min_window")
        extra = [
            {**kpi.model_dump(exclude={*durations}), **{key: format_duration(getattr(kpi, key)) for key in durations}}
            for kpi in self.kpi
        ]
        return catalogue(extra, spec=self.engine_spec(), currencies=(self.shop.currency,))

    def monitor_spec(self, partitions: int | None = None) -> MonitorSpec:
        """What is judged and how readily; ``partitions`` of the sources as the broker says, else as configured."""
        spec, told, kpis = self.engine_spec(), self.detection, self.catalogue()
        ratios = [kpi.name for kpi in kpis if kpi.denominator or kpi.unit == "count"]
        for name in told.segment_kpis:
            if name not in ratios:
                raise ConfigError(
                    "no ratio or count of that name",
                    key="detection.segment_kpis",
                    value=name,
                    way_out=f"use some of {', '.join(ratios)}",
                )
        return MonitorSpec(
            kpis=kpis,
            segment_kpis=tuple(told.segment_kpis),
            segment_dimensions=tuple(told.segment_dimensions) or None,
            dimension_kinds=tuple(sorted(dimension_kinds(spec).items())),
            max_segment_series=told.max_segment_series,
            false_pages_per_week=told.false_pages_per_week,
            warm_up_ms=told.warm_up,
            partitions=partitions or self.topics.partitions,
            zone=self.shop.timezone,
            currency=self.shop.currency,
            window_ms=self.time.window,
            paid_channels=tuple(told.paid_channels),
            detectors=tuple((one.kpi, one.name) for one in told.detectors),
            notes=tuple(
                CalendarNote(
                    note.kind,
                    self._moment_ms(note.start),
                    self._moment_ms(note.end),
                    note.name,
                    tuple(sorted(note.segment.items())),
                )
                for note in self.note
            ),
        )

    def _moment_ms(self, moment: datetime) -> int:
        local = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.shop.timezone))
        return round(local.timestamp() * 1_000)


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
        # Who writes a password where its file belongs must not find it in a log.
        shown = None if "password" in key or "salt" in key else first["input"]
        return ConfigError(f"unknown key{more}", key=key, value=shown, way_out=hint)
    if first["type"] == "missing":
        return ConfigError(f"is missing{more}", key=key, way_out=EXAMPLE)
    if first["type"] in ("model_type", "list_type"):
        table = f"[[{key}]]" if first["type"] == "list_type" and key in Config.model_fields else f"[{key}]"
        shape = "a list" if first["type"] == "list_type" and "." in key else f"a table {table}"
        return ConfigError(f"has to be {shape}{more}", key=key, value=first["input"], way_out=EXAMPLE)
    message = first["msg"].removeprefix("Value error, ")
    if not key:
        return ConfigError(message + more)
    return ConfigError(message + more, key=key, value=first["input"], way_out=EXAMPLE)


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
