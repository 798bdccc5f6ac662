"""Roll-up: the tally of a window by leaf becomes counters and visitor sketches by segment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np

from streams.engine.columns import Columns, Ints
from streams.engine.counters import (
    CODE_BITS,
    CODE_MASK,
    COUNTER_BITS,
    COUNTER_MASK,
    CounterNames,
    Tally,
    of_product_entry,
)
from streams.engine.products import Products
from streams.engine.rows import WHOLE, Segment
from streams.engine.segments import Leaves
from streams.engine.sketch import sketch_visitors

__all__ = ["Grouped", "RollUp", "Rolled"]

Rolled = dict[Segment, tuple[dict[str, int], bytes | None]]
"""Segment → its non-zero counters, and the sketch of its visitors where it has any."""

Sums = dict[Segment, dict[int, int]]

FEW: Final = 100
"""Up to so many entries, plain dicts are faster than arrays."""

EXACT: Final = 1 << 53
"""Floating point adds up whole numbers below it without loss."""

DENSE: Final = 1 << 20
"""Cells of a table that is filled whole; of a larger one only those that are used."""


class Grouped(NamedTuple):
    """What leaves counted, as parallel arrays; the same leaf and counter may come more than once."""

    leaves: Ints
    counters: Ints
    amounts: Ints


class RollUp:
    """Adds up tallies by what their leaves, codes and counters mean."""

    def __init__(self, names: CounterNames, sessions: Leaves, orders: Leaves, products: Products) -> None:
        self.codes: list[tuple[int, ...]] = []
        """The counters of each code."""
        self._names = names
        self._sessions, self._orders, self._products = sessions, orders, products
        self._session_columns, self._order_columns = Columns(sessions), Columns(orders)

    def roll(self, tally: Tally, few: int = FEW) -> Rolled:
        """The non-zero counters and the visitors' sketch of each segment; ``few`` is where arrays begin to pay."""
        sums: Sums = {}
        if len(tally.codes) + len(tally.sessions) <= few or not _is_exact(tally.sessions):
            _spread(_counted(tally.codes, self.codes), self._sessions, sums)
            _spread(_amounts(tally.sessions), self._sessions, sums)
        else:
            _add_up(self._grouped(tally.codes, tally.sessions), self._session_columns, sums)
        if len(tally.order_codes) + len(tally.orders) <= few or not _is_exact(tally.orders):
            _spread(_counted(tally.order_codes, self.codes), self._orders, sums)
            _spread(_amounts(tally.orders), self._orders, sums)
        else:
            _add_up(self._grouped(tally.order_codes, tally.orders), self._order_columns, sums)
        for entry, amount in tally.products.items():
            axis, leaf, counter = of_product_entry(entry)
            _add(sums.setdefault(self._products.segment(axis, leaf), {}), counter, amount)
        names, sketches = self._names.names, self._sketches(tally, few)
        rolled: Rolled = {
            segment: (
                {names[counter]: amount for counter, amount in told.items() if amount},
                sketches.pop(segment, None),
            )
            for segment, told in sums.items()
        }
        rolled |= {segment: ({}, sketch) for segment, sketch in sketches.items()}
        for name, amount in tally.whole.items():
            rolled.setdefault(WHOLE, ({}, None))[0][name] = amount
        return {segment: told for segment, told in rolled.items() if told[0] or told[1]}

    @property
    def columns(self) -> tuple[Columns, Columns]:
        """Those of session leaves and of order leaves."""
        return self._session_columns, self._order_columns

    def spread(self, codes: Iterable[int], sums: dict[int, int]) -> Grouped:
        """What leaves counted: entries of codes, and of sums, of which those of nonsense are cut off."""
        exact = sums if _is_exact(sums) else {entry: min(amount, EXACT) for entry, amount in sums.items()}
        return self._grouped(codes, exact)

    def _grouped(self, codes: Iterable[int], sums: dict[int, int]) -> Grouped:
        """The entries of codes, counter by counter, and those of sums."""
        entries = np.array(codes, np.int64)
        code = entries & CODE_MASK
        lengths = np.array([len(told) for told in self.codes], np.int64)
        flat = np.array([counter for told in self.codes for counter in told], np.int64)
        times = lengths[code]
        # Where the counters of each entry begin, less how many came before it.
        begin = (np.cumsum(lengths) - lengths)[code] - (np.cumsum(times) - times)
        counters = flat[np.repeat(begin, times) + np.arange(times.sum())]
        keys = np.fromiter(sums, np.int64, len(sums))
        return Grouped(
            np.concatenate((np.repeat(entries >> CODE_BITS, times), keys >> COUNTER_BITS)),
            np.concatenate((counters, keys & COUNTER_MASK)),
            np.concatenate((np.ones(len(counters), np.int64), np.fromiter(sums.values(), np.int64, len(sums)))),
        )

    def _sketches(self, tally: Tally, few: int) -> dict[Segment, bytes]:
        """The sketch of the visitors of each segment that has any."""
        if len(tally.seen_leaves) <= few:
            visitors: dict[Segment, set[int]] = {}
            for leaf, visitor in tally.seen():
                for segment in self._sessions.segments(leaf):
                    visitors.setdefault(segment, set()).add(visitor)
            return {segment: sketch_visitors(sorted(told)) for segment, told in visitors.items()}
        return {
            segment: sketch_visitors(told.tolist())
            for segment, told in _visitors(
                np.array(tally.seen_leaves, np.int64), np.array(tally.seen_visitors, np.int64), self._session_columns
            )
        }


def _is_exact(sums: dict[int, int]) -> bool:
    """Whether these amounts can be added up in any order without loss."""
    return sum(sums.values()) < EXACT


def _counted(entries: list[int], codes: list[tuple[int, ...]]) -> Iterator[tuple[int, int, int]]:
    return (
        (entry >> CODE_BITS, counter, times)
        for entry, times in Counter(entries).items()
        for counter in codes[entry & CODE_MASK]
    )


def _amounts(sums: dict[int, int]) -> Iterator[tuple[int, int, int]]:
    return ((entry >> COUNTER_BITS, entry & COUNTER_MASK, amount) for entry, amount in sums.items())


def _spread(entries: Iterable[tuple[int, int, int]], leaves: Leaves, into: Sums) -> None:
    """Add the amounts of leaves into their segments; one leaf's entries are looked up together."""
    by_leaf: dict[int, list[tuple[int, int]]] = {}
    for leaf, counter, amount in entries:
        by_leaf.setdefault(leaf, []).append((counter, amount))
    for leaf, told in by_leaf.items():
        for segment in leaves.segments(leaf):
            sums = into.get(segment)
            if sums is None:
                sums = into[segment] = {}
            for counter, amount in told:
                sums[counter] = sums.get(counter, 0) + amount


def _add_up(grouped: Grouped, columns: Columns, into: Sums) -> None:
    """Add the amounts of leaves into their segments, a column at a time."""
    width = int(grouped.counters.max(initial=0)) + 1
    for place, numbers in enumerate(columns.numbers()):
        number, present = _used(numbers[grouped.leaves], columns.size(place), width)
        cells = np.bincount(number * width + grouped.counters, grouped.amounts, len(present) * width)
        used = cells.nonzero()[0]
        amounts = cells[used].astype(np.int64).tolist()
        segments = [columns.segment(place, one) for one in present]
        for cell, amount in zip(used.tolist(), amounts, strict=True):
            sums = into.setdefault(segments[cell // width], {})
            sums[cell % width] = sums.get(cell % width, 0) + amount


def _visitors(leaves: Ints, visitors: Ints, columns: Columns) -> Iterator[tuple[Segment, Ints]]:
    """Each segment that was seen with its distinct visitors in order."""
    known, rank = np.unique(visitors, return_inverse=True)
    width = len(known)
    for place, numbers in enumerate(columns.numbers()):
        number, present = _used(numbers[leaves], columns.size(place), width)
        cells = np.zeros(len(present) * width, np.bool_)
        cells[number * width + rank] = True
        seen = cells.nonzero()[0]
        borders = np.searchsorted(seen, np.arange(len(present) + 1) * width)
        ranks = seen % width
        for one, start, end in zip(present, borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            if end > start:
                yield columns.segment(place, one), known[ranks[start:end]]


def _used(numbers: Ints, size: int, width: int) -> tuple[Ints, list[int]]:
    """Numbers of a table with so many rows and columns and what they stand for; fewer rows where it is large."""
    if size * width <= DENSE:
        return numbers, list(range(size))
    present, places = np.unique(numbers, return_inverse=True)
    return places, present.tolist()


def _add(sums: dict[int, int], counter: int, amount: int) -> None:
    sums[counter] = sums.get(counter, 0) + amount
