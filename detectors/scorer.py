"""A plain online scorer of one series of values, for any interval and unit: look, then learn, in one call."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from detectors.forecast import Forecast

__all__ = ["OnlineScorer", "make_detector"]

Floats = NDArray[np.float64]

BORDER = 3.3
"""News that scores 0.5, in nats: 27 times less likely than what was told of late."""

STALE, FADE = 0.5, 0.998
"""Share of the strongest evidence of late that is no news any more, and what is left of it from value to value."""

SETTLE = 0.95
"""What is left, from value to value, of evidence that was over the border: a step is told once, unless it grows."""

STARTS = (12, 96, 768)
"""Values after which the scale is taken anew, should it be another by then: the first may all lie at night."""

WARM_UP = 40
HORIZONS = np.array([1.0, 4.0, 16.0])
"""Values over which errors are averaged: a cliff is seen by the first, a slope by the last."""

SPREADS = np.array([12.0, 48.0])
"""Values over which the size of the errors is averaged: noise that grows, spikes that come closer, a line gone flat."""

USUAL = 1000
CAP = 10.0
"""Standard deviations that one error adds to an average at most; alone it counts in full."""

ORDERS = np.array([1.0, 2.0, 4.0])
NORMAL = np.array([0.4, 0.5, 1.5])
"""Moments of these orders of the upper half of a normal distribution: what is believed before anything is learnt."""

BELIEF, MEMORY = 60, 3000
"""Values that the belief is worth, and that are remembered."""

OVER = 0.95
AGE = 2.0

LEARNT = 16.0
"""Evidence, in nats, that one value is learnt with at most: a second one like it is to be seen, a tenth is usual."""

CAUTION = 0.1
"""Least deviation to begin with, a tenth of the level: the first hours may be nights, when nothing moves at all."""

MILLISECONDS = 1e11
"""Numbers above this are milliseconds since 1970: as seconds they would be in the year 5138."""


class OnlineScorer:
    """Scores each value by what the values before it make likely; the score is in [0, 1), 0.5 is the border.

    The error of a `Forecast`, its averages, its spread and the distance from the usual level are each held against
    all that they were before, by a bound that asks for no distribution; the strongest counts, as far as it is news.
    A value that is no number scores 0 and is not learnt.

    Examples
    --------
    >>> detector = make_detector()
    >>> calm = [detector.score_one(300 * n, 100 + n % 3) for n in range(500)]
    >>> max(calm) < 0.5 < detector.score_one(300 * 500, 20)
    True
    """

    def __init__(self) -> None:
        self.first: list[tuple[float, float]] = []
        self.seen = 0
        self.last: float | None = None
        self.scale: float | None = None
        self._restart(0.0, 1.0)

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
        self.last = moment
        self.seen += 1
        if self.seen <= STARTS[-1]:
            self.first.append((moment, float(value)))
            if self.seen in STARTS:
                self._rescale()
        if self.scale is None:
            return 0.0
        score = self._step(moment, math.asinh(float(value) / self.scale))
        return score if self.seen > WARM_UP else 0.0

    def _rescale(self) -> None:
        """Take the scale that tames large values; where it is another than before, all values so far are told anew."""
        values = np.array([value for _, value in self.first])
        scale = _scale(values)
        if self.scale is None or not 0.5 < scale / self.scale < 2:
            self.scale = scale
            told = np.arcsinh(values / scale)
            level = float(np.median(told[: STARTS[1]]))
            deviation = 1.48 * float(np.median(np.abs(told[: STARTS[1]] - level)))
            self._restart(level, max(deviation, CAUTION))
            for (moment, _), value in zip(self.first[:-1], told.tolist(), strict=False):
                self._step(moment, value)
        if self.seen == STARTS[-1]:
            self.first = []

    def _restart(self, level: float, deviation: float) -> None:
        self.forecast = Forecast(level, deviation**2)
        self.level, self.deviation = level, deviation
        self.errors: Floats = np.zeros(len(HORIZONS))
        self.spreads: Floats = np.full(len(SPREADS), 0.8)
        self.spread = 0.8
        self.steps = 0
        self.moments: Floats = np.tile(NORMAL, (2 * len(HORIZONS) + 2 + 2 * len(SPREADS), 1))
        self.alarm = self.event = 0.0

    def _step(self, moment: float, value: float) -> float:
        self.steps += 1
        sizes = np.maximum(self._sizes(*self.forecast.surprise(moment, value), value), 1e-6)
        # Markov's inequality: the chance of x or more is at most E[X^k] / x^k, whatever the distribution. The best
        # order counts: the first ones for tails over decades, the last for noise that keeps its bounds.
        evidence = (np.log(sizes)[:, None] * ORDERS - np.log(self.moments)).max(axis=1)
        strength = max(0.0, float(evidence.max()))
        news = max(0.0, strength - max(STALE * self.alarm, self.event))
        self.alarm = max(FADE * self.alarm, strength)
        self.event = max(SETTLE * self.event, strength if news > BORDER else 0.0)
        learnt = sizes * np.exp(-np.maximum(evidence - LEARNT, 0.0) / ORDERS[-1])
        self.moments += (learnt[:, None] ** ORDERS - self.moments) / min(self.steps + BELIEF, MEMORY)
        return news / (news + BORDER)

    def _sizes(self, surprise: float, gap: bool, value: float) -> Floats:
        """How far off all is, each of about unit size: errors up and down, level, spread; below nought where not."""
        capped = max(-CAP, min(CAP, surprise))
        if gap:
            self.errors[:] = 0.0
        self.errors += (np.where(HORIZONS == 1, surprise, capped) - self.errors) / HORIZONS
        sums = self.errors * np.sqrt(2 * HORIZONS - 1)
        self.spreads += (abs(capped) - self.spreads) / SPREADS
        ratio = np.maximum(self.spreads, 1e-3) / max(self.spread, 1e-3)
        gain = np.sqrt(2 * SPREADS - 1) / 0.75
        self.spread += (abs(capped) - self.spread) / min(self.steps + 100, USUAL)
        return np.concatenate([sums, -sums, self._levels(value), (ratio - 1) * gain, (1 / ratio - 1) * gain])

    def _levels(self, value: float) -> tuple[float, float]:
        """Distance above and below the usual level, in usual distances; both are learnt slowly."""
        out = value - self.level
        far = out / max(self.deviation, 1e-6)
        weight, limit = 1 / min(self.steps + 20, MEMORY), 4 * self.deviation
        self.level += weight * max(-limit, min(limit, out))
        self.deviation += weight * (1.25 * min(abs(out), limit) - self.deviation)
        return far, -far


def make_detector() -> OnlineScorer:
    """A fresh scorer with its defaults: ``score_one(timestamp, value)`` gives a score in [0, 1)."""
    return OnlineScorer()


def _scale(values: Floats) -> float:
    """Values well above it are judged by their ratio, those below by their distance."""
    middle, mean = float(np.median(values)), float(np.mean(np.abs(values)))
    scale = max(abs(middle) / 2, mean / 4)
    if values.min() < 0:
        # A series that crosses zero is not multiplicative: there the scale is wide, so that nothing is bent.
        scale = max(scale, mean, 10 * float(np.median(np.abs(values - middle))))
    return scale or 1.0


def _seconds(timestamp: datetime | float | str) -> float:
    if isinstance(timestamp, str):
        timestamp = datetime.fromisoformat(timestamp)
    if isinstance(timestamp, datetime):
        return (timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)).timestamp()
    return timestamp / 1000 if abs(timestamp) > MILLISECONDS else float(timestamp)
