"""The outcome of a replay: series with their bands, incidents, sums and counts, for the summary and the report."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from detectors.base import Incident
from streams.anomalies import encode_incident
from streams.coarse import Coarser
from streams.compare import Period
from streams.engine.batch import Reject
from streams.engine.rows import WHOLE, Row, Segment
from streams.engine.spec import HOUR_MS, MINUTE_MS
from streams.kpis import STAGES, Kpi, counters_of
from streams.merge import MergedWindow, combine
from streams.monitor import Judgement
from streams.replay.driver import Listener
from streams.replay.past import Past, RowKey, rows_of

__all__ = ["Accounting", "Point", "Replayed", "Review", "SeriesKey", "funnel_of", "worst"]

SeriesKey = tuple[str, Segment]
# Before a segment is found loud, this much of its series is remembered, so that its chart has a beginning.
RUN_UP = 120
SAMPLES = 5


class Point(NamedTuple):
    """A KPI in one window: its value, the counts under it, and what was expected."""

    start_ms: int
    end_ms: int
    value: float | None
    successes: float
    trials: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    state: str
    active: bool


class Accounting(NamedTuple):
    """What became of the records."""

    records: int
    counts: Mapping[str, int]
    """Totals of the engines by name, over all that was read."""
    samples: Mapping[str, Sequence[str]]
    """By reason of rejection, coordinates and detail of the first few."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A finished replay.

    ``since_ms`` and ``until_ms`` bound the windows that are told; ``totals`` is the whole over all of them;
    ``missing_ms`` is by how much the log begins later than carts and sessions need, 0 where it reaches far enough.
    """

    source: str
    since_ms: int | None
    until_ms: int | None
    windows: int
    totals: Row | None
    series: Mapping[SeriesKey, Sequence[Point]]
    incidents: tuple[Incident, ...]
    accounting: Accounting
    kpis: tuple[Kpi, ...]
    states: Mapping[str, int]
    past: Past
    rows: Mapping[RowKey, Mapping[str, int]]
    spec: str
    time_zone: str
    read_from_ms: int | None = None
    missing_ms: int = 0
    sessions_paid: float = 0
    before: Mapping[Period, tuple[Row, bool]] = field(default_factory=dict)
    learned_windows: int = 0
    seconds: float = 0.0
    command: str = ""
    notes: tuple[str, ...] = ()

    def over_all(self, kpi: Kpi) -> float | None:
        """A KPI over all windows: formed last, from the sums."""
        if self.totals is None:
            return None
        return kpi.value({**counters_of(self.totals), "sessions_paid": self.sessions_paid})

    def summary(self) -> dict[str, Any]:
        """What `--json` prints: plain values, moments in milliseconds."""
        counters = dict(self.totals.counters) if self.totals else {}
        return {
            "source": self.source,
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "windows": self.windows,
            "records": self.accounting.records,
            "counts": dict(self.accounting.counts),
            "incidents": [orjson.loads(encode_incident(each)[1]) for each in self.incidents],
            "verdicts": dict(self.states),
            "kpis": {kpi.name: self.over_all(kpi) for kpi in self.kpis if kpi.horizon_ms is None},
            "counters": dict(sorted(counters.items())),
            "fired_at_the_time": [orjson.loads(encode_incident(each)[1]) for each in self.past.incidents],
            "spec": self.spec,
            "read_from_ms": self.read_from_ms,
            "missing_ms": self.missing_ms,
            "learned_windows": self.learned_windows,
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
        }


@dataclass
class Review(Listener):
    """Takes windows and judgements as they come and keeps what a person will want to see.

    Parameters
    ----------
    kpis
        The catalogue; KPIs that no detector judges are formed here, without a band.
    since_ms, until_ms
        Windows outside are passed over; None: no bound.
    paid_channels
        Channels whose sessions are bought.
    window_ms, zone
        Length of a window, and the clock that hours and days follow.
    compare
        Keep the counters of every row, to lay them beside those of the live run.
    """

    kpis: tuple[Kpi, ...]
    since_ms: int | None = None
    until_ms: int | None = None
    paid_channels: Sequence[str] = ()
    window_ms: int = MINUTE_MS
    zone: ZoneInfo | None = None
    compare: bool = False
    series: dict[SeriesKey, list[Point]] = field(default_factory=lambda: defaultdict(list))
    incidents: dict[str, Incident] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    rows: dict[RowKey, Mapping[str, int]] = field(default_factory=dict)
    windows: int = 0
    totals: Row | None = None
    sessions_paid: float = 0
    first_ms: int | None = None
    last_ms: int | None = None
    samples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _counted_until_ms: int = 1 << 62
    _charted_until_ms: int = 1 << 62
    _run_up: dict[SeriesKey, deque[Point]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=RUN_UP)))

    def __post_init__(self) -> None:
        sizes = {kpi.min_window_ms for kpi in self.kpis if kpi.min_window_ms > self.window_ms}
        self._coarser = {size: Coarser(size, self.zone) for size in sorted(sizes)}

    def judged(self, window: MergedWindow, judgement: Judgement) -> None:
        """Take what the monitor said of a window."""
        self.remember(judgement)
        if not self._charts(window):
            return
        for verdict in judgement.verdicts:
            self.states[verdict.state] += 1
            point = Point(
                verdict.start_ms,
                verdict.end_ms,
                verdict.value,
                verdict.successes,
                verdict.trials,
                verdict.expected,
                verdict.lower,
                verdict.upper,
                verdict.state,
                verdict.active,
            )
            self._place((verdict.kpi, verdict.segment), point)

    def remember(self, judgement: Judgement) -> None:
        """Take incidents, also of windows before the bounds: what is not over reaches into them."""
        for incident in judgement.incidents:
            self.incidents[incident.id] = incident

    def published(self, window: MergedWindow) -> None:
        """Take a window as it was first published: KPIs that no detector judges."""
        whole = window.rows.get(WHOLE)
        if whole is None or not self._charts(window):
            return
        self._chart(window, whole)
        alone = window._replace(rows={WHOLE: whole})
        for coarser in self._coarser.values() if window.kind == "window" else ():
            for longer in coarser.push(alone):
                self._chart(longer, longer.rows[WHOLE])

    def finished(self) -> None:
        """No more windows will come: longer ones that are begun are charted as they are."""
        for coarser in self._coarser.values():
            for longer in coarser.flush():
                self._chart(longer, longer.rows[WHOLE])

    def _chart(self, window: MergedWindow, whole: Row) -> None:
        """Add the KPIs that are formed over windows of this length and were not judged in it."""
        counters = counters_of(whole, window.rows, self.paid_channels)
        length = self._length_of(window)
        for kpi in self.kpis:
            points = self.series[kpi.name, WHOLE]
            judged = points and points[-1].start_ms == window.start_ms
            if kpi.horizon_ms != window.horizon_ms or judged or length != max(kpi.min_window_ms, self.window_ms):
                continue
            successes, trials = kpi.counts(counters)
            value = kpi.value(counters)
            points.append(
                Point(window.start_ms, window.end_ms, value, successes, trials, None, None, None, "unjudged", False)
            )

    def _length_of(self, window: MergedWindow) -> int:
        length = window.end_ms - window.start_ms
        # A day of 23 or 25 hours is a day.
        return next((size for size in self._coarser if abs(size - length) <= HOUR_MS and size > HOUR_MS), length)

    def settled(self, window: MergedWindow) -> None:
        """Take a window in its final form."""
        if not self.wanted(window) or window.end_ms > self._counted_until_ms:
            return
        if self.compare:
            self.rows.update(rows_of(window))
        whole = window.rows.get(WHOLE)
        if window.kind == "window" and whole is not None:
            self.windows += 1
            self.sessions_paid += counters_of(whole, window.rows, self.paid_channels)["sessions_paid"]
            self.totals = combine([whole] if self.totals is None else [self.totals, whole])
            self.first_ms = window.start_ms if self.first_ms is None else min(self.first_ms, window.start_ms)
            self.last_ms = window.end_ms if self.last_ms is None else max(self.last_ms, window.end_ms)

    def rejected(self, reject: Reject) -> None:
        """Take a reject; the first few of each reason are kept."""
        samples = self.samples[reject.reason]
        if len(samples) < SAMPLES:
            samples.append(f"{reject.topic}[{reject.partition}]@{reject.offset}: {reject.detail}".rstrip(": "))

    def wanted(self, window: MergedWindow) -> bool:
        """Whether a window lies within the bounds that were asked for."""
        return (self.since_ms is None or window.start_ms >= self.since_ms) and (
            self.until_ms is None or window.end_ms <= self.until_ms
        )

    def cut(self, end_ms: int, window_ms: int) -> None:
        """Count nothing behind the window that begins at ``end_ms``, and chart that one, which is cut off, never."""
        self._counted_until_ms, self._charted_until_ms = end_ms + window_ms, end_ms

    def ordered(self) -> tuple[Incident, ...]:
        """Incidents of the range as they stand at its end, by onset."""
        told = [
            each for each in self.incidents.values() if each.ended_ms is None or each.ended_ms > (self.since_ms or 0)
        ]
        return tuple(sorted(told, key=lambda each: (each.onset_ms, each.id)))

    def _charts(self, window: MergedWindow) -> bool:
        return self.wanted(window) and window.end_ms <= self._charted_until_ms

    def _place(self, key: SeriesKey, point: Point) -> None:
        if not key[1] or key in self.series:
            self.series[key].append(point)
            return
        run_up = self._run_up[key]
        run_up.append(point)
        if point.active:
            self.series[key] = list(self._run_up.pop(key))


def funnel_of(totals: Row) -> list[tuple[str, int, int]]:
    """Stage, observed and implied reach, from the visit to the payment.

    >>> funnel_of(Row("window", 0, 60_000, (), None, {"sessions": 9, "reached.paid": 2, "implied.cart": 1}, "f"))[-1]
    ('paid', 2, 0)
    """
    count = totals.counters.get
    stages = [(stage, count(f"reached.{stage}", 0), count(f"implied.{stage}", 0)) for stage in STAGES]
    return [("sessions", count("sessions", 0), 0), *stages]


def worst(incidents: Iterable[Incident]) -> Incident | None:
    """The incident that cost most; of those without a cost the earliest."""
    return min(
        incidents,
        key=lambda each: (-(each.money_lost_minor or 0), -(each.orders_lost or 0), each.onset_ms, each.id),
        default=None,
    )
