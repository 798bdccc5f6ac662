"""Quarter-hours of the day with a level of their own: what the smooth shape of a day misses, such as nightly jobs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.seasonal import SLOTS

__all__ = ["SlotTable"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DAYS = 7
"""Days that a quarter-hour remembers. The middle of them counts, so one incident among them moves nothing."""

FIRST = 0.045
"""Standard deviation of a quarter-hour that was never seen, if the usual one is less."""

ODD_DAYS, ODD_LIMIT = 3, 0.2
"""Up to so many days a quarter-hour that was odd once is in doubt by half of that, so far."""

QUARTILES = 1.35
"""Distance of the quartiles of a normal variable, in standard deviations."""

MEDIAN_LOSS = 1.57
"""Variance of a median over that of a mean."""


class SlotTable:
    """What each of 96 quarter-hours adds to the logarithm of the expected count, and how sure that is.

    An edge that comes every day must become usual even if it pages, and what pages is kept from being learnt
    elsewhere: so here every day counts, alert or not, and only what most days agree on is believed.
    """

    def __init__(self) -> None:
        self.spread: Floats = np.zeros(0)
        self.row: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        """Where each series is in what follows; the first row is noughts, and that of all segments."""
        self.mean: Floats = np.zeros((1, SLOTS))
        self.var: Floats = np.zeros((1, SLOTS))
        self.edge: Floats = np.zeros((1, SLOTS))
        self.days = np.zeros((1, SLOTS, DAYS), dtype=np.float32)
        self.noise = np.zeros((1, SLOTS), dtype=np.float32)
        self.known: NDArray[np.int16] = np.zeros((1, SLOTS), dtype=np.int16)
        self.sums: Floats = np.zeros((3, 0))
        self.slot: int | None = None

    def add(self, spread: float) -> None:
        """Take in a series whose quarter-hours differ by this standard deviation; none for a segment."""
        self.spread = np.append(self.spread, spread)
        self.sums = np.hstack([self.sums, np.zeros((3, 1))])
        self.row = np.append(self.row, len(self.mean) if spread > 0 else 0)
        if spread <= 0:
            return
        self.mean = np.vstack([self.mean, np.zeros((1, SLOTS))])
        self.var = np.vstack([self.var, np.full((1, SLOTS), max(FIRST, spread) ** 2)])
        self.edge = np.vstack([self.edge, np.zeros((1, SLOTS))])
        self.days = np.concatenate([self.days, np.full((1, SLOTS, DAYS), np.nan, dtype=np.float32)])
        self.noise = np.vstack([self.noise, np.zeros((1, SLOTS), dtype=np.float32)])
        self.known = np.vstack([self.known, np.zeros((1, SLOTS), dtype=np.int16)])

    def scale(self, index: int, by: float) -> None:
        """Give a series less room from the start."""
        self.spread[index] *= by
        self.var[self.row[index]] *= by * by

    def told(self, slot: int) -> Floats:
        """What a quarter-hour adds to each series' logarithm."""
        result: Floats = self.mean[self.row, slot]
        return result

    def doubt(self, slot: int) -> Floats:
        """Variance of each series' logarithm in a quarter-hour; more where the next one is at another level."""
        result: Floats = self.var[self.row, slot] + self.edge[self.row, slot]
        return result

    def learn(self, slot: int, count: Floats, expected: Floats, variance: Floats, live: Flags) -> None:
        """Add a block of a quarter-hour, ``expected`` without what this table adds; ``variance`` is the count's."""
        if self.slot is not None and slot != self.slot:
            self._close(self.slot)
            self.sums[:] = 0.0
        self.slot = slot
        self.sums += np.where(live, np.stack([count, expected, variance]), 0.0)

    def _close(self, slot: int) -> None:
        count, expected, variance = self.sums
        seen = np.flatnonzero((expected > 0.5) & (self.spread > 0))
        if not len(seen):
            return
        count, expected, row = count[seen], expected[seen], self.row[seen]
        found = np.clip(np.log((count + 0.5) / (expected + 0.5)), -3.0, 3.0)
        noise = variance[seen] / expected**2
        known = self.known[row, slot]
        self.days[row, slot, known % DAYS] = found
        old = self.noise[row, slot]
        self.noise[row, slot] = np.where(known == 0, noise, old + (noise - old) / 4)
        self.known[row, slot] = known = known + 1
        self._estimate(slot, row, self.spread[seen], np.minimum(known, DAYS))

    def _estimate(self, slot: int, row: NDArray[np.intp], usual: Floats, known: NDArray[np.int16]) -> None:
        """The middle of the days, shrunk by how far chance alone could have taken it."""
        days = self.days[row, slot].astype(float)
        # Two days may both be odd by chance: until there is a third, a nought is put beside them.
        nought = np.where(known < ODD_DAYS, 0.0, np.nan)
        told = np.sort(np.hstack([days, nought[:, None]]), axis=1)
        rows, last = np.arange(len(row)), known - (known >= ODD_DAYS)
        low, high = told[rows, last // 2], told[rows, (last + 1) // 2]
        middle = np.where(low * high <= 0, 0.0, np.where(np.abs(low) < np.abs(high), low, high))
        # Days that disagree by more than chance doubt their middle: they were of two kinds, or the smooth shape was
        # still on its way.
        chance, (lower, upper) = self.noise[row, slot], np.nanquantile(days, (0.25, 0.75), axis=1)
        spread = ((upper - lower) / QUARTILES) ** 2
        noise = MEDIAN_LOSS * np.maximum(chance, spread) / known
        room = np.maximum(np.maximum(usual**2, spread - chance), middle**2 - noise)
        self.mean[row, slot] = middle * room / (room + noise)
        self.var[row, slot] = room * noise / (room + noise)
        odd = np.nanmax(np.abs(days), axis=1)
        odd = np.where((known < ODD_DAYS) & (odd**2 > 4 * self.noise[row, slot]), np.minimum(odd, ODD_LIMIT) / 2, 0.0)
        self.var[row, slot] += odd**2
        for near in (slot - 1, slot, slot + 1):
            here, before, behind = (self.mean[row, (near + by) % SLOTS] for by in (0, -1, 1))
            step = np.maximum(np.abs(here - before), np.abs(here - behind))
            # A step of a few percent between neighbours is chance; a sharp edge seldom falls on the quarter.
            self.edge[row, near % SLOTS] = np.where(step > usual, (step / 2) ** 2, 0.0)
