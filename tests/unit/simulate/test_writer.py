"""Writers: a file that a replay can read, and topics that keep the records' own times and places."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator

import orjson
import pytest
import zstandard
from aiokafka.partitioner import murmur2

from streams.broker import embedded_broker
from streams.errors import BrokerError, InputError
from streams.kafka import TopicPlan, create_topics, read_topic
from streams.simulate import IncidentSpec, Shop, ShopSpec
from streams.simulate.writer import Feed, Written, feed_topics, labels_path, simulate_to_file, simulate_to_topics

NOON_MS = 1_772_337_600_000
MINUTE_MS = 60_000
INCIDENT = IncidentSpec("bots", NOON_MS + MINUTE_MS, NOON_MS + 2 * MINUTE_MS)
SPEC = ShopSpec(seed=4, sessions_per_minute=50, incidents=(INCIDENT,), poison_ratio=0.02)


def test_a_file_holds_every_record_in_order_with_its_append_time(tmp_path):
    seen: list[Written] = []
    written = simulate_to_file(SPEC, tmp_path / "day.jsonl", NOON_MS, NOON_MS + 3 * MINUTE_MS + 1, seen.append)
    records = list(Shop(SPEC).events(NOON_MS, NOON_MS + 3 * MINUTE_MS + 1))
    lines = (tmp_path / "day.jsonl").read_bytes().splitlines()
    assert len(lines) == len(records) == written.records
    assert written == seen[-1]
    assert written.bytes == (tmp_path / "day.jsonl").stat().st_size
    for line, record in zip(lines, records, strict=True):
        try:
            told = orjson.loads(line)
        except orjson.JSONDecodeError:
            assert line == record.value
            continue
        if isinstance(told, dict):
            assert told.pop("append_time") == record.append_ms
            assert told == orjson.loads(record.value)


def test_labels_lie_beside_the_file(tmp_path):
    simulate_to_file(SPEC, tmp_path / "day.jsonl", NOON_MS, NOON_MS + MINUTE_MS)
    told = orjson.loads(labels_path(tmp_path / "day.jsonl").read_bytes())
    assert [one["kind"] for one in told["incidents"]] == ["bots"]
    assert told["incidents"][0]["start_ms"] == INCIDENT.start_ms


def test_a_compressed_file_holds_the_same_lines(tmp_path):
    for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst"):
        simulate_to_file(SPEC, tmp_path / name, NOON_MS, NOON_MS + MINUTE_MS)
    plain = (tmp_path / "a.jsonl").read_bytes()
    assert gzip.decompress((tmp_path / "b.jsonl.gz").read_bytes()) == plain
    with zstandard.open(tmp_path / "c.jsonl.zst", "rb") as file:
        assert file.read() == plain


def test_an_interrupted_file_leaves_nothing_behind(tmp_path):
    def stop(_: Written) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_to_file(SPEC, tmp_path / "day.jsonl", NOON_MS, NOON_MS + MINUTE_MS, stop)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        simulate_to_file(SPEC, tmp_path / "nowhere" / "day.jsonl", NOON_MS, NOON_MS + MINUTE_MS)


@pytest.fixture(scope="module")
def client_args() -> Iterator[dict[str, str]]:
    with embedded_broker() as bootstrap:
        args = {"bootstrap_servers": bootstrap}
        plans = [TopicPlan(name, 3, 1, {}) for name in ("clickstream", "orders", "past.clicks", "past.orders")]
        asyncio.run(create_topics(args, [*plans, TopicPlan("lonely", 1, 1, {})]))
        yield args


async def stored(client_args: dict[str, str], topic: str) -> dict[int, list[tuple]]:
    found: dict[int, list[tuple]] = {0: [], 1: [], 2: []}
    async for partition, records in read_topic(client_args, topic, range(3)):
        found[partition] += [(record.key, record.value, record.timestamp) for record in records]
    return found


def test_topics_hold_every_record_at_its_time_and_place(client_args):
    spec = ShopSpec(seed=4, sessions_per_minute=300, click_topic="past.clicks", orders_topic="past.orders")
    written = simulate_to_topics(spec, Feed(client_args), NOON_MS, NOON_MS + 2 * MINUTE_MS)
    records = list(Shop(spec).events(NOON_MS, NOON_MS + 2 * MINUTE_MS))
    assert written.records == len(records)
    for topic in ("past.clicks", "past.orders"):
        places: dict[int, list[tuple]] = {0: [], 1: [], 2: []}
        for record in (one for one in records if one.topic == topic):
            partition = (murmur2(record.key) & 0x7FFF_FFFF) % 3 if record.key else 0
            places[partition].append((record.key, record.value, record.append_ms))
        assert asyncio.run(stored(client_args, topic)) == places


def test_a_followed_clock_is_never_run_ahead_of_and_a_stop_finishes_what_it_began(client_args):
    clock = [NOON_MS + MINUTE_MS]
    seen: list[Written] = []
    enough = asyncio.Event()

    def progress(written: Written) -> None:
        assert written.until_ms <= clock[0]
        seen.append(written)
        clock[0] += 1_000
        if written.until_ms >= NOON_MS + MINUTE_MS + 3_000:
            enough.set()

    async def run() -> None:
        feed = Feed(client_args, follow=True, now_ms=lambda: clock[0])
        task = asyncio.create_task(feed_topics(Shop(SPEC), feed, NOON_MS, progress=progress))
        async with asyncio.timeout(30):
            await enough.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    until_ms = max(written.until_ms for written in seen)
    expected = list(Shop(SPEC).events(NOON_MS, until_ms))
    found = [one for topic in ("clickstream", "orders") for one in asyncio.run(stored(client_args, topic)).values()]
    assert sum(map(len, found)) >= len(expected) == seen[-1].records


def test_a_missing_topic_or_unequal_topics_are_refused_by_name(client_args):
    for topic, word in (("no.such", "no.such"), ("lonely", "lonely has 1")):
        spec = ShopSpec(orders_topic=topic)
        with pytest.raises(BrokerError, match=word):
            simulate_to_topics(spec, Feed(client_args), NOON_MS, NOON_MS + MINUTE_MS)


def test_a_broker_that_is_not_there_is_named():
    feed = Feed({"bootstrap_servers": "127.0.0.1:9", "request_timeout_ms": 2_000})
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:9"):
        simulate_to_topics(SPEC, feed, NOON_MS, NOON_MS + MINUTE_MS)
