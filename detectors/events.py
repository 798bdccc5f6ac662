"""Campaigns and crowds: times in which other shoppers come, so that rates are not what they usually are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.base import SegmentKey
from detectors.seasonal import EVENT_TAIL_MS, Basis

__all__ = ["EventClock"]

Flags = NDArray[np.bool_]

AFTER_MS = 25 * 60_000
"""Time behind an event, its tail included, in which rates may still be moved by it."""

LONG_VISIT_MS = 45 * 60_000
"""Time behind its delay in which a delayed KPI still tells of those who came last."""

DAY_MS = 86_400_000
NEVER = -(1 << 60)


class EventClock:
    """Which series feel an event at a moment: announced ones by their scope, crowds that were noticed everywhere.

    Parameters
    ----------
    window_ms
        Length of a window.
    """

    def __init__(self, window_ms: int) -> None:
        self.window_ms = window_ms
        self.segments: list[SegmentKey] = []
        self.crowds: list[tuple[int, int]] = []
        self.tails: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.open: Flags = np.zeros(0, dtype=bool)
        self.last_ms: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def add(self, segment: SegmentKey, delay_ms: int = 0) -> None:
        """Take in a series of a segment, or of the whole, that tells what happened so long ago."""
        self.segments.append(segment)
        tail = EVENT_TAIL_MS if delay_ms == 0 else delay_ms + LONG_VISIT_MS
        self.tails = np.append(self.tails, tail)
        self.open = np.append(self.open, False)
        self.last_ms = np.append(self.last_ms, NEVER)

    def crowd(self, begin_ms: int, end_ms: int) -> None:
        """A crowd was there in a window; windows that touch, or nearly so, are one crowd."""
        if self.crowds and begin_ms - self.crowds[-1][1] <= 5 * self.window_ms:
            self.crowds[-1] = (self.crowds[-1][0], max(end_ms, self.crowds[-1][1]))
        else:
            self.crowds = [*self.crowds[-7:], (begin_ms, end_ms)]

    def flags(self, basis: Basis, moment_ms: int) -> Flags:
        """Which series feel an event at a moment."""
        felt = np.zeros(len(self.segments), dtype=bool)
        for begin, end in self.crowds:
            if begin <= moment_ms:
                felt |= moment_ms < end + self.tails
        for note in basis.notes:
            # A holiday of one segment is no Sunday of the shop: it moves that segment as a campaign does.
            if (note.kind == "campaign" or note.scope) and note.start_ms <= moment_ms < note.end_ms + DAY_MS:
                lasts = moment_ms < note.end_ms + self.tails
                # A campaign for one segment moves that, and the whole through it.
                felt |= lasts & [not note.scope or segment in ((), note.scope) for segment in self.segments]
        return felt

    def windows_since(self, felt: Flags, moment_ms: int) -> NDArray[np.int64]:
        """How many windows ago each series last felt an event or what it left behind; nought while it does."""
        last = np.where(felt, moment_ms, self.last_ms)
        since: NDArray[np.int64] = np.maximum(0, moment_ms - last - AFTER_MS) // self.window_ms
        return since
