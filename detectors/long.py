"""One series of hours or days: few points, so a small model that is slow to be sure, behind the detector contract."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from detectors.base import Detector, Observation, Score
from detectors.evidence import penalised_deviance

__all__ = ["LongDetector"]

Floats = NDArray[np.float64]

HOURS, DAYS = (1, 2, 3, 6, 12, 24), (1, 2, 3, 7)
"""Windows in a row whose evidence is added up."""

DAY_MS = 86_400_000
NEAR = 0.75
LONGEST_MASK = 24
SMALLEST = 0.04
"""Shares under which a change is no finding, however certain."""

SPREAD = 3.0
LEVEL_NOISE = {"hours": 1e-4, "days": 1e-3}
"""Variance by which the logarithm of the level may wander, a window."""

OWN_BOUNDS = (1e-6, 0.09)


class _Window(NamedTuple):
    end_ms: int
    observed: float
    expected: float


class LongDetector(Detector):
    """Successes of trials, or a count, over windows of an hour or a day.

    The logarithm of the rate is a level that may wander, with the shape of a day and a weekend (hours) or of a week
    (days); its uncertainty, and a variance of the series' own that is learnt, widen what is expected.

    Parameters
    ----------
    window_ms
        Length of a window: less than a day, or a day.
    zone
        Time zone of the shop.
    hurts
        The side that counts.
    border
        Nats of evidence, for a window of one minute, that are a score of 1.0: a window of an hour needs ``ln 60`` less,
        since there are as many fewer.

    Examples
    --------
    >>> detector = LongDetector()
    >>> def hour(n, refunds):
    ...     return Observation("refunds", (), 3_600_000 * n, 3_600_000 * (n + 1), refunds / 500, refunds, 500)
    >>> for n in range(72):
    ...     detector.learn_one(hour(n, 100 + n % 7))
    >>> detector.score_one(hour(72, 101)).score < 0.5 < 1 < detector.score_one(hour(72, 30)).score
    True
    """

    def __init__(
        self,
        window_ms: int = 3_600_000,
        zone: str = "UTC",
        hurts: Literal["down", "up"] = "down",
        border: float = 12.5,
    ) -> None:
        self.window_ms, self.zone, self.hurts, self.border = window_ms, zone, hurts, border
        self.clock = ZoneInfo(zone)
        self.lengths = DAYS if window_ms >= DAY_MS else HOURS
        self.mean: Floats | None = None
        self.cov: Floats = np.zeros((0, 0))
        self.own = 0.0025
        self.recent: deque[_Window] = deque(maxlen=max(self.lengths))
        self.masked = 0

    def score_one(self, observation: Observation) -> Score:
        """The most evidence of the stretches that end now, over the border."""
        if self.mean is None or not _usable(observation):
            return Score(0.0)
        now, doubt = self._forecast(observation)
        width = SPREAD * math.sqrt(self._dispersion(observation, now) * now + (doubt + self.own) * now * now)
        best, since_ms = self._scan(observation, now, doubt)
        scale = 1.0 if observation.trials is None else 1.0 / observation.trials
        return Score(best, now * scale, max(0.0, now - width) * scale, (now + width) * scale, since_ms)

    def learn_one(self, observation: Observation) -> None:
        """Take the window in; one that is nearly a finding is kept from the level, for a day at most."""
        if not _usable(observation):
            return
        if self.mean is None:
            self._begin(observation)
        now, _ = self._forecast(observation)
        near = self.score_one(observation).score >= NEAR
        self.masked = self.masked + 1 if near else 0
        if not near or self.masked > LONGEST_MASK:
            self._learn(observation, now)
        self.recent.append(_Window(observation.end_ms, observation.successes, now))

    def _scan(self, observation: Observation, now: float, doubt: float) -> tuple[float, int]:
        told = [*self.recent, _Window(observation.end_ms, observation.successes, now)]
        best, since_ms = 0.0, observation.start_ms
        for length in self.lengths:
            begin = observation.end_ms - length * self.window_ms
            inside = [one for one in told if one.end_ms > begin]
            observed, expected = sum(one.observed for one in inside), sum(one.expected for one in inside)
            change = observed - expected if self.hurts == "up" else expected - observed
            if len(inside) < length or change <= SMALLEST * expected:
                continue
            # Each window has a wander of its own: in a longer stretch it cancels.
            square = sum(one.expected**2 for one in inside) / max(expected, 1e-9)
            dispersion = self._dispersion(observation, now) + self.own * square
            nats = penalised_deviance(*(np.array([each]) for each in (observed, expected, dispersion, doubt)))
            score = float(nats[0]) / max(self.border - math.log(length * self.window_ms / 60_000), 1.0)
            if score > best:
                best, since_ms = score, begin
        return best, since_ms

    def _begin(self, observation: Observation) -> None:
        regressors, prior = self._regressors(observation), self._prior(observation.trials is None)
        self.mean, self.cov = np.zeros(len(regressors)), np.diag(prior)
        self.mean[0] = math.log((observation.successes + 0.5) / (self._exposure(observation) + 0.5))

    def _learn(self, observation: Observation, now: float) -> None:
        if self.mean is None:
            return
        h, count = self._regressors(observation), max(now, 0.5)
        self.cov[0, 0] += LEVEL_NOISE["days" if self.window_ms >= DAY_MS else "hours"]
        ph = self.cov @ h
        noise = self._dispersion(observation, now) / count + self.own
        total = float(ph @ h) + noise
        error = (observation.successes - now) / count
        # A linear step overshoots where the count is a multiple of what was expected.
        error = math.log1p(error) if error > 1 else error
        error = max(-3.0 * math.sqrt(total), min(3.0 * math.sqrt(total), error))
        self.mean = self.mean + ph * (error / total)
        self.cov = self.cov - np.outer(ph, ph) / total
        pull = 1.02 * min(error * error / total, 9.0) - 1
        self.own = min(max(self.own * math.exp(0.1 * pull * self.own / total), OWN_BOUNDS[0]), OWN_BOUNDS[1])

    def _forecast(self, observation: Observation) -> tuple[float, float]:
        """Expected count, and the variance of its logarithm."""
        h = self._regressors(observation)
        mean = self.mean if self.mean is not None else np.zeros(len(h))
        rate = math.exp(max(-30.0, min(30.0, float(mean @ h))))
        return rate * self._exposure(observation), max(float(h @ self.cov @ h), 1e-6)

    def _dispersion(self, observation: Observation, now: float) -> float:
        """Variance per mean: of a share what is left of one, of a count one."""
        if not observation.trials:
            return 1.0
        return max(0.05, 1.0 - now / observation.trials) if now < observation.trials else 1.0

    def _exposure(self, observation: Observation) -> float:
        return 1.0 if observation.trials is None else float(observation.trials)

    def _regressors(self, observation: Observation) -> Floats:
        middle = (observation.start_ms + observation.end_ms) / 2_000
        local = datetime.fromtimestamp(middle, self.clock)
        if self.window_ms >= DAY_MS:
            return np.array([1.0, *(float(day == local.weekday()) for day in range(7))])
        angle = 2 * math.pi * (local.hour * 60 + local.minute) / 1440
        waves = [wave(k * angle) for k in (1, 2, 3) for wave in (math.cos, math.sin)]
        return np.array([1.0, *waves, float(local.weekday() >= 5)])

    def _prior(self, volume: bool) -> list[float]:
        wide = 4.0 if volume else 1.0
        if self.window_ms >= DAY_MS:
            return [0.3**2, *[(0.1 * wide) ** 2] * 7]
        return [0.3**2, *((0.1 * wide / k) ** 2 for k in (1, 2, 3) for _ in range(2)), (0.07 * wide) ** 2]


def _usable(observation: Observation) -> bool:
    numbers = [observation.successes] if observation.trials is None else [observation.successes, observation.trials]
    return all(math.isfinite(number) and number >= 0 for number in numbers) and observation.trials != 0
