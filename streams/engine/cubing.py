"""Makes the cube of a window that closes: the largest combinations of values, the others folded, all by arrays."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.engine.columns import Columns, Ints
from streams.engine.counters import CODE_MASK, CounterNames, Tally
from streams.engine.cube import MONEY, ORDER_COUNTERS, SESSION_COUNTERS, Side
from streams.engine.rollup import Grouped, RollUp
from streams.engine.segments import OTHER, Leaves

__all__ = ["CubeMaker"]

LARGEST_KEY: Final = 1 << 62


class CubeMaker:
    """Makes the two sides of the cube of a tally, with ``most`` combinations each at most."""

    def __init__(self, names: CounterNames, rollup: RollUp, sessions: Leaves, orders: Leaves, most: int) -> None:
        self._rollup = rollup
        session_columns, order_columns = rollup.columns
        self._sessions = _Maker(names, sessions, session_columns, SESSION_COUNTERS, most)
        self._orders = _Maker(names, orders, order_columns, ORDER_COUNTERS, most)
        self._has: NDArray[np.bool_] = np.zeros(0, np.bool_)
        """Of each code whether it counts what the cube has."""

    def make(self, tally: Tally) -> tuple[Side, Side]:
        """Sessions and orders; the same for any order in which the tally came about."""
        codes, wanted = self._rollup.codes, self._sessions.columns()
        if len(self._has) != len(codes):
            self._has = np.array([any(wanted[counter] >= 0 for counter in told) for told in codes], np.bool_)
        entries = np.array(tally.codes, np.int64)
        if len(entries):
            entries = entries[self._has[entries & CODE_MASK]]
        sessions, orders = self._rollup.spread(entries, {}), self._rollup.spread(tally.order_codes, tally.orders)
        return self._sessions.side(sessions), self._orders.side(orders)


class _Maker:
    """One side: which counters it has, and the texts of its dimensions in order."""

    def __init__(
        self, names: CounterNames, leaves: Leaves, columns: Columns, counters: tuple[str, ...], most: int
    ) -> None:
        self._names, self._leaves, self._columns, self._most = names, leaves, columns, most
        self._plain = counters
        self._counters: list[str] = []
        """Names of the counters of the cube, plain ones first."""
        self._column: Ints = np.zeros(0, np.int64)
        """Of each counter its place among these, -1 where the cube has it not."""
        self._texts: list[list[str]] = [[] for _ in leaves.dimensions]
        """Of each dimension its texts in order, ``other`` among them."""
        self._ranks: list[Ints] = [np.zeros(0, np.int64) for _ in leaves.dimensions]
        """Of each dimension the place of a number's text in that order."""

    def columns(self) -> Ints:
        """Of each counter its column in the cube, -1 where it has none."""
        names = self._names.names
        if len(self._column) != len(names):
            money = [name for name in names if name.startswith(MONEY)] if self._plain is ORDER_COUNTERS else []
            self._counters = [*self._plain, *money]
            places = {name: place for place, name in enumerate(self._counters)}
            self._column = np.array([places.get(name, -1) for name in names], np.int64)
        return self._column

    def side(self, grouped: Grouped) -> Side:
        """The side of what leaves counted."""
        dimensions = tuple(values.name for values in self._leaves.dimensions)
        column = self.columns()[grouped.counters]
        wanted = column >= 0
        amounts, column = grouped.amounts[wanted], column[wanted]
        if not len(amounts):
            return Side(dimensions, ((),) * len(dimensions), ((),) * len(dimensions))
        leaves, of_leaf = np.unique(grouped.leaves[wanted], return_inverse=True)
        volumes = np.bincount(of_leaf, np.where(column < len(self._plain), amounts, 0), len(leaves))
        codes = self._codes(leaves)
        others = [texts.index(OTHER) for texts in self._texts]
        group, kept = fold(codes, [len(texts) for texts in self._texts], others, volumes, self._most)
        cells = np.zeros((len(self._counters), kept.shape[1]), np.int64)
        np.add.at(cells, (column, group[of_leaf]), amounts)
        counted = cells.any(axis=0)
        values = []
        for row, texts in enumerate(self._texts):
            used, kept[row] = np.unique(kept[row], return_inverse=True)
            values.append(tuple(texts[one] for one in used.tolist()))
        told = zip(self._counters, cells[:, counted].tolist(), strict=True)
        counters = sorted((name, tuple(numbers)) for name, numbers in told if any(numbers))
        return Side(dimensions, tuple(values), tuple(map(tuple, kept[:, counted].tolist())), dict(counters))

    def _codes(self, leaves: Ints) -> Ints:
        """A row a dimension: the place of each leaf's value in the order of texts."""
        codes = np.zeros((len(self._texts), len(leaves)), np.int64)
        numbers = self._columns.numbers()
        for row, values in enumerate(self._leaves.dimensions):
            if len(self._ranks[row]) != len(values.names):
                texts = self._texts[row] = sorted({OTHER, *values.names})
                places = {text: place for place, text in enumerate(texts)}
                self._ranks[row] = np.array([places[text] for text in values.names], np.int64)
            codes[row] = self._ranks[row][numbers[row + 1][leaves]]
        return codes


def fold(codes: Ints, sizes: list[int], others: list[int], volumes: Ints, most: int) -> tuple[Ints, Ints]:
    """At most so many combinations: for each leaf which it is in, and the codes of each combination in order.

    Of what does not fit, half the room goes to the largest combinations; the others forget their value of the
    dimension with the most values (it becomes ``other``), and are asked again.

    Parameters
    ----------
    codes
        A row a dimension, a column a leaf.
    sizes, others
        Of each dimension the number of codes, and the one of ``other``.
    volumes
        What each leaf weighs.

    Examples
    --------
    >>> codes = np.array([[0, 0, 0, 1], [0, 1, 2, 0]])
    >>> group, kept = fold(codes, [3, 4], [2, 3], np.array([9, 1, 2, 2]), 3)
    >>> group.tolist(), kept.T.tolist()
    ([0, 1, 1, 2], [[0, 0], [0, 3], [1, 3]])
    """
    codes = codes.copy()
    widest = sorted(range(len(codes)), key=lambda place: (-np.count_nonzero(np.bincount(codes[place])), place))
    kept = np.zeros(codes.shape[1], np.bool_)
    while widest and _product(sizes, widest) > LARGEST_KEY:
        place = widest.pop(0)
        codes[place] = others[place]
    strides = _strides(sizes, widest, len(codes))
    found, group = np.unique(strides @ codes, return_inverse=True)
    for place in widest:
        if len(found) <= most:
            break
        loose = np.flatnonzero(~kept)
        rest, of_leaf = np.unique(strides @ codes[:, loose], return_inverse=True)
        weights = np.bincount(of_leaf, volumes[loose])
        room = (most - (len(found) - len(rest))) // 2
        best = np.zeros(len(rest), np.bool_)
        best[np.lexsort((rest, -weights))[:room]] = True
        kept[loose] = best[of_leaf]
        codes[place, ~kept] = others[place]
        found, group = np.unique(strides @ codes, return_inverse=True)
    first = np.zeros(len(found), np.int64)
    first[group] = np.arange(codes.shape[1])
    return group, codes[:, first]


def _product(sizes: list[int], places: list[int]) -> int:
    product = 1
    for place in places:
        product *= sizes[place]
    return product


def _strides(sizes: list[int], places: list[int], width: int) -> Ints:
    """What makes one number of the codes of these dimensions, in the order of their texts; zero for the others."""
    strides, step = np.zeros(width, np.int64), 1
    for place in sorted(places, reverse=True):
        strides[place] = step
        step *= sizes[place]
    return strides
