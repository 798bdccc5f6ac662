"""What goes into the engine and what comes out of it: batches of records in, rows and rejects out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.engine.cube import Cube
from streams.engine.rows import Row

__all__ = ["NO_APPEND_TIME", "Batch", "Outcome", "Reject"]

NO_APPEND_TIME = -1
"""Append time of a record that has none, as in a file: its field ``append_time`` counts, else there is no guard."""


class Batch(NamedTuple):
    """Records of one source topic and partition, in order of offset: parallel sequences of one length."""

    topic: str
    partition: int
    offsets: Sequence[int]
    append_ms: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]


class Reject(NamedTuple):
    """A record (or one event of it) that cannot be counted, and why; for the dead-letter topic."""

    topic: str
    partition: int
    offset: int
    append_ms: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None


class Outcome(NamedTuple):
    """What one call to the engine brought: closed rows, rejects, the number of records it absorbed, and cubes.

    A cube is of a window whose rows are among these; it is to be told before them.
    """

    rows: list[Row]
    rejects: list[Reject]
    records: int
    cubes: Sequence[Cube] = ()
