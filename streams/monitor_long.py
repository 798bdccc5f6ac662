"""KPIs that mean something in an hour or a day: minutes are added up, and each longer window is judged once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from detectors.base import Observation, Verdict
from detectors.border import Border
from detectors.guard import Guard
from detectors.incidents import Alert
from detectors.long import LongDetector
from detectors.named import NamedJudge
from detectors.policy import PolicySpec
from streams.coarse import bucket
from streams.engine.rows import WHOLE
from streams.engine.spec import DAY_MS, HOUR_MS
from streams.kpis import Kpi
from streams.monitor_labels import Labels
from streams.monitor_series import rank_of
from streams.monitor_spec import MonitorSpec

__all__ = ["LongJudge"]

COVERED = 0.9
"""Share of a longer window that has to have been counted: less is no hour."""

POLICIES = {
    HOUR_MS: PolicySpec(recovered=2, timeout=24, breaker_windows=7 * 24),
    DAY_MS: PolicySpec(recovered=1, timeout=5, breaker_windows=60),
}
WARM_UP = {HOUR_MS: 24, DAY_MS: 5}


@dataclass(slots=True)
class _Series:
    """A KPI, the longer window that is being added up, and its judge."""

    kpi: Kpi
    size_ms: int
    judge: NamedJudge
    span: tuple[int, int] | None = None
    windows: int = 0
    successes: float = 0.0
    trials: float | None = None
    begun: bool = False
    alert: Alert | None = field(default=None)


class LongJudge:
    """Judges the whole's KPIs of an hour or a day, as their windows end.

    Parameters
    ----------
    spec
        What is judged; KPIs that mean something in shorter windows are left to the scan.
    """

    def __init__(self, spec: MonitorSpec) -> None:
        self._spec, self._zone = spec, ZoneInfo(spec.zone)
        border = Border(spec.false_pages_per_week)
        chosen = [kpi for kpi in spec.judged_long() if kpi.name not in dict(spec.detectors)]
        self._series = [self._of(kpi, border.base(0)) for kpi in chosen]

    @property
    def size(self) -> int:
        """Number of series."""
        return len(self._series)

    @property
    def alerts(self) -> list[Alert]:
        """The alerts that stand."""
        return [one.alert for one in self._series if one.alert is not None]

    def observe(self, start_ms: int, counters: Mapping[str, float], labels: Labels) -> list[Verdict]:
        """Add a window of the whole; the verdicts on the longer windows that ended with the one before it."""
        told = []
        for one in self._series:
            span = one.span
            if span is None or not span[0] <= start_ms < span[1]:
                span = bucket(start_ms, one.size_ms, self._zone)
            if one.span is not None and span != one.span:
                verdict = self._close(one, one.span, labels)
                told += [] if verdict is None else [verdict]
            if span != one.span:
                one.span, one.windows, one.successes, one.trials = span, 0, 0.0, None
            successes, trials = one.kpi.counts(counters)
            one.windows += 1
            one.successes += successes
            one.trials = None if trials is None else (one.trials or 0.0) + trials
        return told

    def _of(self, kpi: Kpi, border: float) -> _Series:
        size_ms = HOUR_MS if kpi.min_window_ms <= HOUR_MS else DAY_MS
        hurts = kpi.hurts or "down"
        detector = LongDetector(size_ms, self._spec.zone, hurts, border)
        guard = Guard(detector, WARM_UP[size_ms], gap_ms=3 * size_ms)
        return _Series(kpi, size_ms, NamedJudge(guard, hurts, WARM_UP[size_ms], POLICIES[size_ms]))

    def _close(self, one: _Series, span: tuple[int, int], labels: Labels) -> Verdict | None:
        start_ms, end_ms = span
        if one.windows * self._spec.window_ms < COVERED * (end_ms - start_ms):
            return None
        if not one.begun:
            # The first successes may be those of a part of the window only: what settles after a day has none before.
            one.begun = one.successes > 0
            return None
        value = one.successes if one.trials is None else one.successes / one.trials if one.trials else None
        value = None if value is None else value * one.kpi.scale
        observation = Observation(one.kpi.name, WHOLE, start_ms, end_ms, value, one.successes, one.trials)
        ruling = labels.ruling(one.kpi.name, end_ms, one.judge.policy.since_ms)
        verdict, alert = one.judge.observe(observation, one.kpi.unit, rank_of(one.kpi.name), ruling)
        # An alert that has ended is not told again: the incident sees that it is gone.
        one.alert = alert if alert is not None and alert.active else None
        return verdict
