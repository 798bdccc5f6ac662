"""The leaf cube of a window: what its funnel and payments counted by combination of dimension values, bounded.

Rows tell the whole and single values. To say that a loss sits where two values meet, the judge needs the combinations;
there may be many, so the largest are kept and the others lose one dimension after the other to ``other``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from streams.engine.counters import CODE_BITS, CODE_MASK, COUNTER_BITS, COUNTER_MASK, CounterNames, Tally
from streams.engine.rows import LARGEST, Row, decode_row
from streams.engine.segments import OTHER, Leaves
from streams.errors import InputError
from streams.events import STAGES

__all__ = ["CUBE", "Cube", "CubeMaker", "Side", "add_cubes", "bounded", "cube_key", "decode_record", "encode_cube"]

CUBE: Final = "cube"
"""What stands in the place of a segment in the key, and of a row's kind in the value."""

Values = tuple[str, ...]
Counts = dict[str, int]
Table = dict[Values, Counts]

SESSION_COUNTERS: Final = ("sessions", *(f"reached.{stage}" for stage in STAGES))
ORDER_COUNTERS: Final = (
    *("orders_placed", "orders_attempted", "orders_paid"),
    *("payment_attempts", "payments_succeeded", "payments_declined_soft", "payments_declined_hard"),
)
MONEY: Final = ("orders_valued.", "revenue_minor.")


class Side(NamedTuple):
    """Counters by combination of values; a combination has one value for each of the dimensions."""

    dimensions: tuple[str, ...]
    leaves: Mapping[Values, Mapping[str, int]]


class Cube(NamedTuple):
    """The combinations of one window: sessions by session dimensions, orders and payments by those and their own.

    ``partition`` is None where cubes of partitions were added. It belongs to the window as it closed: what is late is
    in correction rows, and not in here.
    """

    start_ms: int
    end_ms: int
    partition: int | None
    sessions: Side
    orders: Side
    spec: str = ""


class CubeMaker:
    """Makes the cube of a tally, with ``most`` combinations a side at most."""

    def __init__(
        self, names: CounterNames, sessions: Leaves, orders: Leaves, codes: list[tuple[int, ...]], most: int
    ) -> None:
        self._names, self._sessions, self._orders, self._codes, self._most = names, sessions, orders, codes, most
        self._session_counters = frozenset(map(names.id, SESSION_COUNTERS))
        self._order_counters = frozenset(map(names.id, ORDER_COUNTERS))
        self._wanted: list[tuple[int, ...]] = []
        """Of the counters of each code those that the cube has."""

    def make(self, tally: Tally) -> tuple[Side, Side]:
        """Both sides; the same for any order in which the tally came about."""
        sessions = self._side(self._sessions, self._by_code(tally))
        orders = self._side(self._orders, self._by_counter(tally.orders))
        return sessions, orders

    def _by_code(self, tally: Tally) -> Iterable[tuple[int, int, int]]:
        """Leaf, counter and number of what sessions counted."""
        for code in range(len(self._wanted), len(self._codes)):
            self._wanted.append(tuple(one for one in self._codes[code] if one in self._session_counters))
        lacking: NDArray[np.bool_] = np.array([bool(wanted) for wanted in self._wanted] or [False], dtype=np.bool_)
        entries = np.array(tally.codes, dtype=np.int64)
        found, times = np.unique(entries[lacking[entries & CODE_MASK]], return_counts=True)
        for entry, number in zip(found.tolist(), times.tolist(), strict=True):
            for counter in self._wanted[entry & CODE_MASK]:
                yield entry >> CODE_BITS, counter, number

    def _by_counter(self, sums: Mapping[int, int]) -> Iterable[tuple[int, int, int]]:
        for entry, amount in sums.items():
            counter = entry & COUNTER_MASK
            if counter in self._order_counters or self._names.names[counter].startswith(MONEY):
                yield entry >> COUNTER_BITS, counter, amount

    def _side(self, leaves: Leaves, entries: Iterable[tuple[int, int, int]]) -> Side:
        by_leaf: dict[int, dict[int, int]] = {}
        for leaf, counter, amount in entries:
            sums = by_leaf.setdefault(leaf, {})
            sums[counter] = sums.get(counter, 0) + amount
        names, table = self._names.names, Table()
        for leaf, sums in by_leaf.items():
            places = zip(leaves.dimensions, leaves.codes[leaf], strict=True)
            values = tuple(dimension.names[code] for dimension, code in places)
            if counts := {names[counter]: amount for counter, amount in sums.items() if amount}:
                _add(table, values, counts)
        return Side(tuple(dimension.name for dimension in leaves.dimensions), bounded(table, self._most))


def bounded(table: Table, most: int) -> Table:
    """The table with ``most`` combinations at most, sorted; nothing that was counted is lost.

    Of what does not fit, half the room goes to the largest combinations; the others forget their value of the
    dimension with the most values (it becomes ``other``), and are asked again.

    >>> table = {("ios", "a"): {"n": 9}, ("ios", "b"): {"n": 1}, ("ios", "c"): {"n": 2}, ("web", "a"): {"n": 2}}
    >>> bounded(table, 3)
    {('ios', 'a'): {'n': 9}, ('ios', 'other'): {'n': 3}, ('web', 'other'): {'n': 2}}
    """
    kept: Table = {}
    rest = table
    for place in _widest_first(table):
        if len(kept) + len(rest) <= most:
            break
        ranked = sorted(rest.items(), key=lambda item: (-_volume(item[1]), item[0]))
        room = (most - len(kept)) // 2
        for values, counts in ranked[:room]:
            _add(kept, values, counts)
        rest = {}
        for values, counts in ranked[room:]:
            _add(rest, (*values[:place], OTHER, *values[place + 1 :]), counts)
    for values, counts in rest.items():
        _add(kept, values, counts)
    return {values: dict(sorted(kept[values].items())) for values in sorted(kept)}


def add_cubes(cubes: Iterable[Cube]) -> Cube | None:
    """The cubes of several partitions as one, by adding; None where there is none."""
    found = sorted(cubes, key=lambda cube: -1 if cube.partition is None else cube.partition)
    if len(found) < 2:
        return found[0]._replace(partition=None) if found else None
    first = found[0]
    sides = []
    for parts in ([cube.sessions for cube in found], [cube.orders for cube in found]):
        table: Table = {}
        for part in parts:
            # After a change of the configuration, partitions may count by other dimensions for a while.
            if part.dimensions == parts[0].dimensions:
                for values, counts in part.leaves.items():
                    _add(table, values, counts)
        sides.append(Side(parts[0].dimensions, table))
    return Cube(first.start_ms, first.end_ms, None, sides[0], sides[1], first.spec)


def cube_key(cube: Cube) -> bytes:
    """The key of a cube on the compacted topic.

    >>> none = Side((), {})
    >>> cube_key(Cube(0, 60_000, 3, none, none))
    b'60000|cube|3'
    """
    partition = "" if cube.partition is None else cube.partition
    return f"{cube.end_ms}|{CUBE}|{partition}".encode()


def encode_cube(cube: Cube) -> bytes:
    """One line of JSON: values of each dimension once, then a column of places in them for each dimension, and one of
    numbers for each counter.

    >>> cube = Cube(0, 60_000, 3, Side(("device",), {("ios",): {"sessions": 2}}), Side((), {}), "f")
    >>> decode_record(encode_cube(cube)) == cube
    True
    """
    told = {
        "end_ms": cube.end_ms,
        "orders": _columns(cube.orders),
        "partition": cube.partition,
        "row": CUBE,
        "sessions": _columns(cube.sessions),
        "spec": cube.spec,
        "start_ms": cube.start_ms,
    }
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def decode_record(data: bytes) -> Row | Cube:
    """The row or cube of a record of the KPI topic; raises ``InputError`` where it is neither."""
    # A row with a dimension or value of that name costs a second look, no more.
    if b'"row":"cube"' not in data:
        return decode_row(data)
    try:
        told = orjson.loads(data)
        if told["row"] != CUBE:
            return decode_row(data)
        return Cube(
            start_ms=int(told["start_ms"]),
            end_ms=int(told["end_ms"]),
            partition=told["partition"],
            sessions=_side(told["sessions"]),
            orders=_side(told["orders"]),
            spec=told.get("spec", ""),
        )
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"not a cube: {error}", key="row", value=data[:80], way_out="read the topic that `funnelwatch run` writes"
        ) from error


def _columns(side: Side) -> dict[str, Any]:
    leaves = list(side.leaves.items())
    values = [sorted({told[place] for told, _ in leaves}) for place in range(len(side.dimensions))]
    places = [{value: place for place, value in enumerate(known)} for known in values]
    counters = sorted({name for _, counts in leaves for name in counts})
    return {
        "codes": [[places[place][told[place]] for told, _ in leaves] for place in range(len(side.dimensions))],
        "counters": {name: [min(counts.get(name, 0), LARGEST) for _, counts in leaves] for name in counters},
        "dimensions": list(side.dimensions),
        "leaves": len(leaves),
        "values": values,
    }


def _side(told: Mapping[str, Any]) -> Side:
    values = [[known[place] for place in codes] for known, codes in zip(told["values"], told["codes"], strict=True)]
    table: Table = {}
    for place in range(told["leaves"]):
        counts = {name: int(column[place]) for name, column in told["counters"].items() if column[place]}
        _add(table, tuple(column[place] for column in values), counts)
    return Side(tuple(told["dimensions"]), table)


def _widest_first(table: Table) -> list[int]:
    """Places of the dimensions, that with the most values first."""
    width = len(next(iter(table), ()))
    return sorted(range(width), key=lambda place: (-len({values[place] for values in table}), place))


def _volume(counts: Mapping[str, int]) -> int:
    return sum(count for name, count in counts.items() if not name.startswith(MONEY))


def _add(table: Table, values: Values, counts: Mapping[str, int]) -> None:
    sums = table.get(values)
    if sums is None:
        table[values] = dict(counts)
        return
    for name, count in counts.items():
        sums[name] = sums.get(name, 0) + count
