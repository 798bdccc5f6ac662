"""A sudden crowd: shoppers arrive that no day's shape foretold, and what is usual means less for a while."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Surge"]

BEFORE, NOW = 45, 5
JUMP = 1.25
NATS = 14.0
BACK = 1.12
LONGEST = 240
AFTER = 45
"""Windows behind its end in which the crowd's carts are still on their way."""


class Surge:
    """Watches sessions for a jump over the level of the hour before it.

    Examples
    --------
    >>> surge = Surge()
    >>> [surge.learn(count) for count in [100.0] * 60 + [230.0] * 5][-1]
    True
    """

    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=BEFORE + NOW)
        self.level: float | None = None
        self.lasted = 0
        self.behind = AFTER + 1

    @property
    def active(self) -> bool:
        """Whether a crowd is there."""
        return self.level is not None

    @property
    def felt(self) -> bool:
        """Whether a crowd is there, or has just left."""
        return self.active or self.behind <= AFTER

    def learn(self, count: float, expected: float | None = None) -> bool:
        """Take the sessions of a window, and what was expected of them; whether a crowd is felt now."""
        self.recent.append(count)
        if self.level is None:
            self.behind += 1
            self._begin(expected)
        else:
            self._go_on()
        return self.felt

    def _begin(self, expected: float | None) -> None:
        told = list(self.recent)
        if len(told) < BEFORE + NOW:
            return
        before, now = told[:BEFORE], told[-NOW:]
        level = sum(before[-30:]) / 30
        high = sum(now)
        usual = max(level, expected or 0.0) * NOW
        if usual <= 0 or high < JUMP * usual:
            return
        spread = sum((count - sum(before) / BEFORE) ** 2 for count in before) / BEFORE
        phi = max(1.0, spread / max(sum(before) / BEFORE, 1e-9))
        if (high * math.log(high / usual) - high + usual) / phi >= NATS:
            self.level, self.lasted = max(level, expected or 0.0), 0

    def _go_on(self) -> None:
        self.lasted += 1
        recent = list(self.recent)[-NOW:]
        if sum(recent) / NOW < BACK * (self.level or 0.0) or self.lasted > LONGEST:
            self.level, self.behind = None, 0
            self.recent.clear()
