"""Columns: the segments of every leaf as numbers, so that a window is added up by arrays."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.engine.rows import WHOLE, Segment
from streams.engine.segments import MISSING, SAID_UNKNOWN, Leaves

__all__ = ["Columns", "Ints"]

Ints = NDArray[np.int64]

ROOM: Final = 1_024
"""Leaves that the first table has room for; it doubles when they are more."""


class Columns:
    """A column for the whole, each dimension and each configured pair: by leaf, the number of its segment there.

    >>> from streams.engine.segments import Values
    >>> leaves = Leaves((Values("device", 9),), ())
    >>> leaf = leaves.adopt(0, ("ios",))
    >>> columns = Columns(leaves)
    >>> [columns.segment(place, int(numbers[leaf])) for place, numbers in enumerate(columns.numbers())]
    [(), (('device', 'ios'),)]
    """

    def __init__(self, leaves: Leaves) -> None:
        self._leaves = leaves
        self._width = 1 + len(leaves.dimensions)
        self._reused = 0
        self._begin()

    def numbers(self) -> list[Ints]:
        """The columns, each as long as there are leaves."""
        codes = self._leaves.codes
        if codes is not self._codes:
            self._begin()
        reused = self._leaves.reused
        for leaf in reused[self._reused :]:
            if leaf < self._known:
                self._learn(leaf, [codes[leaf]])
        self._reused = len(reused)
        if self._known < len(codes):
            self._learn(self._known, codes[self._known :])
        return list(self._table[:, : self._known])

    def size(self, place: int) -> int:
        """How many numbers the column at that place may hold."""
        if not place:
            return 1
        if place < self._width:
            return len(self._leaves.dimensions[place - 1].names)
        return len(self._pairs[place - self._width])

    def segment(self, place: int, number: int) -> Segment:
        """The segment of a number in the column at that place."""
        if not place:
            return WHOLE
        if place < self._width:
            values = self._leaves.dimensions[place - 1]
            return ((values.name, values.names[number]),)
        one, two = self._leaves.pairs[place - self._width]
        first, second = self._pairs[place - self._width][number]
        return (*self.segment(one + 1, first), *self.segment(two + 1, second))

    def _begin(self) -> None:
        self._codes = self._leaves.codes
        """The list that the columns are made from: the leaves begin a new one when some are dropped."""
        self._known = 0
        self._reused = 0
        self._pairs: list[list[tuple[int, int]]] = [[] for _ in self._leaves.pairs]
        self._pair_ids: list[dict[tuple[int, int], int]] = [{} for _ in self._leaves.pairs]
        self._table = np.zeros((self._width + len(self._pairs), ROOM), np.int64)

    def _learn(self, start: int, codes: list[tuple[int, ...]]) -> None:
        """Take in the codes of the leaves from ``start`` on."""
        end = start + len(codes)
        if end > self._table.shape[1]:
            table = np.zeros((len(self._table), 2 * end), np.int64)
            table[:, : self._known] = self._table[:, : self._known]
            self._table = table
        new = self._table[:, start:end]
        new[1 : self._width] = np.array(codes, np.int64).reshape(len(codes), self._width - 1).T
        new[1 : self._width][new[1 : self._width] == SAID_UNKNOWN] = MISSING
        for place, (one, two) in enumerate(self._leaves.pairs):
            known, ids = self._pairs[place], self._pair_ids[place]
            for leaf, pair in enumerate(zip(new[one + 1].tolist(), new[two + 1].tolist(), strict=True)):
                if pair not in ids:
                    ids[pair] = len(known)
                    known.append(pair)
                new[self._width + place, leaf] = ids[pair]
        self._known = max(self._known, end)
