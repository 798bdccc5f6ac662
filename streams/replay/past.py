"""What the live run said at the time: its rows and its incidents, read from the topics it writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from detectors.base import Incident, Verdict
from streams.anomalies import decode_anomaly
from streams.engine.cube import Cube, decode_record
from streams.engine.rows import Segment
from streams.errors import InputError
from streams.kafka import describe_topics, read_topic
from streams.merge import MergedWindow, Merger

__all__ = ["LIVE_ONLY", "Compared", "Past", "RowKey", "compared", "rows_of", "told_rows", "total", "what_fired"]

LIVE_ONLY = ("behind_watermark", "late", "clamped", "rejected.future", "rejected.too_late")
"""Counters that may differ between the live run and its replay: they depend on when a record arrived."""

RowKey = tuple[str, int, int | None, Segment]
"""Kind, start, horizon and segment of a merged row."""


@dataclass(slots=True)
class Past:
    """The live run's side of a comparison; empty where it left nothing.

    ``rows`` are counters of its merged rows within the range, ``incidents`` what fired, ``alerts`` the verdicts that
    stood, ``unreadable`` how many records of the topics were neither.
    """

    rows: dict[RowKey, Mapping[str, int]] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()
    alerts: tuple[Verdict, ...] = ()
    unreadable: int = 0


def rows_of(window: MergedWindow) -> dict[RowKey, Mapping[str, int]]:
    """The counters of a window by key, as both sides of a comparison hold them."""
    return {
        (window.kind, window.start_ms, window.horizon_ms, segment): row.counters for segment, row in window.rows.items()
    }


async def told_rows(
    client_args: Mapping[str, Any], topic: str, partitions: Sequence[int], past: Past, *, keep_ms: int
) -> AsyncIterator[MergedWindow]:
    """Windows of the live run: each as it was judged (``judge``), and again when nothing could change it any more.

    Records that are no rows are counted in ``past``.
    """
    if not topic or topic not in await describe_topics(client_args, [topic]):
        return
    merger = Merger(partitions, keep_ms=keep_ms, keep_settled=True)
    now_ms = 0
    async for _, records in read_topic(client_args, topic, [0]):
        for record in records:
            now_ms = max(now_ms, record.timestamp)
            if record.value is None:
                continue
            try:
                told = decode_record(record.value)
            except InputError:
                past.unreadable += 1
                continue
            if isinstance(told, Cube):
                merger.push_cube(told)
            else:
                merger.push(told, now_ms)
        for window in _told(merger, now_ms):
            yield window
    for partition in merger.partitions:
        merger.close(partition)
    for window in _told(merger, now_ms):
        yield window


def _told(merger: Merger, now_ms: int) -> list[MergedWindow]:
    judged = [window for window in merger.ready(now_ms) if window.judge]
    return judged + merger.settled()


async def what_fired(
    client_args: Mapping[str, Any], topic: str, since_ms: int, until_ms: int
) -> tuple[tuple[Incident, ...], tuple[Verdict, ...], int]:
    """Incidents and standing verdicts of the anomaly topic in the range, and how many records were unreadable."""
    incidents: dict[str, Incident] = {}
    alerts: dict[tuple[str, Segment, int], Verdict] = {}
    unreadable = 0
    if not topic or topic not in await describe_topics(client_args, [topic]):
        return (), (), 0
    async for _, records in read_topic(client_args, topic, [0]):
        for record in records:
            if record.value is None:
                continue
            try:
                told = decode_anomaly(record.value)
            except InputError:
                unreadable += 1
                continue
            if isinstance(told, Incident):
                incidents[told.id] = told
            elif told.active and since_ms <= told.start_ms < until_ms:
                alerts[told.kpi, told.segment, told.end_ms] = told
    touching = [each for each in incidents.values() if _touches(each, since_ms, until_ms)]
    return tuple(sorted(touching, key=lambda each: (each.onset_ms, each.id))), tuple(alerts.values()), unreadable


class Compared(NamedTuple):
    """Rows of both runs, side by side: how many agree, which do not, and windows that one of the runs has not."""

    same: int
    different: list[RowKey]
    only_now: int
    only_then: int


def compared(now: Mapping[RowKey, Mapping[str, int]], then: Mapping[RowKey, Mapping[str, int]]) -> Compared:
    """Lay the rows of a replay beside those of the live run.

    In a window that both have, an absent row is one of zeros. A window that only one has is counted apart: the
    live run may not have closed it yet, or its rows may have been deleted.
    """
    windows_now, windows_then = {key[:3] for key in now}, {key[:3] for key in then}
    both = windows_now & windows_then
    keys = [key for key in now.keys() | then.keys() if key[:3] in both]
    different = [key for key in keys if _counted(now.get(key)) != _counted(then.get(key))]
    different.sort(key=lambda key: (key[1], key[0], key[2] or 0, key[3]))
    return Compared(
        len(keys) - len(different), different, len(windows_now - windows_then), len(windows_then - windows_now)
    )


def _counted(counters: Mapping[str, int] | None) -> dict[str, int]:
    return {name: count for name, count in (counters or {}).items() if name not in LIVE_ONLY}


def _touches(incident: Incident, since_ms: int, until_ms: int) -> bool:
    end = incident.ended_ms if incident.ended_ms is not None else incident.updated_ms
    return incident.onset_ms < until_ms and max(end, incident.detected_ms) >= since_ms


def total(rows: Mapping[RowKey, Mapping[str, int]], names: Collection[str]) -> dict[str, int]:
    """Sums of counters over the whole's window rows."""
    sums = dict.fromkeys(names, 0)
    for (kind, _, _, segment), counters in rows.items():
        if kind == "window" and not segment:
            for name in names:
                sums[name] += counters.get(name, 0)
    return sums
