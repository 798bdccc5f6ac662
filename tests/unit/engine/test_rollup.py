"""Roll-up: arrays and plain dicts add up the same."""

from __future__ import annotations

from random import Random

import pytest

from streams.engine.counters import CODE_BITS, COUNTER_BITS, CounterNames, Tally
from streams.engine.products import Products
from streams.engine.rollup import RollUp
from streams.engine.rows import WHOLE
from streams.engine.segments import Leaves, Values
from streams.engine.sketch import estimate_visitors

PAIRS = (("device", "region"), ("channel", "region"), ("method", "region"))


class Made:
    """Leaves of four dimensions, a roll-up over them, and tallies drawn by a seed."""

    def __init__(self, seed: int, values: int = 40) -> None:
        self.rng = Random(seed)
        session = tuple(Values(name, 1_000) for name in ("channel", "device", "region"))
        method = Values("method", 1_000)
        names = CounterNames()
        self.leaves, self.orders = Leaves(session, PAIRS), Leaves((*session, method), PAIRS)
        self.rollup = RollUp(names, self.leaves, self.orders, Products(session, (), (), PAIRS, names))
        self.rollup.codes = [(0,), (1, 2), (3,), (0, 2, 5, 2)]
        self.values = values

    def tally(self, entries: int, largest: int = 9) -> Tally:
        """A tally of so many entries of each sort."""
        rng, tally = self.rng, Tally()
        for _ in range(entries):
            told = tuple(rng.choice((None, "unknown", "other", f"v-{rng.randrange(self.values)}")) for _ in range(4))
            leaf, order_leaf = self.leaves.adopt(0, told[:3]), self.orders.adopt(0, told)
            tally.codes.append(leaf << CODE_BITS | rng.randrange(len(self.rollup.codes)))
            tally.sessions[leaf << COUNTER_BITS | rng.randrange(20)] = rng.randint(0, largest)
            tally.orders[order_leaf << COUNTER_BITS | rng.randrange(20, 30)] = rng.randint(0, largest)
            tally.seen_leaves.append(leaf)
            tally.seen_visitors.append(rng.randrange(1 << 63) if rng.random() < 0.5 else rng.randrange(50))
        tally.note("late", 3)
        return tally


ALWAYS, NEVER = 0, 1 << 60


@pytest.mark.parametrize("seed", range(4))
def test_arrays_add_up_to_what_dicts_do(seed: int) -> None:
    made = Made(seed)
    for entries in (1, 30, 500):
        tally = made.tally(entries)
        assert made.rollup.roll(tally, few=ALWAYS) == made.rollup.roll(tally, few=NEVER)


def test_many_values_are_added_up_the_same() -> None:
    made = Made(5, values=900)
    tally = made.tally(4_000)
    assert made.rollup.roll(tally, few=ALWAYS) == made.rollup.roll(tally, few=NEVER)


@pytest.mark.parametrize("largest", [1 << 52, (1 << 63) - 1, 1 << 70])
def test_large_amounts_lose_nothing(largest: int) -> None:
    made = Made(6)
    tally = made.tally(200, largest)
    rolled = made.rollup.roll(tally, few=ALWAYS)
    assert rolled == made.rollup.roll(tally, few=NEVER)
    counters = {made.rollup._names.names[entry & (1 << COUNTER_BITS) - 1] for entry in tally.orders}
    assert sum(rolled[WHOLE][0].get(name, 0) for name in counters) == sum(tally.orders.values())


def test_a_number_used_again_for_another_leaf_means_the_new_one() -> None:
    made = Made(7)
    made.rollup.roll(made.tally(600), few=ALWAYS)
    tally = made.tally(60)
    made.leaves.release(tally.session_leaves())
    made.orders.release(tally.order_leaves())
    again = made.tally(600)
    assert made.leaves.reused
    assert made.orders.reused
    for told in (tally, again):
        assert made.rollup.roll(told, few=NEVER) == made.rollup.roll(told, few=ALWAYS)


def test_a_visitor_seen_twice_is_one() -> None:
    made, tally = Made(8), Tally()
    for told in (("a", "b", "c"), ("a", "b", "d"), ("a", "b", "c")) * 300:
        tally.seen_leaves.append(made.leaves.adopt(0, told))
        tally.seen_visitors.append(77)
    rolled = made.rollup.roll(tally)
    sketches = [sketch for _, sketch in rolled.values() if sketch is not None]
    assert len(sketches) == len(rolled) == 9
    assert {round(estimate_visitors(sketch), 3) for sketch in sketches} == {1.0}


def test_an_empty_tally_has_no_segment() -> None:
    made = Made(9)
    assert made.rollup.roll(Tally(), few=ALWAYS) == made.rollup.roll(Tally(), few=NEVER) == {}
