"""Events that wait for their turn in the processing order: in memory with what they say, in a snapshot as offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.events import Event

__all__ = ["Held", "Origin", "Waiting", "told_of"]

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


def told_of(event: Event) -> Waiting:
    """A waiting event, and what leads back to its record."""
    topic, offsets, append_ms = event.origin
    return event.order_ms, event, topic, offsets[event.place], event.part, append_ms[event.place]
