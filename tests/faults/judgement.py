"""What the judge said in a run beside what it should have said, however often it moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

from detectors.base import Incident
from streams.anomalies import decode_incident
from streams.engine.cube import Cube
from streams.engine.rows import Row, decode_row, row_key
from streams.live.settings import LiveSettings
from streams.live.watch import Watch
from streams.merge import Merger
from streams.monitor import Monitor
from streams.telemetry.view import View
from tests.faults.onlooker import Onlooker, Told

__all__ = ["Calm", "Judged", "judged", "read_again", "unlike"]

VERDICT, INCIDENT = b"verdict|", b"incident|"


class Calm:
    """The same rows merged and judged at once, with nothing missing and nobody in between."""

    def __init__(self, settings: LiveSettings, partitions: int) -> None:
        self._merger = Merger(range(partitions), None)
        self._monitor = Monitor(settings.monitor)
        self.rows: dict[bytes, Row] = {}
        self.incidents: dict[str, Incident] = {}
        self.windows = 0

    def hear(self, told: Iterable[Row | Cube]) -> None:
        """Take rows and cubes of partitions, those of each in their order."""
        for row in told:
            if isinstance(row, Cube):
                self._merger.push_cube(row)
                continue
            self._merger.push(row, 0)
            for window in self._merger.ready(0):
                self.rows.update((row_key(merged), merged) for merged in window.rows.values())
                self.windows += window.judge
                self.incidents.update((one.id, one) for one in self._monitor.observe(window).incidents)

    def differences(self, merged: dict[bytes, bytes]) -> list[str]:
        """One line for each merged row on the topic that is not what it should be in the end."""
        lines = []
        for key, expected in self.rows.items():
            if key not in merged:
                lines.append(f"{key!r}: never merged")
                continue
            found = decode_row(merged[key])
            if (found.counters, found.sketch, found.missing_partitions) != (expected.counters, expected.sketch, ()):
                lines.append(f"{key!r}: expected {dict(expected.counters)}, found {found}")
        return lines


class Judged(NamedTuple):
    """What the anomaly topic holds after a run, and what is wrong with it."""

    verdicts: int
    incidents: dict[str, Incident]
    changed: list[str]
    """Windows that were judged a second time, and otherwise."""
    gaps: list[int]
    """Ends of windows that nobody judged."""


def judged(history: Sequence[Told], window_ms: int) -> Judged:
    """Look through everything that was ever written to the anomaly topic."""
    values: dict[bytes, set[bytes]] = defaultdict(set)
    for one in history:
        if one.key.startswith(VERDICT) and one.value is not None:
            values[one.key].add(one.value)
    changed = [f"{key!r}: {sorted(told)}" for key, told in values.items() if len(told) > 1]
    ends = sorted({int(key.split(b"|")[1]) for key in values})
    gaps = sorted(set(range(ends[0], ends[-1], window_ms)) - set(ends)) if ends else []
    latest = {one.key: one.value for one in history if one.key.startswith(INCIDENT) and one.value is not None}
    incidents = {one.id: one for one in map(decode_incident, latest.values())}
    return Judged(len(values), incidents, changed, gaps)


def read_again(settings: LiveSettings, history: Sequence[Told]) -> dict[str, dict[bytes, bytes]]:
    """What a new judge would publish, by topic, that reads the KPI topic of the run from its beginning."""
    told: dict[str, dict[bytes, bytes]] = {settings.kpi_topic: {}, settings.anomalies_topic: {}}

    def put(_: int, topic: str, key: bytes, value: bytes, __: int) -> None:
        told[topic][key] = value

    patient = replace(settings, republish_ms=1 << 50)
    outbox: Any = SimpleNamespace(put=put)
    watch = Watch(patient, outbox, View(), now_ms=lambda: 0)
    watch.open(0, settings.partitions)
    watch.take([SimpleNamespace(offset=one.offset, timestamp=one.append_ms, value=one.value) for one in history])
    return told


def unlike(settings: LiveSettings, onlooker: Onlooker) -> list[str]:
    """What the topics hold otherwise than a new judge, reading all, would write it."""
    again = read_again(settings, list(onlooker.history[settings.kpi_topic]))
    found = {settings.kpi_topic: onlooker.merged, settings.anomalies_topic: onlooker.last(settings.anomalies_topic)}
    return [
        f"{key!r}: on the topic {found[topic].get(key)!r}, by a new judge {value!r}"
        for topic, rows in again.items()
        for key, value in rows.items()
        if found[topic].get(key) != value
    ]
