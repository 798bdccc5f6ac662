"""Events that wait for their turn in the processing order: in memory with what they say, in a snapshot as offsets."""

from __future__ import annotations

from typing import NamedTuple

from streams.events import Event

__all__ = ["Coordinates", "Held", "Waiting"]


class Coordinates(NamedTuple):
    """Where an event can be read again: its record, its place in it, and the append time that it was judged by."""

    topic: str
    offset: int
    place: int
    append_ms: int


class Waiting(NamedTuple):
    """An event that was accepted and waits until the watermark has passed its key."""

    order_ms: int
    event: Event
    at: Coordinates


class Held(NamedTuple):
    """A waiting event as a snapshot has it: what its arrival decided, and where to read the rest."""

    order_ms: int
    noted_ms: int
    late: bool
    at: Coordinates
