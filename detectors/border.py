"""The border of each series: one budget for all, raised where a series is by nature louder than its model knows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Border"]

Floats = NDArray[np.float64]

BASE = 12.5
"""Nats for a window of length one, at one false page a week and ``USUAL`` series."""

USUAL = 17
SEGMENT = 0.75
DAYS = 21
PRIOR_DAYS = np.linspace(7.5, 9.5, 6)
"""Daily maxima of a series whose model is right, taken for granted before its own are known."""

WELL = 9.0
HIGHEST = 5.0


class Border:
    """Nats that a series has to bring.

    A well modelled series has a daily maximum of seven to nine nats whatever its size; one that has more every day is
    modelled badly, and its border rises in proportion. The median passes over the days with incidents.

    Examples
    --------
    >>> border = Border(1.0)
    >>> border.needed(np.array([False, True]), 17).tolist()
    [12.5, 13.25]
    """

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self.factor: Floats = np.ones(0)
        self.today: Floats = np.zeros(0)
        self.days: Floats = np.zeros((0, DAYS))
        self.day: int | None = None

    def base(self, watched: int) -> float:
        """The border of a whole, shared by so many series."""
        return BASE - math.log(self.budget) + math.log(max(watched, USUAL) / USUAL)

    def needed(self, segments: NDArray[np.bool_], watched: int) -> Floats:
        """The border of each series; ``segments`` tells which are no whole."""
        self._grow(len(segments))
        result: Floats = self.factor * (self.base(watched) + np.where(segments, SEGMENT, 0.0))
        return result

    def learn(self, day: int, loudest: Floats) -> None:
        """Take the evidence of a window in, as nats of a window of length one; at the end of a day draw the sum."""
        self._grow(len(loudest))
        if self.day is not None and day != self.day:
            self._close()
        self.day = day
        self.today = np.maximum(self.today, loudest)

    def _close(self) -> None:
        self.days = np.hstack([self.days[:, 1:], self.today[:, None]])
        self.today = np.zeros(len(self.today))
        # A day without a sign is a day that was not seen.
        known = np.where(self.days > 0, self.days, np.nan)
        prior = np.broadcast_to(PRIOR_DAYS, (len(known), len(PRIOR_DAYS)))
        self.factor = np.clip(np.nanmedian(np.hstack([known, prior]), axis=1) / WELL, 1.0, HIGHEST)

    def _grow(self, size: int) -> None:
        more = size - len(self.factor)
        if more > 0:
            self.factor = np.append(self.factor, np.ones(more))
            self.today = np.append(self.today, np.zeros(more))
            self.days = np.vstack([self.days, np.zeros((more, DAYS))])
