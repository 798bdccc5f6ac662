"""A crowd: shoppers arrive that no day's shape foretold, and what is usual means less for a while."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["NOW", "Surge"]

BEFORE, NOW = 45, 5
JUMP = 1.25
NATS = 14.0
BACK, CALM = 1.12, 15
"""A crowd has left when the sessions of so many windows come to less than so much of what was expected."""

UNTOLD = 240
"""Longest crowd where nothing is expected: the hour before it tells little of what is usual by then."""

LASTING = 1440
"""What stays for a day is no crowd but the new normal."""

AFTER = 45
"""Windows behind its end in which the crowd's carts are still on their way."""


class Surge:
    """Watches sessions for a jump over the level of the hour before it, and for a rise over what is expected.

    Examples
    --------
    >>> surge = Surge()
    >>> [surge.learn(count) for count in [100.0] * 60 + [230.0] * 5][-1]
    True
    """

    def __init__(self) -> None:
        self.recent: deque[tuple[float, float | None]] = deque(maxlen=BEFORE + NOW)
        self.sure = 0
        """Windows up to now in which it was known what to expect."""
        self.known = False
        """Whether that was known at any time since the crowd came."""
        self.level: float | None = None
        self.lasted = 0
        self.behind = AFTER + 1
        self.stayed = False

    @property
    def active(self) -> bool:
        """Whether a crowd is there."""
        return self.level is not None

    @property
    def felt(self) -> bool:
        """Whether a crowd is there, or has just left."""
        return self.active or self.behind <= AFTER

    @property
    def settled(self) -> bool:
        """Whether this window has made the crowd the new normal."""
        return self.stayed and self.behind == 0

    def learn(self, count: float, expected: float | None = None, *, sure: bool = False, risen: bool = False) -> bool:
        """Take the sessions of a window; whether a crowd is felt now.

        Parameters
        ----------
        expected
            What was expected of them, if anything.
        sure
            Whether that is known well enough to say that a crowd has left.
        risen
            Whether it is certain that more come than were expected.
        """
        self.recent.append((count, expected))
        self.sure = self.sure + 1 if sure and expected is not None else 0
        self.stayed = self.stayed and (risen or self.settled)
        if self.level is None:
            self.behind += 1
            self._begin(expected, risen=risen)
        else:
            self._go_on()
        return self.felt

    def _begin(self, expected: float | None, *, risen: bool) -> None:
        told = [count for count, _ in self.recent]
        if len(told) < BEFORE + NOW:
            return
        before, now = told[:BEFORE], told[-NOW:]
        level, high = sum(before[-30:]) / 30, sum(now)
        if risen and not self.stayed and expected is not None and high >= JUMP * expected * NOW:
            self.level, self.lasted, self.known = expected, 0, True
            return
        usual = max(level, expected or 0.0) * NOW
        if usual <= 0 or high < JUMP * usual:
            return
        spread = sum((count - sum(before) / BEFORE) ** 2 for count in before) / BEFORE
        phi = max(1.0, spread / max(sum(before) / BEFORE, 1e-9))
        if (high * math.log(high / usual) - high + usual) / phi >= NATS:
            self.level, self.lasted, self.known = max(level, expected or 0.0), 0, False

    def _go_on(self) -> None:
        self.lasted += 1
        self.known = self.known or self.sure >= CALM
        gone = self._left()
        if gone or self.lasted > (LASTING if self.known else UNTOLD):
            self.stayed = not gone and self.known
            self.level, self.behind = None, 0
            self.recent.clear()

    def _left(self) -> bool:
        told = list(self.recent)
        if self.lasted < CALM:
            return False
        if self.sure >= CALM:
            # The day goes on behind a crowd: what was usual when it came is not when it leaves.
            return _over(told[-CALM:]) < BACK
        if not self.known:
            return sum(count for count, _ in told[-NOW:]) < BACK * NOW * (self.level or 0.0)
        # It came on a day that was known, and stays into one that is not, such as the first Saturday: the guess may be
        # far off, but that does not come about within the hour.
        now, before = told[-CALM:], told[:-CALM]
        if len(before) < CALM or JUMP * _over(now) >= _over(before):
            return False
        low, usual = sum(count for count, _ in now), _over(before) * sum(expected or 0.0 for _, expected in now)
        return usual - low + (low * math.log(low / usual) if low > 0 else 0.0) >= NATS / 2


def _over(told: list[tuple[float, float | None]]) -> float:
    """Sessions over what was expected of them."""
    return sum(count for count, _ in told) / max(sum(expected or 0.0 for _, expected in told), 1e-9)
