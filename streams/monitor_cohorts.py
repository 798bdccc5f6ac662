"""Cohort KPIs: of the sessions opened in a window, how many came so far within the horizon; exact, and late by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np

from detectors.bank import Bank, Counted, Judged
from detectors.base import Verdict, VerdictKind
from detectors.border import Border
from detectors.incidents import Alert
from detectors.policy import PolicySpec
from detectors.seasonal import Note, rate_basis
from detectors.verdicts import alerts_of, verdicts_of
from streams.engine.rows import WHOLE
from streams.engine.spec import DAY_MS
from streams.kpis import Kpi
from streams.merge import MergedWindow
from streams.monitor_labels import Labels
from streams.monitor_series import series_of
from streams.monitor_spec import MonitorSpec

__all__ = ["CohortJudge"]


class CohortJudge:
    """Judges the whole's cohort KPIs of one horizon; their windows come in order, a horizon after the others.

    Parameters
    ----------
    spec
        What is judged, and how readily.
    horizon_ms
        Of the cohorts.
    policy
        How alerts begin and end.
    """

    def __init__(self, spec: MonitorSpec, horizon_ms: int, policy: PolicySpec) -> None:
        self._spec, self._horizon_ms = spec, horizon_ms
        self._kpis: dict[str, Kpi] = {kpi.name: kpi for kpi in spec.judged_cohorts() if kpi.horizon_ms == horizon_ms}
        self._units = {name: kpi.unit for name, kpi in self._kpis.items()}
        basis = rate_basis(ZoneInfo(spec.zone), spec.notes)
        self._bank = Bank(basis, spec.window_ms, spec.warm_up_ms // spec.window_ms, policy)
        self._border = Border(spec.false_pages_per_week)
        self._last_end = -1
        self.alerts: list[Alert] = []
        """The alerts that stand, as of the last window."""

    @property
    def watched(self) -> int:
        """Series that have an expectation."""
        return int(self._bank.scan.ready.sum())

    def announce(self, notes: Sequence[Note]) -> None:
        """Put these notes in place of those known so far."""
        self._bank.announce(tuple(notes))

    def observe(self, window: MergedWindow, watched: int, labels: Labels) -> list[Verdict]:
        """Judge the cohorts of a window; those that are not newer than the last give nothing.

        Parameters
        ----------
        window
            Cohorts of this horizon.
        watched
            Series of all kinds that share the budget of false pages.
        labels
            What operators said.
        """
        whole = window.rows.get(WHOLE)
        if whole is None or window.end_ms <= self._last_end:
            return []
        self._last_end = window.end_ms
        step, bank = window.end_ms // self._spec.window_ms, self._bank
        successes: list[float] = []
        trials: list[float] = []
        for name, kpi in self._kpis.items():
            number = bank.index.get((name, WHOLE))
            if number is None:
                # Its window is that of the cause: nothing has to be set back.
                number = bank.admit(replace(series_of(kpi, WHOLE, 1.0), delay_ms=0, binomial=True), step)
            told = kpi.counts(whole.counters)
            successes.append(told[0])
            trials.append(told[1] or 0)
        count, upstream = np.array(successes, dtype=float), np.array(trials, dtype=float)
        border = self._border.needed(bank.segmented, watched)
        labels.rule(bank, window.end_ms)
        judged = bank.stand(*bank.look(step, count, upstream, np.ones(len(count), dtype=bool), border))
        kinds = self._kinds(judged)
        verdicts = verdicts_of(bank, judged, Counted(successes, trials, range(len(trials))), window.end_ms, kinds)
        alerts = alerts_of(bank, judged, kinds, self._units, {})
        # What they tell happened this much before it is told.
        self.alerts = [replace(one, delay_ms=self._horizon_ms) for one in alerts if one.active]
        frozen = any(one.active for one in judged.standings.values()) or bool(window.missing)
        bank.learn(judged, frozen or labels.frozen(window.end_ms))
        self._border.learn(window.end_ms // DAY_MS, judged.reading.loudest)
        return verdicts

    def _kinds(self, judged: Judged) -> dict[int, VerdictKind]:
        told: dict[int, VerdictKind] = {}
        for number, standing in judged.standings.items():
            if standing.state != "calm" or standing.ended:
                loss = self._bank.losses.get(number)
                nothing = float(judged.reading.observed[number]) == 0
                fresh: VerdictKind = "rise" if self._bank.series[number].hurts > 0 else "stop" if nothing else "drop"
                told[number] = fresh if loss is None or loss.kind is None else loss.kind
                if loss is not None:
                    loss.kind = told[number]
        return told
