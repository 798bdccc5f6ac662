"""Topics as a source: the right first record whatever the broker says, in step, to the true end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.batch import Batch
from streams.errors import BrokerError
from streams.kafka import TopicPlan, create_topics, partition_count
from streams.replay.source_topic import STEP_MS, Caught, Seeker, TopicRange
from tests.support.brokers import BROKERS, running_broker


class Record(NamedTuple):
    offset: int
    timestamp: int


class Log:
    """A consumer of one partition held in memory; offsets may have holes, ``end`` may be told too low."""

    def __init__(self, timestamps: list[int], first: int = 0, every: int = 1, end: int | None = None) -> None:
        self.records = [Record(first + n * every, moment) for n, moment in enumerate(timestamps)]
        self.true_end = self.records[-1].offset + 1 if self.records else first
        self.told_end = self.true_end if end is None else end
        self.place = first
        self.fetched = 0

    def seek(self, source: Any, offset: int) -> None:
        self.place = offset

    async def getmany(self, source: Any, timeout_ms: int, max_records: int) -> dict[Any, list[Record]]:
        found = [record for record in self.records if record.offset >= self.place][:max_records]
        self.place = found[-1].offset + 1 if found else self.true_end
        self.fetched += len(found)
        return {source: found} if found else {}

    async def position(self, source: Any) -> int:
        return self.place

    def highwater(self, source: Any) -> int:
        return self.true_end

    async def end_offsets(self, sources: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(sources, self.told_end)


def find(log: Log, moment_ms: int, hint: int | None) -> int:
    async def told(source: Any, moment: int) -> int | None:
        return hint

    first = log.records[0].offset if log.records else 0
    return asyncio.run(Seeker(log, told).find("source", moment_ms, first))


MOMENTS = st.lists(st.integers(0, 10_000), max_size=400).map(sorted)


@given(MOMENTS, st.integers(0, 10_001), st.none() | st.integers(0, 500), st.integers(1, 3))
def test_whatever_the_broker_answers_the_first_record_at_or_behind_the_moment_is_found(
    timestamps: list[int], moment_ms: int, hint: int | None, every: int
) -> None:
    log = Log(timestamps, first=7, every=every)
    expected = next((record.offset for record in log.records if record.timestamp >= moment_ms), None)
    found = find(log, moment_ms, hint)
    if expected is None:
        assert all(record.offset < found for record in log.records)
    else:
        assert next(record.offset for record in log.records if record.offset >= found) == expected


def test_a_right_answer_of_the_broker_is_believed_without_much_reading() -> None:
    log = Log(list(range(100_000)))
    assert find(log, 60_000, 60_000) == 60_000
    assert log.fetched < 1_000


def test_a_wrong_answer_costs_little_more() -> None:
    log = Log(list(range(100_000)))
    assert find(log, 60_000, 3) == 60_000
    assert log.fetched < 2_000


def test_an_end_that_is_told_too_low_hides_no_record() -> None:
    assert find(Log(list(range(10_000)), end=1), 9_990, None) == 9_990


def test_an_earlier_record_with_a_later_timestamp_is_found_by_stepping_back() -> None:
    log = Log([100, 900, 110, 120, *range(130, 430), 950, 960])
    assert find(log, 900, 304) == 1


@pytest.fixture(scope="module", params=BROKERS)
def bootstrap(request: pytest.FixtureRequest) -> Iterator[str]:
    with running_broker(request.param) as told:
        yield told


async def fill(bootstrap: str, topic: str, records: dict[int, list[int]]) -> None:
    """Append records with these timestamps; the value of a record is its timestamp."""
    args = {"bootstrap_servers": bootstrap}
    # Records of the past are deleted by age unless the topic keeps them for ever.
    await create_topics(args, [TopicPlan(topic, 2, 1, {"retention.ms": "-1"})])
    producer = AIOKafkaProducer(**args, linger_ms=20)
    await producer.start()
    try:
        sent = [
            await producer.send(topic, b"%d" % moment, key=b"k", partition=partition, timestamp_ms=moment)
            for partition, moments in records.items()
            for moment in moments
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def read(bootstrap: str, topics: list[str], since: int | None, until: int | None) -> list[Batch | Caught]:
    source = TopicRange({"bootstrap_servers": bootstrap}, topics, since, until)
    return [told async for told in source.read(2)]


def moments(told: list[Batch | Caught], topic: str, partition: int) -> list[int]:
    return [
        moment
        for each in told
        if isinstance(each, Batch) and (each.topic, each.partition) == (topic, partition)
        for moment in each.append_ms
    ]


BASE = 1_772_366_400_000


def test_a_range_of_topics_is_read_from_its_first_record_to_its_last(bootstrap: str) -> None:
    early, late = [BASE + n * 1_000 for n in range(900)], [BASE + 500 + n * 7_000 for n in range(100)]
    asyncio.run(fill(bootstrap, "clicks", {0: early, 1: late}))
    asyncio.run(fill(bootstrap, "orders", {0: late[:7]}))
    since, until = BASE + 100_000, BASE + 600_000
    told = asyncio.run(read(bootstrap, ["clicks", "orders"], since, until))
    assert moments(told, "clicks", 0) == [moment for moment in early if since <= moment < until]
    assert moments(told, "clicks", 1) == [moment for moment in late if since <= moment < until]
    assert moments(told, "orders", 0) == []
    assert {each for each in told if isinstance(each, Caught)} == {
        Caught(topic, partition) for topic in ("clicks", "orders") for partition in (0, 1)
    }


def test_without_bounds_everything_is_read_and_sources_stay_in_step(bootstrap: str) -> None:
    dense, sparse = [BASE + n * 500 for n in range(3_000)], [BASE + n * 100_000 for n in range(15)]
    asyncio.run(fill(bootstrap, "dense", {0: dense}))
    asyncio.run(fill(bootstrap, "sparse", {1: sparse}))
    told = asyncio.run(read(bootstrap, ["dense", "sparse"], None, None))
    assert moments(told, "dense", 0) == dense
    assert moments(told, "sparse", 1) == sparse
    # A source that has ended is waited for no longer, so only batches before that are compared.
    ends = next(
        n for n, each in enumerate(told) if isinstance(each, Caught) and moments(told[:n], each.topic, each.partition)
    )
    reached = {"dense": BASE, "sparse": BASE}
    for each in told[:ends]:
        if isinstance(each, Batch):
            reached[each.topic] = each.append_ms[-1]
            assert each.append_ms[0] <= min(reached.values()) + 100_000 + STEP_MS


def test_topics_are_checked_before_they_are_read(bootstrap: str) -> None:
    args = {"bootstrap_servers": bootstrap}
    asyncio.run(create_topics(args, [TopicPlan("one", 1, 1, {}), TopicPlan("two", 2, 1, {})]))
    assert asyncio.run(partition_count(args, ["two"])) == 2
    with pytest.raises(BrokerError, match="different numbers"):
        asyncio.run(partition_count(args, ["one", "two"]))
    with pytest.raises(BrokerError, match="no such topic"):
        asyncio.run(partition_count(args, ["one", "three"]))
