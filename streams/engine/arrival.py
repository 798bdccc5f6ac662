"""Arrival order: the sources of a partition, interleaved by append time, then topic, then offset."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

from streams.engine.batch import Batch
from streams.engine.waiting import Origin
from streams.errors import InputError

__all__ = ["Arrivals", "Record", "Run", "Source", "Taken"]

HEAD: Final = 400
"""Records of a source decoded at a time: what they become still fits the processor's cache until it is applied."""


class Record(NamedTuple):
    """A record of a source; ``told_ms`` is its own append time, ``append_ms`` the running maximum of its source."""

    topic: str
    offset: int
    told_ms: int
    append_ms: int
    key: bytes | None
    value: bytes | None


class Run:
    """Neighbouring records of one source, as parallel sequences.

    ``arrives_ms`` is the running maximum of the append times of the source; ``append_ms`` the same, but negative
    for a record that has none. ``decoded`` is what the records say, once somebody has read them all; at the places
    in ``odd``, in their order, it is a list of what has to be looked at more closely.
    """

    __slots__ = ("append_ms", "arrives_ms", "decoded", "keys", "odd", "offsets", "told_ms", "topic", "values")

    def __init__(self, topic: str, *sequences: Sequence[Any]) -> None:
        self.topic = topic
        self.offsets, self.told_ms, self.append_ms, self.arrives_ms, self.keys, self.values = sequences
        self.decoded: list[Any] | None = None
        self.odd: deque[int] = deque()

    def part(self, start: int, end: int) -> Run:
        """The records from ``start`` to before ``end``."""
        cut = slice(start, end)
        told = (self.offsets, self.told_ms, self.append_ms, self.arrives_ms, self.keys, self.values)
        return Run(self.topic, *(sequence[cut] for sequence in told))

    @property
    def origin(self) -> Origin:
        """What its events are told of their records."""
        return Origin(self.topic, self.offsets, self.append_ms)

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


class Taken(NamedTuple):
    """The records of a run from ``start`` to before ``end``."""

    run: Run
    start: int
    end: int


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
        self.head: Run | None = None
        """The records that come next, few enough to be decoded at once; those before ``start`` were taken."""
        self.start = 0
        self._runs: deque[Run] = deque()
        """What is buffered, in the pieces in which it was pushed; ``head`` is cut from the first."""
        self._cut = 0
        """Where the next head begins in the first of them."""

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
        told_all = list(batch.append_ms[start:])
        latest_ms = self._runs[-1].arrives_ms[-1] if self._runs else self.latest_ms
        arrives = appends = told_all
        if told_all[0] < latest_ms or told_all != sorted(told_all):
            arrives = list(accumulate(told_all, max, initial=latest_ms))[1:]
            appends = [ms if told >= 0 else told for ms, told in zip(arrives, told_all, strict=True)]
        self._runs.append(
            Run(self.topic, offsets[start:], told_all, appends, arrives, batch.keys[start:], batch.values[start:])
        )
        if self.head is None:
            self._next_head()

    def take(self, limit: int, before_ms: int | None, including: bool) -> Taken:
        """At most ``limit`` records of the head that arrived before ``before_ms`` (or at it)."""
        run, start = self.head, self.start
        assert run is not None
        size = len(run.offsets)
        end = min(size, start + limit)
        if before_ms is not None:
            cut = bisect_right if including else bisect_left
            end = cut(run.arrives_ms, before_ms, start, end)
        self.next_offset, self.latest_ms = run.offsets[end - 1] + 1, run.arrives_ms[end - 1]
        self.start = end
        if end == size:
            self._next_head()
        return Taken(run, start, end)

    def missing(self) -> bool:
        """Whether records that the engine had in hand are still to be read again.

        What was to be read before a record that is here already is not in the log any more.
        """
        if self.head is not None or None not in self.held.values():
            return False
        newest = max((offset for offset, record in self.held.items() if record is not None), default=-1)
        return any(record is None and offset > newest for offset, record in self.held.items())

    def forget_missing(self) -> None:
        """Wait no more for records that are not here."""
        self.held = {offset: record for offset, record in self.held.items() if record is not None}

    def _next_head(self) -> None:
        self.head, self.start = None, 0
        while self._runs and self._cut == len(self._runs[0].offsets):
            self._runs.popleft()
            self._cut = 0
        if self._runs:
            start, self._cut = self._cut, min(self._cut + HEAD, len(self._runs[0].offsets))
            self.head = self._runs[0].part(start, self._cut)

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

    def take(self, limit: int) -> Taken | None:
        """The next records in order of arrival, of one source and at most ``limit``; None while one is waited for."""
        first: Source | None = None
        rival: Source | None = None
        first_ms = rival_ms = 0
        for source in self.sources.values():  # by topic: of several at one time the first one found goes first
            run = source.head
            if run is None:
                if not source.caught_up:
                    return None
                continue
            ms = run.arrives_ms[source.start]
            if first is None or ms < first_ms:
                first, first_ms, rival, rival_ms = source, ms, first, first_ms
            elif rival is None or ms < rival_ms:
                rival, rival_ms = source, ms
        if first is None:
            return None
        return first.take(limit, None if rival is None else rival_ms, rival is None or first.topic < rival.topic)
