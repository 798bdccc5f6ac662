"""A plain online scorer of one series of values, for any interval and unit: look, then learn, in one call."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

__all__ = ["OnlineScorer", "make_detector"]

Floats = NDArray[np.float64]

DAY = 86_400.0
HARMONICS = 4
WEEK_HARMONICS = 3
HORIZONS = (1, 3, 6, 12)
"""Values in a row whose surprise is added up: a cliff is seen by the first, a slope by the last."""

SLOTS = 96
"""Quarter-hours of a day, of weekdays and of weekends: what waves are too smooth for, such as an edge."""

DRIFT = 1e-2
DRIFT_BOUNDS = (1e-3, 3.0)
"""Variance by which the level moves from one value to the next, in that of the noise; learnt, within bounds."""

DRIFT_RATE = 0.02

LEAST_BORDER = 4.0
WARM_UP = 40
MILLISECONDS = 1e11
"""Numbers above this are milliseconds since 1970: as seconds they would be in the year 5138."""


class OnlineScorer:
    """Scores each value by what the values before it make likely; the score is in [0, 1), 0.5 is the border.

    A local level, a day and a week shape, tracked by a Kalman filter on a scale that tames large values; its noise
    and the usual size of its surprises are learnt on the way. A value that is no number scores 0 and is not learnt.

    Examples
    --------
    >>> detector = make_detector()
    >>> calm = [detector.score_one(300 * n, 100 + n % 3) for n in range(500)]
    >>> max(calm) < 0.5 < detector.score_one(300 * 500, 20)
    True
    """

    def __init__(self) -> None:
        size = 1 + 2 * HARMONICS + 2 * WEEK_HARMONICS
        self.mean: Floats = np.zeros(size)
        self.cov: Floats = np.diag([4.0, *[0.3] * (2 * HARMONICS), *[0.1] * (2 * WEEK_HARMONICS)])
        self.noise = 0.05
        self.drift = DRIFT
        self.before = 0.0
        self.slots: Floats = np.zeros(2 * SLOTS)
        self.slot_days: Floats = np.zeros(2 * SLOTS)
        self.scale: float | None = None
        self.seen = 0
        self.last: float | None = None
        self.interval: float | None = None
        self.recent: list[float] = []
        self.border = LEAST_BORDER
        self.first: list[float] = []

    def score_one(self, timestamp: datetime | float | str, value: float) -> float:
        """The score of a value in [0, 1), after which it is learnt.

        Parameters
        ----------
        timestamp
            A date-time, its ISO text, or seconds or milliseconds since 1970; not older than the last one.
        value
            Any number.
        """
        moment = _seconds(timestamp)
        if value is None or not math.isfinite(value) or (self.last is not None and moment < self.last):
            return 0.0
        value = float(value)
        if self.scale is None:
            self._begin(moment, value)
            return 0.0
        score = self._step(moment, math.asinh(value / self.scale))
        return score if self.seen > WARM_UP else 0.0

    def _begin(self, moment: float, value: float) -> None:
        """The first values give the scale; they are too few for anything else."""
        self.first.append(value)
        self.last = moment
        if len(self.first) < 12:
            return
        middle = float(np.median(self.first))
        spread = float(np.median(np.abs(np.array(self.first) - middle)))
        # A series that crosses zero is not multiplicative: there the scale is wide, so that nothing is bent.
        self.scale = max(abs(middle) / 2, spread if min(self.first) >= 0 else 10 * spread, 1e-9)
        told = np.arcsinh(np.array(self.first) / self.scale)
        self.mean[0] = float(np.median(told))
        self.noise = max(float(np.median(np.abs(told - self.mean[0]))) ** 2 * 2.2, 1e-6)
        self.first = []

    def _step(self, moment: float, value: float) -> float:
        gap = max(1.0, moment - (self.last if self.last is not None else moment))
        self.interval = gap if self.interval is None else self.interval + 0.1 * (gap - self.interval)
        steps = min(gap / max(self.interval, 1.0), 1000.0)
        self.last = moment
        h = _regressors(moment)
        self.cov[0, 0] += self.drift * self.noise * max(1.0, steps)
        ph = self.cov @ h
        total = float(ph @ h) + self.noise
        slot = _slot(moment)
        error = value - float(self.mean @ h) - float(self.slots[slot])
        surprise = error / math.sqrt(total)
        self.recent = [*self.recent[-(HORIZONS[-1] - 1) :], max(-12.0, min(12.0, surprise))] if steps < 5 else []
        sums = [abs(sum(self.recent[-n:])) / math.sqrt(n) for n in HORIZONS if len(self.recent) >= n]
        strength = max([abs(surprise), *sums[1:]])
        score = strength / self.border
        self._learn(ph, total, error, strength)
        self._learn_slot(slot, error, total)
        self._learn_drift(surprise, steps)
        return score * score / (1 + score * score)

    def _learn(self, ph: Floats, total: float, error: float, strength: float) -> None:
        self.seen += 1
        limit = 3.0 * math.sqrt(total)
        clipped = max(-limit, min(limit, error))
        gain = ph / total
        self.mean += gain * clipped
        self.cov -= np.outer(gain, ph)
        weight = max(0.005, 1 / (20 + self.seen))
        ratio = min(clipped * clipped / total, 9.0)
        self.noise = max(self.noise * (1 + weight * (1.02 * ratio - 1)), 1e-9)
        # The border climbs quickly to the surprises that come all the time, and sinks slowly.
        usual = 1.15 * min(strength, 3 * self.border)
        rise = 0.08 if usual > self.border else 0.0005
        self.border = max(LEAST_BORDER, self.border + rise * (usual - self.border))

    def _learn_slot(self, slot: int, error: float, total: float) -> None:
        """A quarter-hour is believed by and by, an odd day in it little."""
        self.slot_days[slot] += 1
        limit = 3.0 * math.sqrt(total)
        weight = max(0.05, 1 / (6 + float(self.slot_days[slot])))
        self.slots[slot] += weight * max(-limit, min(limit, error))

    def _learn_drift(self, surprise: float, steps: float) -> None:
        """Errors that follow each other on one side: the level moves more than was thought; in turns: less."""
        surprise = max(-3.0, min(3.0, surprise))
        if steps < 5:
            moved = self.drift * math.exp(DRIFT_RATE * surprise * self.before)
            self.drift = max(DRIFT_BOUNDS[0], min(DRIFT_BOUNDS[1], moved))
        self.before = surprise


def make_detector() -> OnlineScorer:
    """A fresh scorer with its defaults: ``score_one(timestamp, value)`` gives a score in [0, 1)."""
    return OnlineScorer()


def _seconds(timestamp: datetime | float | str) -> float:
    if isinstance(timestamp, str):
        timestamp = datetime.fromisoformat(timestamp)
    if isinstance(timestamp, datetime):
        return (timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)).timestamp()
    return timestamp / 1000 if abs(timestamp) > MILLISECONDS else float(timestamp)


def _slot(moment: float) -> int:
    """The quarter of the day; those of Saturdays and Sundays come behind the others."""
    weekend = int(moment // DAY + 3) % 7 >= 5
    return int(moment % DAY // (DAY / SLOTS)) + SLOTS * weekend


def _regressors(moment: float) -> Floats:
    day, week = 2 * math.pi * moment / DAY, 2 * math.pi * moment / (7 * DAY)
    told = [1.0]
    for angle, count in ((day, HARMONICS), (week, WEEK_HARMONICS)):
        for k in range(1, count + 1):
            told += [math.cos(k * angle), math.sin(k * angle)]
    return np.array(told)
