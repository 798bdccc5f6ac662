"""Events that wait for their turn in the processing order: in memory with what they say, in a snapshot as offsets."""

from __future__ import annotations

from typing import NamedTuple

from streams.events import Event

__all__ = ["Held", "Waiting"]

Waiting = tuple[int, Event, str, int, int, int]
"""Key of the processing order, event, topic, offset, place in the record, append time: plain, one is made an event."""


class Held(NamedTuple):
    """A waiting event as a snapshot has it: what its arrival decided, and where to read the rest."""

    order_ms: int
    noted_ms: int
    late: bool
    topic: str
    offset: int
    place: int
    append_ms: int
