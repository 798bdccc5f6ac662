"""Arrival order: the sources of a partition, interleaved by append time, then topic, then offset."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from streams.engine.batch import Batch
from streams.errors import InputError

__all__ = ["Arrivals", "Record", "Run", "Source"]


class Record(NamedTuple):
    """A record of a source; ``told_ms`` is its own append time, ``append_ms`` the running maximum of its source."""

    topic: str
    offset: int
    told_ms: int
    append_ms: int
    key: bytes | None
    value: bytes | None


class Run(NamedTuple):
    """Neighbouring records of one source, as parallel sequences.

    ``arrives_ms`` is the running maximum of the append times of the source; ``append_ms`` the same, but negative
    for a record that has none.
    """

    topic: str
    offsets: Sequence[int]
    told_ms: Sequence[int]
    append_ms: Sequence[int]
    arrives_ms: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]

    def part(self, start: int, end: int) -> Run:
        """The records from ``start`` to before ``end``."""
        topic, offsets, told_ms, append_ms, arrives_ms, keys, values = self
        cut = slice(start, end)
        return Run(topic, offsets[cut], told_ms[cut], append_ms[cut], arrives_ms[cut], keys[cut], values[cut])

    def record(self, place: int) -> Record:
        """One record of it."""
        return Record(
            self.topic,
            self.offsets[place],
            self.told_ms[place],
            self.append_ms[place],
            self.keys[place],
            self.values[place],
        )


class Source:
    """One source topic: what is buffered of it, and how far it was read and absorbed."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.caught_up = False
        self.latest_ms = -1
        """Running maximum of the append times absorbed."""
        self.next_offset: int | None = None
        self.held: dict[int, Record | None] = {}
        """Offsets below ``next_offset`` whose records have to be read again, and those that were."""
        self._runs: deque[Run] = deque()
        self._start = 0

    def push(self, batch: Batch) -> None:
        """Buffer what is new, keep what is waited for, skip what was absorbed."""
        if len({len(sequence) for sequence in batch[2:]}) > 1:
            raise InputError("parallel sequences of different lengths", key="batch", value=batch.topic)
        offsets = batch.offsets
        if not len(offsets):
            return
        start = bisect_left(offsets, self._read_offset())
        if start and self.held:
            for place in range(start):
                if offsets[place] in self.held:
                    told_ms = batch.append_ms[place]
                    told = (batch.keys[place], batch.values[place])
                    self.held[offsets[place]] = Record(self.topic, offsets[place], told_ms, told_ms, *told)
        if start == len(offsets):
            return
        told_ms_list = batch.append_ms[start:]
        latest_ms = self._runs[-1].arrives_ms[-1] if self._runs else self.latest_ms
        arrives = list(accumulate(told_ms_list, max, initial=latest_ms))[1:]
        appends = [ms if told_ms >= 0 else told_ms for ms, told_ms in zip(arrives, told_ms_list, strict=True)]
        self._runs.append(
            Run(self.topic, offsets[start:], told_ms_list, appends, arrives, batch.keys[start:], batch.values[start:])
        )

    def arrives_ms(self) -> int | None:
        """When the first buffered record arrived; None where nothing is buffered."""
        return self._runs[0].arrives_ms[self._start] if self._runs else None

    def take(self, limit: int, before_ms: int | None, including: bool) -> Run:
        """At most ``limit`` buffered records that arrived before ``before_ms`` (or at it)."""
        run, start = self._runs[0], self._start
        end = min(len(run.offsets), start + limit)
        if before_ms is not None:
            cut = bisect_right if including else bisect_left
            end = cut(run.arrives_ms, before_ms, start, end)
        taken = run.part(start, end)
        self.next_offset, self.latest_ms = taken.offsets[-1] + 1, taken.arrives_ms[-1]
        if end == len(run.offsets):
            self._runs.popleft()
            self._start = 0
        else:
            self._start = end
        return taken

    def missing(self) -> bool:
        """Whether records that the engine had in hand are still to be read again.

        What was to be read before a record that is here already is not in the log any more.
        """
        if self._runs or None not in self.held.values():
            return False
        newest = max((offset for offset, record in self.held.items() if record is not None), default=-1)
        return any(record is None and offset > newest for offset, record in self.held.items())

    def forget_missing(self) -> None:
        """Wait no more for records that are not here."""
        self.held = {offset: record for offset, record in self.held.items() if record is not None}

    def _read_offset(self) -> int:
        """The first offset that is neither absorbed nor buffered."""
        return self._runs[-1].offsets[-1] + 1 if self._runs else self.next_offset or 0


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

    def take(self, limit: int) -> Run | None:
        """The next records in order of arrival, of one source and at most ``limit``; None while one is waited for."""
        heads: list[tuple[int, Source]] = []
        for source in self.sources.values():
            ms = source.arrives_ms()
            if ms is not None:
                heads.append((ms, source))
            elif not source.caught_up:
                return None
        if not heads:
            return None
        heads.sort(key=lambda head: (head[0], head[1].topic))
        first = heads[0][1]
        if len(heads) == 1:
            return first.take(limit, None, True)
        next_ms, rival = heads[1]  # of several at that time the one whose topic comes first
        return first.take(limit, next_ms, first.topic < rival.topic)
