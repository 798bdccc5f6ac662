"""Upstream counts at their usual lag: what a step should see now, given who entered the step before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEXT_STEP", "SAME_WINDOW", "WHOLE_FUNNEL", "DelayBank", "DelayLook"]

Floats = NDArray[np.float64]

ONCE = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 4.0])
TWICE = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 11.0, 15.0])
"""Mean lags in minutes of one smoothing, and of two in a row."""

LAGS = np.concatenate([ONCE, TWICE])

SAME_WINDOW, NEXT_STEP, WHOLE_FUNNEL = 0, 4, 12
"""Kernels to begin with: no delay, two minutes (from one step to the next), six (from the visit to the order)."""

SLOWER = np.array([1, 2, 3, 4, 5, 5, *range(7, 17), 16])
FASTER = np.array([0, 0, 1, 2, 3, 4, 6, *range(6, 16)])
"""The neighbours of each kernel among those of its kind."""

LATE = 4, len(LAGS) - 1
"""Kernels that tell whether fewer or more visits end than of late: two minutes, and a long visit."""

CHANCE = 1.0
"""Square roots of a count that those two may differ by without a reason."""

CHANGE_GAIN = 8.0
"""Nats by which another kernel has to be better before it is taken."""

ODD = 4.0
"""Nats that a lag ``e`` times as long or short as the usual one has to make up for, growing with the square; in a few
hours a rate that wanders looks like a lag of a quarter of an hour."""

STEADY = 25
"""Minutes over which the rate counts as steady when kernels are compared; with two hours a rate that follows the day
looks like a shorter lag."""

SHORTEST = 0.25
CAP = 25.0
DAY_DECAY = 0.93


class DelayLook(NamedTuple):
    """The smoothed upstream counts after a window, one column a kernel (``told``), and half-way to those that are
    smoothed twice (``first``); those of the kernel in use (``exposure``), and by how much they may be wrong (``slip``):
    half the difference between the slowest and the fastest that may be true; of what ends after a silence, the
    difference between the last minutes and a long visit."""

    told: Floats
    first: Floats
    exposure: Floats
    slip: Floats


class DelayBank:
    """Exponential kernels from nought to fifteen minutes for every series; the best of them is used.

    An average of mean lag ``m`` has weight ``1 / (1 + m)`` on the present window. ``SAME_WINDOW`` is no delay at all.
    """

    def __init__(self, window_ms: int) -> None:
        per_minute = 60_000 / window_ms
        self.alpha_once = 1 / (1 + ONCE * per_minute)
        self.alpha_twice = 1 / (1 + TWICE * per_minute / 2)
        self.alpha_long = 1 / (1 + STEADY * per_minute)
        self.decay = DAY_DECAY ** (window_ms / 86_400_000)
        width = len(LAGS)
        self.told, self.first = np.zeros((0, width)), np.zeros((0, len(TWICE)))
        self.mean_count, self.mean_exposure = np.zeros(0), np.zeros((0, width))
        self.loss, self.odd = np.zeros((0, width)), np.zeros((0, width))
        self.kernel: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.slowest: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.fastest: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.seen: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.delayed: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self.late: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._any = False
        self.wholes: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        """Numbers of the series whose kernels are compared."""

    def add(self, kernel: int, *, late: bool = False, whole: bool = True) -> None:
        """Take in a new series with a kernel to begin with; ``SAME_WINDOW`` is kept for ever.

        ``late``: its trials end after a silence, and the short ones first. When their number changes, their mix is for
        as long as a long visit not what it was. A segment, no ``whole``, goes with its whole: its own kernels are not
        compared.
        """
        if whole:
            self.wholes = np.append(self.wholes, len(self.kernel))
        self.told = np.vstack([self.told, np.zeros((1, len(LAGS)))])
        self.first = np.vstack([self.first, np.zeros((1, len(TWICE)))])
        self.mean_count = np.append(self.mean_count, 0.0)
        self.mean_exposure = np.vstack([self.mean_exposure, np.zeros((1, self.loss.shape[1]))])
        self.loss = np.vstack([self.loss, np.zeros((1, self.loss.shape[1]))])
        lags = np.log(np.maximum(LAGS, SHORTEST))
        self.odd = np.vstack([self.odd, ODD * (lags - lags[kernel])[None, :] ** 2])
        self.kernel = np.append(self.kernel, kernel)
        fastest, slowest = LATE if late else (FASTER[kernel], SLOWER[kernel])
        self.slowest, self.fastest = np.append(self.slowest, slowest), np.append(self.fastest, fastest)
        self.seen = np.append(self.seen, 0)
        self.delayed = np.append(self.delayed, kernel != SAME_WINDOW)
        self.late = np.append(self.late, late)
        self._any = bool((self.delayed | self.late).any())

    def look(self, upstream: Floats, *, afresh: bool = False) -> DelayLook:
        """What the kernels make of a window's upstream counts; changes nothing.

        ``afresh``: after a gap, what came before it says nothing about who is on the way now.
        """
        if not self._any:
            nothing = np.zeros(len(upstream))
            return DelayLook(self.told, self.first, upstream, nothing)
        column = upstream[:, None]
        first = self.first + self.alpha_twice * (column - self.first)
        told, once = np.empty_like(self.told), len(ONCE)
        told[:, :once] = self.told[:, :once] + self.alpha_once * (column - self.told[:, :once])
        told[:, once:] = self.told[:, once:] + self.alpha_twice * (first - self.told[:, once:])
        new = (self.seen == 0) | afresh
        if new.any():
            told[new], first[new] = column[new], column[new]
        rows = np.arange(len(upstream))
        slower, faster = told[rows, self.slowest], told[rows, self.fastest]
        slip = np.where(self.delayed, (slower - faster) / 2, 0.0)
        changed = np.abs(slower - faster) - CHANCE * np.sqrt(np.maximum(faster, 0.0))
        slip = np.where(self.late, np.maximum(changed, 0.0), slip)
        return DelayLook(told, first, told[rows, self.kernel], slip)

    def learn(self, look: DelayLook, count: Floats, judged: NDArray[np.bool_]) -> None:
        """Take the window in; where ``judged``, each kernel is charged for its own forecast of the count."""
        if not self._any:
            self.seen = self.seen + 1
            return
        told = look.told
        chosen = judged & self.delayed & (self.seen > 30)
        if chosen.any():
            part, seen = told[chosen], count[chosen, None]
            rate = self.mean_count[chosen, None] / np.maximum(self.mean_exposure[chosen], 1e-9)
            guess = np.maximum(part * rate, 1e-6)
            lost = np.where(seen > 0, seen * np.log(np.maximum(seen, 1e-9) / guess), 0.0) - seen + guess
            self.loss[chosen] = self.loss[chosen] * self.decay + np.minimum(lost, CAP)
        own = self.wholes
        first, told, count = (self.seen[own] == 0)[:, None], told[own], count[own]
        mean, exposure = self.mean_count[own], self.mean_exposure[own]
        self.mean_count[own] = np.where(first[:, 0], count, mean + self.alpha_long * (count - mean))
        self.mean_exposure[own] = np.where(first, told, exposure + self.alpha_long * (told - exposure))
        self.told, self.first = look.told, look.first
        self.seen = self.seen + 1

    def choose(self, parent: NDArray[np.int64]) -> None:
        """Take the kernel that lost least where it is clearly better; a segment goes with its whole."""
        rows = np.arange(len(self.kernel))
        loss = self.loss + self.odd
        best = loss.argmin(axis=1)
        better = self.delayed & (loss[rows, self.kernel] - loss[rows, best] > CHANGE_GAIN)
        own = np.where(better, best, self.kernel)
        # What is nearly as good may be the truth, and so may the neighbours of what is best.
        may_be = loss - loss[rows, own][:, None] < CHANGE_GAIN
        slowest = np.where(may_be, LAGS, -1.0).argmax(axis=1)
        fastest = np.where(may_be, LAGS, 99.0).argmin(axis=1)
        slowest = np.where(LAGS[slowest] > LAGS[own], slowest, SLOWER[own])
        fastest = np.where(LAGS[fastest] < LAGS[own], fastest, FASTER[own])
        fastest, slowest = np.where(self.late, LATE[0], fastest), np.where(self.late, LATE[1], slowest)
        up = np.where(parent >= 0, parent, rows)
        self.kernel, self.slowest, self.fastest = own[up], slowest[up], fastest[up]
