"""Segments: the values of each dimension, and leaves, the distinct tuples of values that counters are kept by."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from operator import attrgetter
from typing import Any, Final

from streams.engine.rows import WHOLE, Segment

__all__ = ["OTHER", "UNKNOWN", "Leaves", "Values", "teller"]

UNKNOWN: Final = "unknown"
OTHER: Final = "other"
MISSING: Final = 0
REST: Final = 1
SAID_UNKNOWN: Final = 2
LONGEST_VALUE: Final = 256
ADOPTED: Final = 20_000


class Values:
    """The values of one dimension as integers: 0 is missing; the first ``max_values`` are kept, the rest is ``other``.

    >>> values = Values("device", 2)
    >>> [values.names[values.code(text)] for text in ("ios", "web", "tv", "ios", None)]
    ['ios', 'web', 'other', 'ios', 'unknown']
    """

    def __init__(self, name: str, max_values: int) -> None:
        self.name = name
        self.names: list[str] = [UNKNOWN, OTHER, UNKNOWN]
        self._codes: dict[str | None, int] = {None: MISSING, "": MISSING, OTHER: REST, UNKNOWN: SAID_UNKNOWN}
        self._room = max_values + len(self.names)

    def code(self, value: str | None) -> int:
        """The code of a value; a new one becomes known where there is room."""
        code = self._codes.get(value)
        if code is not None:
            return code
        if value is None or len(self.names) >= self._room or len(value) > LONGEST_VALUE:
            return REST
        self._codes[value] = len(self.names)
        self.names.append(value)
        return len(self.names) - 1

    def state(self) -> list[str]:
        """The known values, in their order."""
        return self.names[3:]

    def load(self, state: list[str]) -> None:
        """Know the values of ``state`` again, under the same codes."""
        for value in state:
            self._codes[value] = len(self.names)
            self.names.append(value)


class Leaves:
    """Tuples of codes, one of each dimension, as integers; leaf 0 has no value at all.

    ``codes[leaf]`` is the tuple; ``full[leaf]`` tells that no value is missing. ``segments(leaf)`` are the whole,
    its single values and its configured pairs.
    """

    def __init__(self, dimensions: tuple[Values, ...], pairs: tuple[tuple[str, str], ...]) -> None:
        self.dimensions = dimensions
        wanted = {frozenset(pair) for pair in pairs}
        places = sorted(range(len(dimensions)), key=lambda place: dimensions[place].name)
        self.pairs = [
            (one, two) for one, two in combinations(places, 2) if {dimensions[one].name, dimensions[two].name} in wanted
        ]
        self.codes: list[tuple[int, ...]] = []
        self.full: list[bool] = []
        self.reused: list[int] = []
        """Leaves whose codes are others than they were when ``codes`` was begun."""
        self._free: list[int] = []
        """Numbers that no leaf has, the lowest last."""
        self._ids: dict[tuple[int, ...], int] = {}
        self._filled: dict[tuple[int, int], int] = {}
        self._adopted: dict[tuple[int, tuple[Any, ...]], int] = {}
        """Leaves of values met lately, so that few are put together twice; in memory only."""
        self._joined: dict[tuple[tuple[int, ...], tuple[Any, ...]], int] = {}
        self._segments: dict[int, tuple[Segment, ...]] = {}
        self.leaf((MISSING,) * len(dimensions))

    def leaf(self, codes: tuple[int, ...]) -> int:
        """The leaf of a tuple of codes."""
        leaf = self._ids.get(codes)
        if leaf is not None:
            return leaf
        full = MISSING not in codes
        if self._free:
            leaf = self._free.pop()
            self.codes[leaf], self.full[leaf] = codes, full
            self.reused.append(leaf)
        else:
            leaf = len(self.codes)
            self.codes.append(codes)
            self.full.append(full)
        self._ids[codes] = leaf
        return leaf

    def __len__(self) -> int:
        return len(self._ids)

    def fill(self, leaf: int, fallback: int) -> int:
        """``leaf``, with the values of ``fallback`` where it has none."""
        if self.full[leaf] or leaf == fallback or not fallback:
            return leaf
        filled = self._filled.get((leaf, fallback))
        if filled is None:
            codes = tuple(mine or other for mine, other in zip(self.codes[leaf], self.codes[fallback], strict=True))
            filled = self._filled[leaf, fallback] = self.leaf(codes)
        return filled

    def adopt(self, leaf: int, told: tuple[Any, ...]) -> int:
        """``leaf``, with the values of an event where it has none; only these become known."""
        known = self._adopted.get((leaf, told))
        if known is not None:
            return known
        codes = [
            code or values.code(value)
            for code, values, value in zip(self.codes[leaf], self.dimensions, told, strict=True)
        ]
        if len(self._adopted) >= ADOPTED:
            self._adopted.clear()
        adopted = self._adopted[leaf, told] = self.leaf(tuple(codes))
        return adopted

    def join(self, codes: tuple[int, ...], told: tuple[Any, ...]) -> int:
        """The leaf of the codes of the first dimensions and of an event's values of the others."""
        known = self._joined.get((codes, told))
        if known is None:
            values = zip(self.dimensions[len(codes) :], told, strict=True)
            if len(self._joined) >= ADOPTED:
                self._joined.clear()
            known = self._joined[codes, told] = self.leaf(codes + tuple(one.code(value) for one, value in values))
        return known

    def segments(self, leaf: int) -> tuple[Segment, ...]:
        """The whole, each single value, and the configured pairs of a leaf."""
        told = self._segments.get(leaf)
        if told is None:
            codes = self.codes[leaf]
            named = [(values.name, values.names[code]) for values, code in zip(self.dimensions, codes, strict=True)]
            pairs = [(named[one], named[two]) for one, two in self.pairs]
            told = self._segments[leaf] = (WHOLE, *((value,) for value in named), *pairs)
        return told

    def release(self, used: set[int]) -> None:
        """Drop every leaf that is not in ``used``: their numbers are those of the next new ones."""
        none = self.codes[0]
        kept = used | {0}
        self.codes = [codes if leaf in kept else none for leaf, codes in enumerate(self.codes)]
        self.full = [full and leaf in kept for leaf, full in enumerate(self.full)]
        self.reused = []
        self._free = [leaf for leaf in range(len(self.codes) - 1, 0, -1) if leaf not in kept]
        self._ids = {self.codes[leaf]: leaf for leaf in sorted(kept)}
        self._filled, self._adopted, self._joined, self._segments = {}, {}, {}, {}

    def state(self) -> list[tuple[int, ...] | None]:
        """All numbers but the first, in their order; None where no leaf has it."""
        codes: list[tuple[int, ...] | None] = [*self.codes[1:]]
        for leaf in self._free:
            codes[leaf - 1] = None
        return codes

    def load(self, state: list[tuple[int, ...] | None]) -> None:
        """Know the leaves of ``state`` again, under the same numbers."""
        none = self.codes[0]
        self.codes += [none if codes is None else codes for codes in state]
        self.full += [codes is not None and MISSING not in codes for codes in state]
        self._ids |= {codes: leaf for leaf, codes in enumerate(state, 1) if codes is not None}
        self._free = [leaf for leaf in range(len(state), 0, -1) if state[leaf - 1] is None]


def teller(attributes: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """The values of these attributes of an event, always as a tuple."""
    if len(attributes) > 1:
        return attrgetter(*attributes)
    return lambda event: tuple(getattr(event, name) for name in attributes)
