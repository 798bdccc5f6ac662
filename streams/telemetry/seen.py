"""What readers of the view get: one consistent look, and the figures that are read from windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from detectors.base import Incident, Observation, Verdict
from streams.engine.rows import Row, Segment

__all__ = [
    "CountersOf",
    "KpiLike",
    "KpiReading",
    "NoteLike",
    "PartitionView",
    "Seen",
    "SeriesKey",
    "WindowLike",
    "WindowView",
    "figures",
    "readable",
]

SeriesKey = tuple[str, Segment]
CountersOf = Callable[[Row, dict[Segment, Row]], Mapping[str, float]]
"""What formulas are evaluated on, from a row and the rows of its window."""


class KpiLike(Protocol):
    """What the view asks of a KPI of the catalogue."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def hurts(self) -> str | None: ...
    @property
    def min_window_ms(self) -> int: ...
    @property
    def horizon_ms(self) -> int | None: ...
    def counts(self, counters: Mapping[str, float], /) -> tuple[float, float | None]: ...
    def value(self, counters: Mapping[str, float], /) -> float | None: ...
    def may_split(self, segment: Segment, kinds: Mapping[str, str], /) -> bool: ...


class WindowLike(Protocol):
    """What the view asks of a merged window."""

    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...
    @property
    def rows(self) -> dict[Segment, Row]: ...
    @property
    def missing(self) -> Sequence[int]: ...


class NoteLike(Protocol):
    """What the view asks of an announced time."""

    @property
    def kind(self) -> str: ...
    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...


class PartitionView(NamedTuple):
    """Where one owned partition stands; lag is by source topic, ``heard_ms`` the moment of its last record."""

    lag_records: Mapping[str, int]
    watermark_ms: int | None
    snapshot_ms: int | None
    snapshot_bytes: int | None
    open_sessions: int
    heard_ms: int | None = None


class KpiReading(NamedTuple):
    """A KPI's value in its latest window, with the counts under it; ``value`` is None where there is none.

    ``told_ms`` is the end of the last window that had something to count for it: zeros follow for a while.
    """

    start_ms: int
    end_ms: int
    value: float | None
    successes: float
    trials: float | None
    told_ms: int

    def silent(self, start_ms: int, end_ms: int) -> KpiReading:
        """The same series in a window that counted nothing for it: a volume of zero, a ratio without a value."""
        if self.trials is None:
            return KpiReading(start_ms, end_ms, 0.0, 0, None, self.told_ms)
        return KpiReading(start_ms, end_ms, None, 0, 0, self.told_ms)


class WindowView(NamedTuple):
    """The latest closed, merged window of the basic length; ``counters`` are the whole's."""

    start_ms: int
    end_ms: int
    counters: Mapping[str, int]
    missing: tuple[int, ...]

    @property
    def length_ms(self) -> int:
        """End minus start."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class Seen:
    """One consistent look at the view; nothing in it changes afterwards.

    ``units`` is ``(unit, hurts)`` by KPI, ``totals`` are process totals by name (``records``, ``late``,
    ``rejected.<reason>`` ...), ``problem`` is None while healthy, ``incidents`` is by id and holds the open ones.
    ``troubles`` is the latest moment of each, in ms, by kind, topic and partition.
    """

    worker: str
    version: str
    phase: str
    problem: str | None
    judging: bool
    source_partitions: int | None
    partitions: Mapping[int, PartitionView]
    totals: Mapping[str, int]
    troubles: Mapping[tuple[str, str, int], int]
    window: WindowView | None
    readings: Mapping[SeriesKey, KpiReading]
    units: Mapping[str, tuple[str, str]]
    verdicts: Mapping[SeriesKey, Verdict]
    incidents: Mapping[str, Incident]
    recovered: tuple[Incident, ...]
    incident_kpis: Mapping[tuple[str, str], int]
    judged_series: Mapping[str, int]
    notes: tuple[NoteLike, ...] = ()
    labels: tuple[str, ...] = ()


def readable(window: WindowLike, kpis: Iterable[KpiLike]) -> list[KpiLike]:
    """The KPIs that may be read in a window of this length, or in cohorts of this horizon."""
    horizon_ms = next(iter(window.rows.values())).horizon_ms
    length_ms = window.end_ms - window.start_ms
    return [kpi for kpi in kpis if kpi.horizon_ms == horizon_ms and kpi.min_window_ms <= length_ms]


def figures(
    window: WindowLike, kpis: Iterable[KpiLike], counters_of: CountersOf, kinds: Mapping[str, str]
) -> Iterator[Observation]:
    """Each KPI in each segment that it may be split by.

    Parameters
    ----------
    window
        A window, or the cohorts of one.
    kpis
        Those that are readable in it.
    counters_of
        See ``CountersOf``.
    kinds
        Kind of each dimension, as ``Kpi.may_split`` wants it.
    """
    for segment, row in window.rows.items():
        counters = counters_of(row, window.rows)
        for kpi in kpis:
            if kpi.may_split(segment, kinds):
                value, (successes, trials) = kpi.value(counters), kpi.counts(counters)
                yield Observation(kpi.name, segment, window.start_ms, window.end_ms, value, successes, trials)
