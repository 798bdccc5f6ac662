"""One series by itself: successes of trials, or a count, judged by the scan behind the detector contract."""

from __future__ import annotations

import math
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from detectors.base import Detector, Observation, Score, VerdictKind
from detectors.delay import NEXT_STEP, SAME_WINDOW
from detectors.reading import Reading, read
from detectors.scan import Look, Scan, SeriesSpec
from detectors.seasonal import rate_basis, volume_basis

__all__ = ["CountDetector", "RatioDetector"]


class _ScanDetector(Detector):
    """A scan with one series in it."""

    volume = False

    def __init__(
        self,
        window_ms: int = 60_000,
        zone: str = "UTC",
        hurts: Literal["down", "up"] = "down",
        delayed: bool = False,
        border: float = 13.5,
    ) -> None:
        self.window_ms, self.zone, self.hurts, self.delayed, self.border = window_ms, zone, hurts, delayed, border
        basis = volume_basis(ZoneInfo(zone)) if self.volume else rate_basis(ZoneInfo(zone))
        self.scan = Scan(basis, window_ms)
        self.first: int | None = None

    def score_one(self, observation: Observation) -> Score:
        """Evidence over the border, the longest stretch it comes from, and what was expected of this window."""
        if self.first is None or not self._usable(observation):
            return Score(0.0)
        reading = self._read(observation)
        if not reading.ready[0]:
            return Score(0.0)
        scale = self._scale(observation)
        kind: VerdictKind | None = "rise" if self.hurts == "up" else "drop"
        if reading.observed[0] == 0 and self.hurts == "down":
            kind = "stop"
        return Score(
            score=float(reading.score[0]),
            expected=float(reading.expected_now[0]) * scale,
            lower=float(reading.lower_now[0]) * scale,
            upper=float(reading.upper_now[0]) * scale,
            since_ms=int(reading.since[0]) * self.window_ms,
            kind=kind if reading.score[0] >= 1 else None,
        )

    def learn_one(self, observation: Observation) -> None:
        """Take the window in; it is learnt when it is too old to be judged."""
        step = observation.end_ms // self.window_ms
        if not self._usable(observation) or (self.scan.step is not None and step <= self.scan.step):
            return
        if self.first is None:
            self.first = step
            kernel = NEXT_STEP if self.delayed else SAME_WINDOW
            sure = not self.volume and not self.delayed
            self.scan.add(SeriesSpec(self.volume, kernel, self._side(), binomial=sure), step=step - 1)
        self.scan.learn(self._look(observation))

    def _side(self) -> int:
        return -1 if self.hurts == "down" else 1

    def _look(self, observation: Observation) -> Look:
        step = observation.end_ms // self.window_ms
        trials = 1.0 if observation.trials is None else float(observation.trials)
        count = np.array([float(observation.successes)])
        return self.scan.look(step, count, np.array([trials]), np.ones(1, dtype=bool))

    def _read(self, observation: Observation) -> Reading:
        return read(self.scan, self._look(observation), np.array([self.border]))

    def _usable(self, observation: Observation) -> bool:
        numbers = [observation.successes] if observation.trials is None else [observation.successes, observation.trials]
        return all(math.isfinite(number) and number >= 0 for number in numbers)

    def _scale(self, observation: Observation) -> float:
        """From counts to the unit of the value."""
        if not observation.trials:
            return 1.0
        return 1.0 / observation.trials


class RatioDetector(_ScanDetector):
    """Successes of trials: a binomial with overdispersion learnt, never the history of the ratio's own values.

    Parameters
    ----------
    window_ms
        Length of a window.
    zone
        Time zone of the shop, for the shape of its day and week.
    hurts
        The side that counts.
    delayed
        Whether successes follow their trials by minutes, as stages of a funnel do; the lag is learnt.
    border
        Nats of evidence, for a window of length one, that are a score of 1.0; 0.7 less doubles the false pages.

    Examples
    --------
    >>> detector = RatioDetector()
    >>> def window(minute, successes):
    ...     return Observation("payment_success_ratio", (), 60_000 * minute, 60_000 * (minute + 1),
    ...                        successes / 100, successes, 100)
    >>> for minute in range(150):
    ...     detector.learn_one(window(minute, 93 - minute % 3))
    >>> detector.score_one(window(150, 92)).score < 0.5 < 2 < detector.score_one(window(150, 10)).score
    True
    """


class CountDetector(_ScanDetector):
    """An overdispersed count with a daily and weekly shape; parameters as of ``RatioDetector``."""

    volume = True
