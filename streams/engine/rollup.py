"""Roll-up: the tally of a window by leaf becomes counters by segment."""

from __future__ import annotations

from collections.abc import Iterable

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

__all__ = ["RollUp", "Rolled"]

Rolled = dict[Segment, tuple[dict[str, int], set[int]]]
"""Segment → its counters and its visitors."""


class RollUp:
    """Adds up tallies by what their leaves, codes and counters mean."""

    def __init__(self, names: CounterNames, sessions: Leaves, orders: Leaves, products: Products) -> None:
        self.codes: list[tuple[int, ...]] = []
        """The counters of each code."""
        self._names = names
        self._sessions, self._orders, self._products = sessions, orders, products

    def roll(self, tally: Tally) -> Rolled:
        """The non-zero counters and the visitors of each segment."""
        rolled: Rolled = {}
        by_code: dict[Segment, dict[int, int]] = {}
        _spread(
            ((entry >> CODE_BITS, entry & CODE_MASK, times) for entry, times in tally.counted_codes().items()),
            self._sessions,
            by_code,
        )
        by_counter: dict[Segment, dict[int, int]] = {}
        _spread(_counters(tally.sessions), self._sessions, by_counter)
        _spread(_counters(tally.orders), self._orders, by_counter)
        for entry, amount in tally.products.items():
            axis, leaf, counter = of_product_entry(entry)
            _add(by_counter.setdefault(self._products.segment(axis, leaf), {}), counter, amount)
        for segment, codes in by_code.items():
            sums = by_counter.setdefault(segment, {})
            for code, times in codes.items():
                for counter in self.codes[code]:
                    _add(sums, counter, times)
        names = self._names.names
        for segment, sums in by_counter.items():
            rolled[segment] = ({names[counter]: amount for counter, amount in sums.items() if amount}, set())
        self._unite(tally, rolled)
        for name, amount in tally.whole.items():
            rolled.setdefault(WHOLE, ({}, set()))[0][name] = amount
        return {segment: told for segment, told in rolled.items() if told[0] or told[1]}

    def _unite(self, tally: Tally, rolled: Rolled) -> None:
        """Put the visitors of each leaf into its segments."""
        visitors: dict[int, list[int]] = {}
        for leaf, visitor in tally.seen():
            visitors.setdefault(leaf, []).append(visitor)
        for leaf, keys in visitors.items():
            for segment in self._sessions.segments(leaf):
                rolled.setdefault(segment, ({}, set()))[1].update(keys)


def _counters(sums: dict[int, int]) -> Iterable[tuple[int, int, int]]:
    return ((entry >> COUNTER_BITS, entry & COUNTER_MASK, amount) for entry, amount in sums.items())


def _spread(entries: Iterable[tuple[int, int, int]], leaves: Leaves, into: dict[Segment, dict[int, int]]) -> None:
    """Add the amounts of leaves into their segments; one leaf's entries are looked up together."""
    by_leaf: dict[int, list[tuple[int, int]]] = {}
    for leaf, what, amount in entries:
        by_leaf.setdefault(leaf, []).append((what, amount))
    for leaf, told in by_leaf.items():
        for segment in leaves.segments(leaf):
            sums = into.get(segment)
            if sums is None:
                sums = into[segment] = {}
            for what, amount in told:
                sums[what] = sums.get(what, 0) + amount


def _add(sums: dict[int, int], what: int, amount: int) -> None:
    sums[what] = sums.get(what, 0) + amount
