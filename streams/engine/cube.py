"""The leaf cube of a window: what its funnel and payments counted by combination of dimension values, bounded.

Rows tell the whole and single values. To say that a loss sits where two values meet, the judge needs the combinations;
there may be many, so the largest are kept and the others lose one dimension after the other to ``other``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from streams.engine.rows import LARGEST, Row, decode_row
from streams.errors import InputError
from streams.events import STAGES

__all__ = [
    "CUBE",
    "MONEY",
    "ORDER_COUNTERS",
    "SESSION_COUNTERS",
    "Cube",
    "Side",
    "add_cubes",
    "counters_of_side",
    "cube_key",
    "decode_record",
    "encode_cube",
]

CUBE: Final = "cube"
"""What stands in the place of a segment in the key, and of a row's kind in the value."""

SESSION_COUNTERS: Final = ("sessions", *(f"reached.{stage}" for stage in STAGES))
ORDER_COUNTERS: Final = (
    *("orders_placed", "orders_attempted", "orders_paid"),
    *("payment_attempts", "payments_succeeded", "payments_declined_soft", "payments_declined_hard"),
)
MONEY: Final = ("orders_valued.", "revenue_minor.")


class Side(NamedTuple):
    """Counters by combination of values, as columns: a combination is a place in each of them.

    ``codes`` has a column a dimension, of places in its ``values``; ``counters`` a column of numbers for each name.
    """

    dimensions: tuple[str, ...] = ()
    values: tuple[tuple[str, ...], ...] = ()
    codes: tuple[tuple[int, ...], ...] = ()
    counters: Mapping[str, tuple[int, ...]] = MappingProxyType({})

    def leaves(self) -> list[tuple[str, ...]]:
        """The combinations, in order.

        >>> Side(("device",), (("ios", "web"),), ((1, 0),), {"sessions": (2, 5)}).leaves()
        [('web',), ('ios',)]
        """
        columns = ([known[code] for code in codes] for known, codes in zip(self.values, self.codes, strict=True))
        return list(zip(*columns, strict=True))


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


def counters_of_side(side: str) -> tuple[str, ...]:
    """The counters of a side (``sessions`` or ``orders``), those by currency apart."""
    return SESSION_COUNTERS if side == "sessions" else ORDER_COUNTERS


def add_cubes(cubes: Iterable[Cube]) -> Cube | None:
    """The cubes of several partitions as one, by adding; None where there is none.

    >>> ios, web = (Side(("device",), ((name,),), ((0,),), {"sessions": (2,)}) for name in ("ios", "web"))
    >>> cubes = [Cube(0, 60_000, place, side, Side()) for place, side in enumerate((web, ios, web))]
    >>> add_cubes(cubes).sessions
    Side(dimensions=('device',), values=(('ios', 'web'),), codes=((0, 1),), counters={'sessions': (2, 4)})
    """
    found = sorted(cubes, key=lambda cube: -1 if cube.partition is None else cube.partition)
    if len(found) < 2:
        return found[0]._replace(partition=None) if found else None
    sessions, orders = _added([cube.sessions for cube in found]), _added([cube.orders for cube in found])
    return found[0]._replace(partition=None, sessions=sessions, orders=orders)


def cube_key(cube: Cube) -> bytes:
    """The key of a cube on the compacted topic.

    >>> cube_key(Cube(0, 60_000, 3, Side(), Side()))
    b'60000|cube|3'
    """
    partition = "" if cube.partition is None else cube.partition
    return f"{cube.end_ms}|{CUBE}|{partition}".encode()


def encode_cube(cube: Cube) -> bytes:
    """One line of JSON.

    >>> cube = Cube(0, 60_000, 3, Side(("device",), (("ios",),), ((0,),), {"sessions": (2,)}), Side(), "f")
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
    return {
        "codes": side.codes,
        "counters": {name: [min(count, LARGEST) for count in column] for name, column in side.counters.items()},
        "dimensions": side.dimensions,
        "values": side.values,
    }


def _side(told: Mapping[str, Any]) -> Side:
    side = Side(
        tuple(told["dimensions"]),
        tuple(map(tuple, told["values"])),
        tuple(map(tuple, told["codes"])),
        {name: tuple(column) for name, column in told["counters"].items()},
    )
    lengths = {len(column) for column in (*side.codes, *side.counters.values())}
    if len(lengths) > 1 or not len(side.dimensions) == len(side.values) == len(side.codes):
        raise ValueError("its columns differ in length")
    side.leaves()  # a code without a value raises
    return side


def _added(sides: Sequence[Side]) -> Side:
    # After a change of the configuration, partitions count by other dimensions for a while.
    sides = [side for side in sides if side.dimensions == sides[0].dimensions]
    names = sorted({name for side in sides for name in side.counters})
    table: dict[tuple[str, ...], list[int]] = {}
    for side in sides:
        columns = [side.counters.get(name) or repeat(0) for name in names]
        for values, *counts in zip(side.leaves(), *columns, strict=False):
            sums = table.get(values)
            table[values] = counts if sums is None else [one + other for one, other in zip(sums, counts, strict=True)]
    leaves = sorted(table)
    values = tuple(tuple(sorted(set(column))) for column in zip(*leaves, strict=True))
    places = [{text: place for place, text in enumerate(known)} for known in values]
    codes = tuple(tuple(places[row][leaf[row]] for leaf in leaves) for row in range(len(values)))
    sums_by_name = zip(*(table[leaf] for leaf in leaves), strict=True)
    return Side(sides[0].dimensions, values, codes, dict(zip(names, sums_by_name, strict=False)))
