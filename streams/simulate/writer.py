"""Writers of a simulated shop: to a file with its labels beside it, and to topics, at full speed or by the clock."""

from __future__ import annotations

import asyncio
import gzip
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, cast

import orjson
import zstandard
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from streams.errors import InputError
from streams.kafka import broker_errors, partition_count
from streams.simulate.shop import Shop, SimRecord
from streams.simulate.spec import ShopSpec

__all__ = [
    "Feed",
    "Progress",
    "Written",
    "feed_topics",
    "labels_path",
    "simulate_to_file",
    "simulate_to_topics",
    "write_labels",
]

FILE_STEP_MS = 60_000
TOPIC_STEP_MS = 5_000
"""Topics are written in steps: no topic runs ahead of another by more event time than this."""

PACE_SECONDS = 0.2
BATCH_BYTES = 256 << 10
KEYS_REMEMBERED = 100_000


class Written(NamedTuple):
    """What was written: records, their bytes, and up to which append time (exclusive)."""

    records: int
    bytes: int
    until_ms: int


Progress = Callable[[Written], None]


class Storyteller(Protocol):
    """What is fed into topics: a shop, or something that stands for one."""

    @property
    def spec(self) -> ShopSpec: ...
    def events(self, start_ms: int, end_ms: int) -> Iterator[SimRecord]: ...


def simulate_to_file(
    spec: ShopSpec, path: Path, start_ms: int, end_ms: int, progress: Progress | None = None
) -> Written:
    """Write the records of ``[start_ms, end_ms)`` as JSON lines, and their labels beside them.

    Each event has the field ``append_time`` (milliseconds), so that a replay of the file has the clock of the
    broker. ``path`` may end in ``.gz`` or ``.zst``. It appears when it is complete: an interrupted run leaves
    nothing. The labels are at `labels_path`.

    Raises
    ------
    InputError
        Where the file cannot be written.
    """
    shop, written = Shop(spec), Written(0, 0, start_ms)
    partial = path.with_name(path.name + ".partial")
    try:
        with opened(partial, path.suffix) as file:
            for step_ms in range(start_ms, end_ms, FILE_STEP_MS):
                until_ms = min(step_ms + FILE_STEP_MS, end_ms)
                lines = [file_line(record) for record in shop.events(step_ms, until_ms)]
                text = b"".join(lines)
                file.write(text)
                written = Written(written.records + len(lines), written.bytes + len(text), until_ms)
                if progress:
                    progress(written)
        os.replace(partial, path)
        write_labels(shop, labels_path(path), start_ms, end_ms)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", key="--out", value=str(path), way_out="name a writable place"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return written


def labels_path(path: Path) -> Path:
    """Where the labels of a file of events are.

    >>> labels_path(Path("week.jsonl.zst")).name
    'week.labels.json'
    """
    return path.with_name(path.name.split(".")[0] + ".labels.json")


def write_labels(shop: Shop, path: Path, start_ms: int, end_ms: int) -> None:
    """Write the truth about a simulated span: who the shop was, and its incidents."""
    told = {
        "start_ms": start_ms,
        "end_ms": end_ms,
        "seed": shop.spec.seed,
        "sessions_per_minute": shop.spec.sessions_per_minute,
        "time_zone": shop.spec.time_zone,
        "incidents": shop.labels(),
    }
    path.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def file_line(record: SimRecord) -> bytes:
    """A record as a line; what is no object stays as it is, and has no append time.

    >>> file_line(SimRecord("clickstream", b"s", b'{"a":1}', 5))
    b'{"a":1,"append_time":5}\\n'
    """
    if record.value.endswith(b"}"):
        return b'%s,"append_time":%d}\n' % (record.value[:-1], record.append_ms)
    return record.value + b"\n"


def opened(path: Path, suffix: str) -> AbstractContextManager[IO[bytes]]:
    """The file for writing, compressed as its suffix says."""
    if suffix == ".gz":
        return cast(AbstractContextManager[IO[bytes]], gzip.open(path, "wb", compresslevel=4))
    if suffix == ".zst":
        return cast(AbstractContextManager[IO[bytes]], zstandard.open(path, "wb"))
    return path.open("wb")


@dataclass(frozen=True, slots=True)
class Feed:
    """How a shop is fed into topics.

    Parameters
    ----------
    client_args
        Of the aiokafka client: ``bootstrap_servers`` and security.
    follow
        Whether to go on with the clock once it is reached, until stopped.
    now_ms
        The clock; another one in tests.
    copy
        A file that gets the same records as lines.
    """

    client_args: Mapping[str, Any] = field(repr=False)
    follow: bool = False
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    copy: IO[bytes] | None = None


def simulate_to_topics(
    spec: ShopSpec, feed: Feed, start_ms: int, end_ms: int | None = None, progress: Progress | None = None
) -> Written:
    """Run `feed_topics` to its end, or until it is interrupted."""
    return asyncio.run(feed_topics(Shop(spec), feed, start_ms, end_ms, progress))


async def feed_topics(
    shop: Storyteller, feed: Feed, start_ms: int, end_ms: int | None = None, progress: Progress | None = None
) -> Written:
    """Write the records of ``[start_ms, end_ms)`` to the topics of the shop, with their own timestamps.

    What lies behind the clock is written as fast as the broker takes it; with ``feed.follow`` the rest is paced by
    it (for ever where there is no end; cancel to stop: what was begun is finished). Without, the span must be given.
    Keys go to partitions by the default partitioner of Kafka.

    Raises
    ------
    BrokerError
        Where the broker or a topic is not there, the topics differ in partitions, or sending fails for good.
    """
    if end_ms is None and not feed.follow:
        raise InputError("a span without an end", key="end_ms", way_out="give an end, or follow the clock")
    partitions = await partition_count(feed.client_args, (shop.spec.click_topic, shop.spec.orders_topic))
    producer = AIOKafkaProducer(acks="all", max_batch_size=BATCH_BYTES, **feed.client_args)
    with broker_errors(feed.client_args):
        try:
            await producer.start()
            return await pump(shop, feed, Sender(producer, partitions), start_ms, end_ms, progress)
        finally:
            await producer.stop()


async def pump(
    shop: Storyteller, feed: Feed, sender: Sender, start_ms: int, end_ms: int | None, progress: Progress | None
) -> Written:
    """Send step by step: by the broker's pace in the past, by the clock at its edge."""
    written = Written(0, 0, start_ms)
    while end_ms is None or written.until_ms < end_ms:
        until_ms = written.until_ms + TOPIC_STEP_MS
        if feed.follow:
            until_ms = min(until_ms, feed.now_ms())
        if end_ms is not None:
            until_ms = min(until_ms, end_ms)
        if until_ms <= written.until_ms:
            await asyncio.sleep(PACE_SECONDS)
            continue
        # A step that was begun is finished, or a stop would leave a hole in the middle of a second.
        records = shop.events(written.until_ms, until_ms)
        sending = asyncio.ensure_future(sender.send(copied(records, feed.copy) if feed.copy else records))
        try:
            count, size = await asyncio.shield(sending)
        except asyncio.CancelledError:
            await sending
            raise
        written = Written(written.records + count, written.bytes + size, until_ms)
        if progress:
            progress(written)
        if feed.follow and feed.now_ms() - until_ms < TOPIC_STEP_MS:
            await asyncio.sleep(PACE_SECONDS)
    return written


def copied(records: Iterable[SimRecord], file: IO[bytes]) -> Iterator[SimRecord]:
    """The records, each written to the file as it passes."""
    for record in records:
        file.write(file_line(record))
        yield record


class Sender:
    """Packs records into one batch a partition and waits until the broker has them."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int) -> None:
        self._producer, self._partitions = producer, partitions
        self._known: dict[bytes, int] = {}

    async def send(self, records: Iterable[SimRecord]) -> tuple[int, int]:
        """Send all and wait for the acknowledgements; returns their number and bytes."""
        open_batches: dict[tuple[str, int], Any] = {}
        waiting: list[Awaitable[Any]] = []
        count = size = 0
        for topic, key, value, append_ms in records:
            place = (topic, self._partition(key))
            batch = open_batches.get(place)
            if batch is None:
                batch = open_batches[place] = self._producer.create_batch()
            if batch.append(timestamp=append_ms, key=key, value=value) is None:
                waiting.append(await self._producer.send_batch(batch, place[0], partition=place[1]))
                batch = open_batches[place] = self._producer.create_batch()
                batch.append(timestamp=append_ms, key=key, value=value)
            count += 1
            size += len(value)
        for (topic, partition), batch in open_batches.items():
            waiting.append(await self._producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*waiting)
        return count, size

    def _partition(self, key: bytes | None) -> int:
        if key is None:
            return 0
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= KEYS_REMEMBERED:
                self._known.clear()
            known = self._known[key] = (murmur2(key) & 0x7FFF_FFFF) % self._partitions
        return known
