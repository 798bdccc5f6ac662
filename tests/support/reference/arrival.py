"""What is decided when a record arrives: its time, stream time and watermark, its class and its processing key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.engine.spec import EngineSpec
from tests.support.reference.decoding import NativeEvent, RejectionError, SourceRecord, read_native

__all__ = ["Arrival", "Arrivals", "Idle", "arrival_order", "receive"]


class Idle(NamedTuple):
    """All sources are quiet: stream time moves to ``stream_ms`` without a record."""

    stream_ms: int


@dataclass
class Arrival:
    """One accepted record: ``processing_key`` orders it, ``stream_ms`` is stream time after it came."""

    event: NativeEvent
    event_ms: int
    processing_key: int
    stream_ms: int
    late: bool


@dataclass
class Arrivals:
    accepted: list[Arrival] = field(default_factory=list)
    quality: list[tuple[int, str]] = field(default_factory=list)
    """(moment, counter) of what arrivals count: the window of stream time after each."""
    rejected: Counter[str] = field(default_factory=Counter)
    first_ms: int | None = None
    stream_ms: int | None = None


def arrival_order(logs: Iterable[Sequence[SourceRecord]]) -> list[SourceRecord]:
    """Interleaves source logs by running maximum of append time, then topic, then offset."""
    keyed = []
    for log in logs:
        highest = -1
        for record in log:
            assert record.append_ms is not None
            highest = max(highest, record.append_ms)
            keyed.append((highest, record.topic, record.offset, record._replace(append_ms=highest)))
    return [record for *_, record in sorted(keyed, key=lambda entry: entry[:3])]


def receive(records: Iterable[SourceRecord | Idle], spec: EngineSpec) -> Arrivals:
    """Takes the records in the order given; nothing here looks ahead."""
    told = Arrivals()
    before_any: list[str] = []
    for record in records:
        if isinstance(record, Idle):
            if told.stream_ms is not None:
                told.stream_ms = max(told.stream_ms, record.stream_ms)
            continue
        counters: list[str] = []
        try:
            event = read_native(record, spec)
            _accept(event, spec, told, counters)
        except RejectionError as rejection:
            told.rejected[rejection.reason] += 1
            counters = [f"rejected.{rejection.reason}"]
        if told.stream_ms is None:
            before_any += counters
        else:
            told.quality += [(told.stream_ms, name) for name in counters]
    if told.first_ms is not None:
        told.quality += [(told.first_ms, name) for name in before_any]
    return told


def _accept(event: NativeEvent, spec: EngineSpec, told: Arrivals, counters: list[str]) -> None:
    counters += [f"field_defects.{name}" for name in event.defects]
    if event.event_type == "ad_report":
        return  # joins at the merge, never enters the partition's time
    event_ms, clamped = _event_time(event, spec)
    stream_ms = told.stream_ms
    late = False
    key = event_ms
    if stream_ms is not None:
        watermark = stream_ms - spec.max_out_of_orderness_ms
        window_end = event_ms - event_ms % spec.window_ms + spec.window_ms
        late = watermark >= window_end + spec.grace_ms
        if late and event_ms < stream_ms - spec.max_lateness_ms:
            raise RejectionError("too_late")
        if event_ms < watermark:
            counters.append("late" if late else "behind_watermark")
        key = max(event_ms, watermark)
    if clamped:
        counters.append("clamped")
    told.stream_ms = event_ms if stream_ms is None else max(stream_ms, event_ms)
    if told.first_ms is None:
        told.first_ms = event_ms
    told.accepted.append(Arrival(event, event_ms, key, told.stream_ms, late))


def _event_time(event: NativeEvent, spec: EngineSpec) -> tuple[int, bool]:
    """The event time by the clock of the log, and whether it had to be clamped."""
    event_ms = event.sent_event_ms
    if event.append_ms is None:
        return event_ms, False
    if event.sender_clock_ms is not None:
        event_ms += event.append_ms - event.sender_clock_ms
    if event_ms > event.append_ms + spec.max_future_ms:
        raise RejectionError("future")
    if event_ms > event.append_ms:
        return event.append_ms, True
    return event_ms, False
