"""Roll-up: the tally of a window by leaf becomes counters by segment."""

from __future__ import annotations

from streams.engine.counters import CODE_BITS, CODE_MASK, COUNTER_BITS, COUNTER_MASK, CounterNames, Tally
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
        sums = dict(tally.sessions)
        for entry, times in tally.counted_codes().items():
            leaf = entry >> CODE_BITS << COUNTER_BITS
            for counter in self.codes[entry & CODE_MASK]:
                sums[leaf | counter] = sums.get(leaf | counter, 0) + times
        rolled: Rolled = {}
        _spread(sums, self._sessions, self._names, rolled)
        _spread(tally.orders, self._orders, self._names, rolled)
        for (axis, entry), amount in tally.products.items():
            segment = self._products.segment(axis, entry >> COUNTER_BITS)
            _add(rolled, segment, self._names.names[entry & COUNTER_MASK], amount)
        for leaf, visitor in tally.seen:
            for segment in self._sessions.segments(leaf):
                rolled.setdefault(segment, ({}, set()))[1].add(visitor)
        for name, amount in tally.whole.items():
            _add(rolled, WHOLE, name, amount)
        return rolled


def _spread(sums: dict[int, int], leaves: Leaves, names: CounterNames, rolled: Rolled) -> None:
    for entry, amount in sums.items():
        if amount:
            name = names.names[entry & COUNTER_MASK]
            for segment in leaves.segments(entry >> COUNTER_BITS):
                _add(rolled, segment, name, amount)


def _add(rolled: Rolled, segment: Segment, name: str, amount: int) -> None:
    counters = rolled.setdefault(segment, ({}, set()))[0]
    counters[name] = counters.get(name, 0) + amount
