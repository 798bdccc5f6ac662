"""Events that wait for their turn in the processing order: in memory with what they say, in a snapshot as offsets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple, cast

import msgspec

from streams.events import Event

__all__ = ["ORDER", "Columns", "Held", "Origin", "Told", "Waiting", "held_in", "told_of"]

ORDER: Final = attrgetter("order_ms")
SAID: Final = attrgetter("order_ms", "noted_ms", "late", "origin", "place", "part")

Waiting = tuple[int, Event, str, int, int, int]
"""Key of the processing order, event, topic, offset, place in the record, append time."""


class Origin(NamedTuple):
    """Where events come from: records of one source. It refers to no event, so that no circle keeps them alive."""

    topic: str
    offsets: Sequence[int]
    append_ms: Sequence[int]


class Held(NamedTuple):
    """A waiting event as a snapshot has it: what its arrival decided, and where to read the rest."""

    order_ms: int
    noted_ms: int
    late: bool
    topic: str
    offset: int
    place: int
    append_ms: int


Columns = tuple[list[int], list[int], list[bool], list[str], list[int], list[int], list[int]]
"""Those of ``Held``."""


class Told:
    """What a checkpoint says of the events that wait: most of it is written little by little, shortly before."""

    def __init__(self) -> None:
        self._slices: list[Columns] = []
        self._events: list[Event] | None = None
        """Those that waited when it was begun."""
        self._done = 0
        """So many of them are in the slices."""

    def prepare(self, waiting: list[Event], most: int) -> bool:
        """Write some of what waits (in the processing order); returns whether there is more of it."""
        if self._events is None:
            self._events = list(waiting) if len(waiting) > most else []
        some = self._events[self._done : self._done + most]
        if some:
            self._done += len(some)
            self._slices.append(_written([], some))
        return self._done < len(self._events)

    def take(self, held: list[Held], waiting: list[Event]) -> list[Columns]:
        """All that waits: what a snapshot had of it and was not read again yet, or these events.

        Slices have also what came before the first of these: it does not wait any more. Those that are equal in the
        processing order stay in their order.
        """
        told, slices = (self._events or [])[: self._done], self._slices
        self._events, self._done, self._slices = None, 0, []
        start = bisect_left(told, ORDER(waiting[0]), key=ORDER) if waiting else len(told)
        if start == len(told):
            return [_written(held, waiting)]
        rest = iter(told[start:])
        next_told: Event | None = next(rest)
        fresh = []
        for event in waiting:
            if event is next_told:
                next_told = next(rest, None)
            else:
                fresh.append(event)
        return [*slices, _written([], fresh)]


def held_in(slices: list[Columns], waits_from_ms: int | None) -> list[Held]:
    """What waits, in the processing order, by what a checkpoint says of it."""
    if waits_from_ms is None:
        return []
    rows = (Held(*row) for columns in slices for row in zip(*columns, strict=True))
    return sorted((row for row in rows if row.order_ms >= waits_from_ms), key=ORDER)


def told_of(event: Event) -> Waiting:
    """A waiting event, and what leads back to its record."""
    topic, offsets, append_ms = event.origin
    return event.order_ms, event, topic, offsets[event.place], event.part, append_ms[event.place]


def _written(held: list[Held], waiting: list[Event]) -> Columns:
    columns: list[list[Any]] = [[one[place] for one in held] for place in range(len(Held._fields))]
    if waiting:
        order_ms, noted_ms, late, origins, places, parts = zip(*map(SAID, waiting), strict=True)
        found = list(zip(origins, places, strict=True))
        topics, offsets = [origin.topic for origin in origins], [origin.offsets[place] for origin, place in found]
        append_ms = [origin.append_ms[place] for origin, place in found]
        for column, more in zip(columns, (order_ms, noted_ms, late, topics, offsets, parts, append_ms), strict=True):
            column += more
    return cast(Columns, msgspec.Raw(msgspec.msgpack.encode(columns)))
