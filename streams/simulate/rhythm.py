"""When shoppers come: the shape of the day and the week in local time, and a slow wandering around it."""

from __future__ import annotations

from datetime import UTC, datetime
from math import exp
from random import Random
from zoneinfo import ZoneInfo

from streams.simulate.spec import ShopSpec

__all__ = ["Rhythm"]

HOURS = (
    *(0.62, 0.38, 0.24, 0.17, 0.14, 0.18, 0.33, 0.58, 0.82, 1.02, 1.14, 1.16),
    *(1.26, 1.22, 1.10, 1.08, 1.08, 1.06, 1.10, 1.34, 1.68, 1.86, 1.62, 1.08),
)
"""Traffic at each full hour; between them straight lines."""

WEEKDAYS = (0.97, 0.95, 0.95, 0.96, 1.00, 1.09, 1.08)
NIGHT_MOOD = -0.10
"""Shoppers of the small hours put less into their carts."""

KNOT_MS = 10 * 60_000
DAY_MS = 86_400_000


class Rhythm:
    """Traffic and mood at a moment, as factors around 1.

    Parameters
    ----------
    spec
        Its ``rhythm`` (0 flat, 1 full), ``noise`` (standard deviation) and time zone are used.
    """

    def __init__(self, spec: ShopSpec) -> None:
        self._zone = ZoneInfo(spec.time_zone)
        self._depth, self._noise, self._seed = spec.rhythm, spec.noise, spec.seed
        self._mean = sum(HOURS) / len(HOURS)
        self._knots: dict[tuple[int, int], float] = {}

    def traffic(self, at_ms: int) -> float:
        """Sessions at this moment over the mean of a week."""
        hour, weekday = self._local(at_ms)
        before = int(hour)
        part = hour - before
        shape = (HOURS[before] * (1 - part) + HOURS[(before + 1) % 24] * part) / self._mean * WEEKDAYS[weekday]
        return (1 + self._depth * (shape - 1)) * exp(self._wander(at_ms, 1))

    def mood(self, at_ms: int) -> float:
        """Readiness to put something into the cart, over its mean."""
        hour, _ = self._local(at_ms)
        night = NIGHT_MOOD * self._depth if 1 <= hour < 6 else 0.0
        return exp(night + 0.5 * self._wander(at_ms, 2))

    def _local(self, at_ms: int) -> tuple[float, int]:
        moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone)
        return moment.hour + moment.minute / 60 + moment.second / 3600, moment.weekday()

    def _wander(self, at_ms: int, stream: int) -> float:
        """A smooth curve through random knots ten minutes apart."""
        if not self._noise:
            return 0.0
        knot, rest = divmod(at_ms, KNOT_MS)
        part = rest / KNOT_MS
        return self._noise * (self._knot(knot, stream) * (1 - part) + self._knot(knot + 1, stream) * part)

    def _knot(self, knot: int, stream: int) -> float:
        known = self._knots.get((knot, stream))
        if known is None:
            draw = Random(f"{self._seed}/{stream}/{knot}").random
            if len(self._knots) > 10_000:
                self._knots.clear()
            known = self._knots[knot, stream] = sum(draw() for _ in range(12)) - 6.0
        return known
