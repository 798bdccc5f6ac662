"""Records of a time range of topics: no consumer group, nothing committed, nothing written."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.engine.batch import Batch
from streams.kafka import broker_errors

__all__ = ["Caught", "Seeker", "TopicRange"]

POLL_MS = 200
MAX_RECORDS = 5_000
# Sources are read in step: one that is further ahead in append time waits for the others.
STEP_MS = 60_000
LOOK_BACK = 500
BISECT_UNTIL = 64


class Caught(NamedTuple):
    """A source has nothing more in the range."""

    topic: str
    partition: int


class TopicRange:
    """Records of all partitions of some topics with append times in ``[since_ms, until_ms)``.

    Append time is the record timestamp as running maximum of its source. The range begins at the first record at or
    behind ``since_ms``: what the broker says of times is checked by reading, because some brokers answer by segment
    or not at all. It ends at the first record at or behind ``until_ms``, or at the end of the log, which is where a
    fetch finds nothing at the high watermark: end offsets alone may be too low.

    Parameters
    ----------
    client_args
        Arguments of the aiokafka client: ``bootstrap_servers`` and security.
    topics
        Source topics, with the same number of partitions.
    since_ms, until_ms
        None: from the first kept record; up to the end of the log.
    """

    def __init__(
        self, client_args: Mapping[str, Any], topics: Sequence[str], since_ms: int | None, until_ms: int | None
    ) -> None:
        self.client_args, self.topics = client_args, tuple(topics)
        self.since_ms, self.until_ms = since_ms, until_ms
        self.first_ms: int | None = None
        """Append time of the earliest record that was read; None where there was none."""
        self.from_log_start = False
        """Whether the log begins no earlier than the range, in every source."""

    async def read(self, partitions: int) -> AsyncIterator[Batch | Caught]:
        """Batches of all sources in step of append time, and for each source once that it has no more."""
        sources = [TopicPartition(topic, each) for each in range(partitions) for topic in self.topics]
        with broker_errors(self.client_args):
            starts = await self._starts(sources)
            consumer = _consumer(self.client_args, fetch_bytes=4 << 20)
            await consumer.start()
            try:
                consumer.assign(sources)
                ends = await consumer.end_offsets(sources)
                for source in sources:
                    consumer.seek(source, starts[source])
                async for told in self._in_step(consumer, {source: _Queue(ends[source]) for source in sources}):
                    yield told
            finally:
                await consumer.stop()

    async def _starts(self, sources: list[Any]) -> dict[Any, int]:
        consumer = _consumer(self.client_args, fetch_bytes=64 << 10)
        await consumer.start()
        try:
            first: dict[Any, int] = await consumer.beginning_offsets(sources)
            self.from_log_start = True
            if self.since_ms is None:
                return first
            starts = {}
            for source in sources:
                # One at a time: nothing else is fetched meanwhile.
                consumer.assign([source])
                starts[source] = await Seeker(consumer).find(source, self.since_ms, first[source])
                self.from_log_start = self.from_log_start and starts[source] == first[source]
            return starts
        finally:
            await consumer.stop()

    async def _in_step(self, consumer: Any, queues: dict[Any, _Queue]) -> AsyncIterator[Batch | Caught]:
        while queues:
            hungry = [source for source, queue in queues.items() if not queue.records]
            if hungry:
                # Everything that was fetched is taken, else the client waits for it before it fetches for others.
                for source, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                    queues[source].add(records, self.until_ms)
                for source in hungry:
                    queue = queues[source]
                    if not queue.records and (queue.ended or await _at_end(consumer, source, queue.end)):
                        del queues[source]
                        consumer.pause(source)
                        yield Caught(source.topic, source.partition)
            _hold_back(consumer, queues)
            if all(queue.records for queue in queues.values()):
                heads = [queue.records[0][0] for queue in queues.values()]
                for source, queue in queues.items():
                    batch = self._batch(source, queue.take(min(heads) + STEP_MS))
                    if batch is not None:
                        yield batch

    def _batch(self, source: Any, taken: list[tuple[int, Any]]) -> Batch | None:
        records = [record for append_ms, record in taken if self.since_ms is None or append_ms >= self.since_ms]
        if not records:
            return None
        earliest = records[0].timestamp
        self.first_ms = earliest if self.first_ms is None else min(self.first_ms, earliest)
        return Batch(
            source.topic,
            source.partition,
            [record.offset for record in records],
            [record.timestamp for record in records],
            [record.key for record in records],
            [record.value for record in records],
        )


class _Queue:
    """Records of one source that were fetched and not yet given on, each with its append time."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.records: deque[tuple[int, Any]] = deque()
        self.ended = False
        self._append_ms = -1

    def add(self, records: Sequence[Any], until_ms: int | None) -> None:
        for record in records:
            self._append_ms = max(self._append_ms, record.timestamp)
            if self.ended or (until_ms is not None and self._append_ms >= until_ms):
                self.ended = True
                return
            self.records.append((self._append_ms, record))

    def take(self, until_ms: int) -> list[tuple[int, Any]]:
        taken: list[tuple[int, Any]] = []
        while self.records and self.records[0][0] <= until_ms and len(taken) < MAX_RECORDS:
            taken.append(self.records.popleft())
        return taken


def _hold_back(consumer: Any, queues: dict[Any, _Queue]) -> None:
    """Fetch no more of a source while much of it waits for the others."""
    full = {source for source, queue in queues.items() if len(queue.records) > MAX_RECORDS or queue.ended}
    paused = consumer.paused()
    if full - paused:
        consumer.pause(*(full - paused))
    if again := (paused & set(queues)) - full:
        consumer.resume(*again)


def _consumer(client_args: Mapping[str, Any], fetch_bytes: int) -> Any:
    return AIOKafkaConsumer(
        **client_args,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=POLL_MS // 2,
        max_partition_fetch_bytes=fetch_bytes,
    )


class Seeker:
    """Finds the first record at or behind a moment, whatever the broker says of times.

    Parameters
    ----------
    consumer
        One that has the sources assigned; it is sought to and fro.
    hint
        What the broker answers: an offset by source and time, or None.
    """

    def __init__(self, consumer: Any, hint: Callable[[Any, int], Any] | None = None) -> None:
        self.consumer = consumer
        self._hint = hint or self._ask

    async def find(self, source: Any, moment_ms: int, first: int) -> int:
        """Offset of the first record whose timestamp is at least ``moment_ms``; the end where there is none.

        Timestamps need not be in order: from a candidate it is stepped back while earlier records are late enough.
        """
        candidate = await self._hint(source, moment_ms)
        if candidate is None or not await self._is_border(source, candidate, moment_ms, first):
            candidate = await self._bisect(source, moment_ms, first)
        step = LOOK_BACK
        while candidate > first:
            earlier = await self._first_in(source, max(first, candidate - step), candidate, moment_ms)
            if earlier is None:
                break
            candidate, step = earlier, step * 4
        return candidate

    async def _ask(self, source: Any, moment_ms: int) -> int | None:
        told = (await self.consumer.offsets_for_times({source: moment_ms})).get(source)
        return None if told is None else int(told.offset)

    async def _is_border(self, source: Any, offset: int, moment_ms: int, first: int) -> bool:
        here = await self._records(source, offset, 1)
        if offset < first or not here or here[0].timestamp < moment_ms:
            return False
        before = await self._records(source, max(first, offset - 1), 1) if offset > first else []
        return not before or before[0].offset >= offset or before[0].timestamp < moment_ms

    async def _bisect(self, source: Any, moment_ms: int, first: int) -> int:
        low, high = first, await self._end(source)
        while high - low > BISECT_UNTIL:
            middle = (low + high) // 2
            records = await self._records(source, middle, 1)
            if records and records[0].timestamp < moment_ms:
                low = records[0].offset + 1
            else:
                high = middle
        found = await self._first_in(source, low, high, moment_ms)
        return high if found is None else found

    async def _first_in(self, source: Any, low: int, high: int, moment_ms: int) -> int | None:
        while low < high:
            records = await self._records(source, low, high - low)
            for record in records:
                if record.offset < high and record.timestamp >= moment_ms:
                    return int(record.offset)
            if not records or records[-1].offset + 1 >= high:
                return None
            low = records[-1].offset + 1
        return None

    async def _records(self, source: Any, offset: int, count: int) -> list[Any]:
        self.consumer.seek(source, offset)
        while True:
            told = await self.consumer.getmany(source, timeout_ms=POLL_MS, max_records=count)
            records: list[Any] = told.get(source, [])
            if records or await _at_end(self.consumer, source):
                return records

    async def _end(self, source: Any) -> int:
        told: int = (await self.consumer.end_offsets([source]))[source]
        await self._records(source, max(told - 1, 0), 1)
        return max(told, self.consumer.highwater(source) or 0)


async def _at_end(consumer: Any, source: Any, end: int = 0) -> bool:
    """Whether the position is at the high watermark of the last fetch; a source never fetched is not."""
    seen = consumer.highwater(source)
    return seen is not None and await consumer.position(source) >= max(seen, end)
