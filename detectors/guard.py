"""In front of every detector: what is not a number, out of order, stale or too early never reaches it."""

from __future__ import annotations

import math
from typing import Literal

from detectors.base import Detector, Observation, Score

__all__ = ["Guard", "Readiness", "usable"]

Readiness = Literal["ready", "warming_up", "waiting"]

SILENT = Score(0.0)


def usable(observation: Observation) -> bool:
    """Whether every number of an observation is finite, its counts are not negative and its value is known.

    >>> usable(Observation("orders", (), 0, 60_000, 3.0, 3, None))
    True
    >>> usable(Observation("payment_success_ratio", (), 0, 60_000, None, 0, 0))
    False
    """
    numbers = [observation.value, observation.successes]
    numbers += [] if observation.trials is None else [observation.trials]
    return all(number is not None and math.isfinite(number) for number in numbers) and observation.successes >= 0


class Guard(Detector):
    """A detector that cannot be harmed by its input.

    One NaN leaves several of River's estimators broken for ever, and many score nonsense before they have learnt.

    Parameters
    ----------
    detector
        What is guarded; it sees usable windows only, each once and in order.
    warm_up
        Usable windows before the first score.
    settle
        Usable windows without a score after a gap of more than ``gap_ms``.
    gap_ms
        Time without a usable window that counts as a gap.
    """

    def __init__(self, detector: Detector, warm_up: int = 60, settle: int = 1, gap_ms: int = 600_000) -> None:
        self.detector, self.warm_up, self.settle, self.gap_ms = detector, warm_up, settle, gap_ms
        self.learnt = 0
        self.last_ms: int | None = None
        self.unsettled = 0

    def readiness(self, observation: Observation) -> Readiness:
        """Whether a score of this observation means something."""
        if not usable(observation) or self._stale(observation):
            return "waiting"
        if self.learnt < self.warm_up:
            return "warming_up"
        return "waiting" if self.unsettled or self._gap(observation) else "ready"

    def score_one(self, observation: Observation) -> Score:
        """The detector's score, or a silent one where it would mean nothing."""
        if self.readiness(observation) != "ready":
            return SILENT
        score = self.detector.score_one(observation)
        return score if math.isfinite(score.score) and score.score >= 0 else SILENT

    def learn_one(self, observation: Observation) -> None:
        """Let the detector learn a usable window."""
        if not usable(observation) or self._stale(observation):
            return
        if self._gap(observation):
            self.unsettled = self.settle
        self.unsettled = max(0, self.unsettled - 1)
        self.detector.learn_one(observation)
        self.learnt += 1
        self.last_ms = observation.end_ms

    def skip_one(self, observation: Observation) -> None:
        """Note a usable window that must not be learnt, because a verdict stands."""
        if usable(observation) and not self._stale(observation):
            self.last_ms = observation.end_ms

    def _stale(self, observation: Observation) -> bool:
        return self.last_ms is not None and observation.end_ms <= self.last_ms

    def _gap(self, observation: Observation) -> bool:
        return self.last_ms is not None and observation.end_ms - self.last_ms > self.gap_ms
