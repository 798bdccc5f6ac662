"""What a plain series does next, told value by value: a level that moves, a day and a week, a table of sharp edges."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Forecast"]

Floats = NDArray[np.float64]

HOUR, DAY, WEEK = 3600.0, 86_400.0, 7 * 86_400.0
HARMONICS = 4
WEEK_HARMONICS = 3
SLOTS = 96
"""Quarter-hours of a day, of weekdays and of weekends: what waves are too smooth for, such as an edge."""

TWELFTHS = 12
"""Five minutes of an hour: jobs that run every hour."""

CLIP, SLOT_CLIP = 3.0, 10.0
"""Standard deviations that one value may move the waves by, and a table: there an edge is much at once, every day."""

DRIFT = 1e-2
DRIFT_BOUNDS = (1e-3, 3.0)
"""Variance by which the level moves from one value to the next, in that of the noise; learnt, within bounds."""

DRIFT_RATE = 0.02
LEAST_NOISE = 1e-9
GAP = 5.0
"""Usual intervals without a value behind which two values say nothing about each other."""


class Forecast:
    """A Kalman filter over level and waves, with tables of what is left by quarter of the day and by part of the hour.

    The noise is learnt, and so is how fast the level moves: errors that stay on one side let it move more.

    Parameters
    ----------
    level, noise
        Where the level begins, and the variance around it.
    """

    def __init__(self, level: float, noise: float) -> None:
        size = 1 + 2 * HARMONICS + 2 * WEEK_HARMONICS
        self.mean: Floats = np.zeros(size)
        self.mean[0] = level
        self.noise = max(noise, LEAST_NOISE)
        # In units of the noise: a quiet hour at the begin says little about a day that turns out to be wilder.
        prior = [4.0, *[0.3] * (2 * HARMONICS), *[0.1] * (2 * WEEK_HARMONICS)]
        self.cov: Floats = np.diag(prior) / self.noise
        self.drift = DRIFT
        self.before = 0.0
        self.seen = 0
        self.slots: Floats = np.zeros(2 * SLOTS)
        self.slot_values: Floats = np.zeros(2 * SLOTS)
        self.twelfths: Floats = np.zeros(TWELFTHS)
        self.twelfth_values: Floats = np.zeros(TWELFTHS)
        self.last: float | None = None
        self.interval: float | None = None

    def surprise(self, moment: float, value: float) -> tuple[float, bool]:
        """The error in standard deviations, and whether a gap lies before it; then the value is learnt."""
        steps = self._steps(moment)
        regressors = _regressors(moment)
        self.cov[0, 0] += self.drift * max(1.0, steps)
        spread = self.cov @ regressors
        total = self.noise * (float(spread @ regressors) + 1.0)
        slot, twelfth = _slot(moment), int(moment % HOUR // (HOUR / TWELFTHS))
        if self.slot_values[slot] == 0:
            # The first Saturday begins as what weekdays know, or a week that begins with it the other way round.
            self.slots[slot] = self.slots[slot - SLOTS]
        error = value - float(self.mean @ regressors) - float(self.slots[slot]) - float(self.twelfths[twelfth])
        surprise = error / math.sqrt(total)
        self._learn(spread, total, error)
        self._learn_tables(slot, twelfth, error, total)
        self._learn_drift(surprise, steps)
        return surprise, steps >= GAP

    def _steps(self, moment: float) -> float:
        """How many usual intervals have passed."""
        gap = 1.0 if self.last is None else max(1.0, moment - self.last)
        self.interval = gap if self.interval is None else self.interval + 0.1 * (gap - self.interval)
        self.last = moment
        return min(gap / max(self.interval, 1.0), 1000.0)

    def _learn(self, spread: Floats, total: float, error: float) -> None:
        self.seen += 1
        limit = CLIP * math.sqrt(total)
        clipped = max(-limit, min(limit, error))
        gain = spread * (self.noise / total)
        self.mean += gain * clipped
        self.cov -= np.outer(gain, spread)
        weight = max(0.005, 1 / (8 + self.seen))
        self.noise = max(self.noise * (1 + weight * (1.02 * clipped * clipped / total - 1)), LEAST_NOISE)

    def _learn_tables(self, slot: int, twelfth: int, error: float, total: float) -> None:
        limit = SLOT_CLIP * math.sqrt(total)
        clipped = max(-limit, min(limit, error))
        self.slot_values[slot] += 1
        self.slots[slot] += max(0.05, 1 / (3 + float(self.slot_values[slot]))) * clipped
        self.twelfth_values[twelfth] += 1
        self.twelfths[twelfth] += max(0.01, 1 / (6 + float(self.twelfth_values[twelfth]))) * clipped

    def _learn_drift(self, surprise: float, steps: float) -> None:
        """Errors that follow each other on one side: the level moves more than was thought; in turns: less."""
        surprise = max(-CLIP, min(CLIP, surprise))
        if steps < GAP:
            moved = self.drift * math.exp(DRIFT_RATE * surprise * self.before)
            self.drift = max(DRIFT_BOUNDS[0], min(DRIFT_BOUNDS[1], moved))
        self.before = surprise


def _slot(moment: float) -> int:
    """The quarter of the day; those of Saturdays and Sundays come behind the others."""
    weekend = int(moment // DAY + 3) % 7 >= 5
    return int(moment % DAY // (DAY / SLOTS)) + SLOTS * weekend


def _regressors(moment: float) -> Floats:
    told = [1.0]
    for period, count in ((DAY, HARMONICS), (WEEK, WEEK_HARMONICS)):
        angle = 2 * math.pi * moment / period
        for k in range(1, count + 1):
            told += [math.cos(k * angle), math.sin(k * angle)]
    return np.array(told)
