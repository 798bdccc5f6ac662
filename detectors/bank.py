"""A bank of named series over one scan: who is watched, where each alert stands, and what must not be learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.base import SegmentKey, VerdictKind
from detectors.delay import NEXT_STEP, SAME_WINDOW
from detectors.kinship import kin
from detectors.policy import Policy, PolicySpec, Standing
from detectors.reading import Reading, read
from detectors.scan import LAG, PROFILE_ONLY, TRACKED, Look, Scan, SeriesSpec
from detectors.seasonal import Basis, Note, segment_basis

__all__ = ["NEAR", "Bank", "Counted", "Judged", "Loss", "Series", "freeze_from"]

Floats = NDArray[np.float64]

NEAR = 0.75
"""Share of the border from which a series is not learnt, on either side."""

VISIBLE_EVERY = 5
"""Windows for which the smallest visible change is told as it is."""

ALONG = 0.25
"""Share of the border from which a KPI goes along with another that is taken for the new normal."""

HOUR, PROFILE_HOUR = TRACKED.index(60), len(TRACKED) + PROFILE_ONLY.index(60)
LONGEST_MASK = 240
BACK_AFTER, BACK_WITHIN_MS = 15, 86_400_000
"""Windows on the other side of its border after which a new normal of the last day was none."""

DOUBT_AFTER_BREAK = 0.25


@dataclass(frozen=True, slots=True)
class Series:
    """What is watched: a KPI in a segment.

    ``rank`` orders causes: of KPIs that fall together the lowest is told. ``weight`` divides the counts, so that
    sums of money or seconds become numbers of events. A ``share`` is the count of a segment out of that of the whole.
    ``border`` is the factor of evidence that it has to bring beside the others.
    """

    kpi: str
    segment: SegmentKey = ()
    volume: bool = False
    hurts: int = -1
    kernel: int = NEXT_STEP
    binomial: bool = False
    delay_ms: int = 0
    rank: int = 0
    weight: float = 1.0
    scale: float = 1.0
    event: float = 0.1
    steps: int = 1
    border: float = 1.0
    share: bool = False


class Normal(NamedTuple):
    """That something was taken for the new normal, in window ``step``; intercept and noise from before."""

    step: int
    base: float
    phi5: float
    phi1: float


@dataclass(slots=True)
class Loss:
    """What a standing alert has cost so far, in successes, and how its recovery is judged."""

    ratio: float
    level: float
    expected: float
    observed: float
    exposure: float
    doubt: float
    dispersion: float
    score: float
    windows: int
    kind: VerdictKind | None = None

    @property
    def missing(self) -> float:
        """Expected less observed successes since the onset."""
        return self.expected - self.observed

    @property
    def deviation(self) -> float:
        """Standard deviation of what was expected since the onset."""
        return math.sqrt(self.dispersion * self.expected + self.doubt * self.expected**2)


class Counted(NamedTuple):
    """Successes and trials of every series in a window, unweighted; volumes have no trials.

    ``order`` holds the numbers of the series that verdicts are wanted of.
    """

    successes: Sequence[float]
    trials: Sequence[float] | None
    order: Sequence[int]


class Judged(NamedTuple):
    """One window of a bank: the look, its reading, and by number where each series stands that is not simply calm."""

    look: Look
    reading: Reading
    standings: dict[int, Standing]


class Bank:
    """Series that share a kind (ratios, or volumes), a clock and a scan.

    Parameters
    ----------
    basis
        Regressors of time for this kind.
    window_ms
        Length of a window.
    warm_up
        Windows of a series before its first verdict.
    policy
        How alerts begin and end.
    """

    def __init__(self, basis: Basis, window_ms: int, warm_up: int, policy: PolicySpec) -> None:
        self.scan = Scan(basis, window_ms)
        self.window_ms, self.warm_up, self.policy = window_ms, warm_up, policy
        self.series: list[Series] = []
        self.policies: list[Policy] = []
        self.index: dict[tuple[str, SegmentKey], int] = {}
        self.losses: dict[int, Loss] = {}
        self.lasting: list[tuple[str, float]] = []
        """KPIs that this window has taken for the new normal, and by how much on the logarithm."""
        self.borders: Floats = np.ones(0)
        self.weights: Floats = np.ones(0)
        self.scales: Floats = np.ones(0)
        self.segmented: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self.binomial: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self.shares: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self.delayed: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        """Whose successes follow trials of earlier windows."""
        self.visible: Floats = np.zeros(0)
        self._segment_prior = segment_basis(basis)
        self._masked_for: dict[int, int] = {}
        self._normals: dict[int, Normal] = {}
        self._restless: set[int] = set()
        """Series that even a calm window moves on."""
        self.held: frozenset[int] = frozenset()
        """Series whose alerts are known to be incidents: they are not taken for a lasting change."""
        self.accepted: frozenset[int] = frozenset()
        """Series whose level is known to be the new normal: a standing alert is taken for a lasting change."""
        self.pardoned: frozenset[int] = frozenset()
        """Series whose state is known to be usual: no alert begins, and all is learnt."""

    def admit(self, series: Series, step: int) -> int:
        """Watch a series from the window ``step`` on; a segment's whole must be watched already."""
        part = bool(series.segment) and not series.share
        parent = self.index[series.kpi, ()] if part else -1
        spec = SeriesSpec(
            series.volume, series.kernel, series.hurts, parent, series.binomial, series.weight != 1.0,
            series.segment, series.event, series.delay_ms, series.steps,
        )  # fmt: skip
        number = self.scan.add(spec, self._segment_prior if part else None, step - 1)
        self.series.append(series)
        self.policies.append(Policy(self.policy))
        self.borders = np.append(self.borders, series.border)
        self.weights, self.scales = np.append(self.weights, series.weight), np.append(self.scales, series.scale)
        self.segmented = np.append(self.segmented, bool(series.segment))
        self.binomial = np.append(self.binomial, series.binomial and not series.share)
        self.shares = np.append(self.shares, series.share)
        self.delayed = np.append(self.delayed, not series.volume and series.kernel != SAME_WINDOW)
        self.index[series.kpi, series.segment] = number
        return number

    def announce(self, notes: tuple[Note, ...]) -> None:
        """Put these notes in place of those known so far; what differs must lie behind the last window judged."""
        self.scan.basis = self.scan.model.basis = replace(self.scan.basis, notes=notes)

    def look(
        self, step: int, count: Floats, upstream: Floats, seen: NDArray[np.bool_], border: Floats
    ) -> tuple[Look, Reading]:
        """What a window shows beside the border of each series; changes nothing."""
        look = self.scan.look(step, count, upstream, seen)
        fresh = step % VISIBLE_EVERY == 0
        reading = read(self.scan, look, border * self.borders, None if fresh else self.visible)
        return look, reading

    def stand(self, look: Look, reading: Reading) -> Judged:
        """Move the alerts on; nothing is learnt yet."""
        self.lasting.clear()
        told: dict[int, Standing] = {}
        ready = self.warm(look.step) & look.seen
        for i in self.pardoned:
            self._pardon(i, look.step)
            ready[i] = False
        loud = np.flatnonzero(ready & (reading.score >= self.policy.suspect)).tolist()
        restless = [i for i in sorted(self._restless) if ready[i] and reading.score[i] < self.policy.suspect]
        for i in (*loud, *restless):
            told[i] = self._stand(i, look, reading, float(reading.score[i]))
        for i in self.losses:
            if not ready[i]:
                told[i] = Standing("alert", True, self.policies[i].since_ms)
        return Judged(look, reading, dict(sorted(told.items())))

    def warm(self, step: int) -> NDArray[np.bool_]:
        """Which series have been watched long enough for a verdict."""
        result: NDArray[np.bool_] = self.scan.ready & (step - self.scan.begun > self.warm_up)
        return result

    def learn(self, judged: Judged, frozen: bool) -> None:
        """Take the window in; ``frozen`` keeps all series from learning it, else those with an alert are kept."""
        step = judged.look.step
        self.visible = judged.reading.visible
        self.scan.learn(judged.look)
        if frozen:
            self.scan.mask(slice(None), step - 1, step)
        for i in self.losses:
            self.scan.mask(i, step - 1, step)
            if judged.standings[i].began:
                self.scan.mask(i, freeze_from(int(judged.reading.since[i]), step), step)
        near = np.maximum(judged.reading.score, judged.reading.other) >= NEAR
        near[list(self.pardoned)] = False
        for number in np.flatnonzero(near):
            i = int(number)
            held = self._masked_for.get(i, 0) + 1
            self._masked_for[i] = held
            if held >= BACK_AFTER and judged.reading.other[i] >= 1 and self._take_back(i, step):
                continue
            if held <= LONGEST_MASK:
                self.scan.mask(i, step - 10, step)
            elif held % LONGEST_MASK == 1:
                self.scan.model.shift(i, 0.0, 0.01)
        for i in [i for i in self._masked_for if not near[i]]:
            del self._masked_for[i]

    def freeze(self, since: int, until: int) -> None:
        """Forget to learn the windows ``since`` to ``until``, where they are not learnt yet."""
        self.scan.mask(slice(None), since, until)

    def settle(self, look: Look) -> None:
        """What all wholes hold has lasted: it is taken for the new normal."""
        for i in self._wholes():
            self._settle(i, look)

    def _wholes(self) -> list[int]:
        """Series with an expectation that are no part of another."""
        found: list[int] = np.flatnonzero((self.scan.model.parent < 0) & self.scan.ready).tolist()
        return found

    def _settle(self, i: int, look: Look) -> None:
        told = (look.observed, look.expected, look.exposures)
        self._take(i, look.step, *(float(each[i, PROFILE_HOUR]) for each in told))
        self.scan.restart(i, look.step)

    def _take(self, i: int, step: int, observed: float, profile: float, exposure: float) -> float:
        """Take a level for the new normal, and remember the way back from a loss."""
        model, before = self.scan.model, self._normals.get(i)
        if before is None or self._is_old(before, step):
            before = Normal(step, float(model.mean[i, 0]), float(model.phi5[i]), float(model.phi1[i]))
        by = self.scan.accept(i, observed, profile, exposure)
        if by * self.scan.specs[i].hurts > 0:
            self._normals[i] = before._replace(step=step)
        return by

    def _take_back(self, i: int, step: int) -> bool:
        """A new normal that did not last: what was expected before is again; False where there was none of late."""
        normal = self._normals.pop(i, None)
        if normal is None or self._is_old(normal, step):
            return False
        model = self.scan.model
        model.shift(i, normal.base - float(model.mean[i, 0]), 0.01)
        model.phi5[i], model.phi1[i] = normal.phi5, normal.phi1
        self.scan.restart(i, step)
        # What was learnt of it late would be learnt against what is expected again.
        self.scan.mask((model.parent == i) | (np.arange(len(model.parent)) == i), normal.step, step)
        return True

    def _is_old(self, normal: Normal, step: int) -> bool:
        return (step - normal.step) * self.window_ms > BACK_WITHIN_MS

    def _stand(self, i: int, look: Look, reading: Reading, score: float) -> Standing:
        policy, step = self.policies[i], look.step
        since_ms = int(reading.since[i]) * self.window_ms
        gone = self.scan.specs[i].hurts < 0 and float(look.observed[i, HOUR]) == 0
        calm = self._calm(i, look) if i in self.losses else None
        hold = gone or i in self.held
        standing = policy.step(step, score, since_ms, calm, hold=hold, accept=i in self.accepted and i in self.losses)
        (self._restless.discard if policy.quiet else self._restless.add)(i)
        if standing.began:
            self.losses[i] = self._open(i, look, reading, score)
        elif standing.active and i in self.losses:
            loss = self.losses[i]
            loss.expected += float(look.profile[i]) * math.exp(loss.level)
            loss.observed += float(look.counts[i])
            loss.exposure += float(look.exposure[i])
            loss.windows += 1
            loss.ratio = self._size(i, loss.observed, loss.expected)
            loss.score = max(loss.score, score)
        if standing.ended or standing.broke:
            self.scan.restart(i, step)
            if standing.timed_out:
                by = self._accept(i, step)
                if not self.series[i].segment:
                    self.lasting.append((self.series[i].kpi, by))
        if standing.broke:
            self.scan.model.shift(i, 0.0, DOUBT_AFTER_BREAK)
        return standing

    def _pardon(self, i: int, step: int) -> None:
        """An alert that stands is dropped without a word, and no window reaches back into what was expected."""
        self.losses.pop(i, None)
        self.policies[i].drop()
        if self.policies[i].quiet:
            self._restless.discard(i)
        self.scan.restart(i, step)

    def follow(self, lasting: Sequence[tuple[str, float]], judged: Judged) -> None:
        """Take along what hangs on KPIs that were taken for the new normal, by so much on the logarithm.

        It was not learnt meanwhile. What has moved visibly is taken for normal as well; what has not may have moved by
        as much, and shows it at an hour of which more is known: until then it is in doubt.
        """
        look, reading = judged.look, judged.reading
        names = {kpi for kpi, _ in lasting}
        for i in self._wholes():
            one = self.series[i]
            if i in self.losses or one.segment or one.kpi in names:
                continue
            kinds = [(kin((kpi, "drop"), (one.kpi, "drop")), by) for kpi, by in lasting]
            if all(kind == "apart" for kind, _ in kinds):
                continue
            # Once, however many KPIs of one cause were taken for normal in this window.
            if reading.score[i] >= ALONG:
                self._settle(i, look)
            elif doubts := [by * by for kind, by in kinds if kind == "effect"]:
                self.scan.model.shift(i, 0.0, max(0.0, max(doubts) - float(self.scan.model.cov[i, 0, 0])))

    def _accept(self, i: int, step: int) -> float:
        loss = self.losses[i]
        by = self._take(i, step, loss.observed, loss.expected / math.exp(loss.level), loss.exposure)
        for child, other in self.losses.items():
            if self.scan.model.parent[child] == i:
                other.expected *= math.exp(by)
        return by

    def _open(self, i: int, look: Look, reading: Reading, score: float) -> Loss:
        observed, expected = float(reading.observed[i]), float(reading.expected[i])
        best = int(reading.best[i])
        return Loss(
            ratio=self._size(i, observed, expected),
            level=float(look.level[i]),
            expected=expected,
            observed=observed,
            exposure=float(reading.exposure[i]),
            doubt=float(reading.doubt[i]),
            dispersion=float(look.dispersion[i, best]),
            score=score,
            windows=look.step - int(reading.since[i]),
        )

    def _size(self, i: int, observed: float, expected: float) -> float:
        """Observed over expected, kept away from one: recovery is told from it."""
        ratio = (observed + 0.5) / (expected + 0.5)
        return min(max(ratio, 0.02), 0.85) if self.scan.specs[i].hurts < 0 else max(ratio, 1.2)

    def _calm(self, i: int, look: Look) -> float:
        """Log likelihood of "as before" over "as at the onset", for this window alone."""
        loss = self.losses[i]
        mean = float(look.profile[i]) * math.exp(loss.level)
        told = float(look.counts[i]) * math.log(loss.ratio) - (loss.ratio - 1) * mean
        spread = max(float(self.scan.model.phi1[i]), 0.2)
        return max(-3.0, min(3.0, -told / spread))


def freeze_from(onset: int, step: int) -> int:
    """The first step that a verdict keeps from being learnt: its onset, and ten windows back at least."""
    return max(min(onset, step - 10), step - LAG - 5)
