"""Arrival order: the sources of a partition, interleaved by append time, then topic, then offset."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from streams.engine.batch import Batch
from streams.errors import InputError

__all__ = ["Arrivals", "Record", "Source"]


class Record(NamedTuple):
    """A record of a source; ``told_ms`` is its own append time, ``append_ms`` the running maximum of its source."""

    topic: str
    offset: int
    told_ms: int
    append_ms: int
    key: bytes | None
    value: bytes | None


class Source:
    """One source topic: what is buffered of it, and how far it was read and absorbed."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.buffer: deque[Record] = deque()
        self.caught_up = False
        self.latest_ms = -1
        """Running maximum of the append times absorbed."""
        self.next_offset: int | None = None
        self.held: dict[int, Record | None] = {}
        """Offsets below ``next_offset`` whose records have to be read again, and those that were."""

    @property
    def read_offset(self) -> int:
        """The first offset that is neither absorbed nor buffered."""
        return self.buffer[-1].offset + 1 if self.buffer else self.next_offset or 0

    def push(self, batch: Batch) -> None:
        """Buffer what is new, keep what is waited for, skip what was absorbed."""
        read = self.read_offset
        latest = self.buffer[-1].append_ms if self.buffer else self.latest_ms
        append = self.buffer.append
        topic, held = self.topic, self.held
        for offset, told_ms, key, value in zip(batch.offsets, batch.append_ms, batch.keys, batch.values, strict=True):
            if offset < read:
                if held and offset in held:
                    held[offset] = Record(topic, offset, told_ms, told_ms, key, value)
                continue
            latest = max(latest, told_ms)
            append(Record(topic, offset, told_ms, latest if told_ms >= 0 else told_ms, key, value))
            read = offset + 1

    def missing(self) -> bool:
        """Whether records that the engine had in hand are still to be read again.

        What was to be read before a record that is here already is not in the log any more.
        """
        if not self.held or None not in self.held.values():
            return False
        if self.buffer:
            return False
        newest = max((offset for offset, record in self.held.items() if record is not None), default=-1)
        return any(record is None and offset > newest for offset, record in self.held.items())

    def forget_missing(self) -> None:
        """Wait no more for records that are not here."""
        self.held = {offset: record for offset, record in self.held.items() if record is not None}


class Arrivals:
    """The sources of a partition as one sequence of records."""

    def __init__(self, topics: tuple[str, ...], partition: int) -> None:
        self._partition = partition
        self.sources = {topic: Source(topic) for topic in sorted(topics)}

    def push(self, batch: Batch) -> None:
        """Buffer the records of one source."""
        if batch.partition != self._partition:
            raise InputError(
                f"belongs to the engine of another partition than {self._partition}",
                key="batch.partition",
                value=batch.partition,
                way_out="push it there",
            )
        self.source(batch.topic).push(batch)

    def source(self, topic: str) -> Source:
        """The source of that topic; raises ``InputError`` where it is none."""
        source = self.sources.get(topic)
        if source is None:
            raise InputError(
                "not a source of this engine", key="topic", value=topic, way_out=f"use one of {', '.join(self.sources)}"
            )
        return source

    def take(self, limit: int) -> list[Record]:
        """The next records in order of arrival, at most ``limit``; none while a source has to be waited for."""
        taken: list[Record] = []
        sources = list(self.sources.values())
        while len(taken) < limit:
            first: Source | None = None
            for source in sources:
                if not source.buffer:
                    if not source.caught_up:
                        return taken
                elif first is None or _arrives(source) < _arrives(first):
                    first = source
            if first is None:
                return taken
            record = first.buffer.popleft()
            first.next_offset = record.offset + 1
            first.latest_ms = max(first.latest_ms, record.append_ms)
            taken.append(record)
        return taken


def _arrives(source: Source) -> int:
    """Append time of a source's first record; sources of equal time stand in order of their topic."""
    return max(source.latest_ms, source.buffer[0].append_ms)
