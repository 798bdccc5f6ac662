"""Sources that lose records or begin anew: a worker says so, and never counts on as if nothing had been."""

import asyncio
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from streams.errors import StateError
from streams.kafka import log_bounds, read_topic
from streams.live.settings import LiveSettings
from streams.live.sources import check_sources
from streams.live.topics import ensure_topics
from tests.support.live import WorkerProcess, metrics, produce, settings_of, until
from tests.support.parts import Parts
from tests.support.shop_log import shop_log

kafka_alone = pytest.mark.parametrize("broker", [pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)
"""For what the embedded broker cannot do: remove records, add partitions, tell a reader that its offset is gone."""


@pytest.fixture
def shop(broker: str, name: str) -> LiveSettings:
    """Topics of one partition with records in them."""
    settings = settings_of({"bootstrap": broker, "name": name, "partitions": 1})
    asyncio.run(ensure_topics(settings))
    write(settings, 3, 40)
    return settings


def write(settings: LiveSettings, seed: int, sessions: int) -> None:
    produce(settings.bootstrap, shop_log(seed, sessions, 10, *settings.source_topics))


async def remove_before(settings: LiveSettings, topic: str, offset: int) -> None:
    """What retention does, at once."""
    admin = AIOKafkaAdminClient(**settings.client_args)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(offset)})
    finally:
        await admin.close()


async def recreate(settings: LiveSettings, topic: str) -> None:
    """Delete a topic and make it again, empty."""
    admin = AIOKafkaAdminClient(**settings.client_args)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        while topic in await admin.list_topics():  # noqa: ASYNC110 - nothing tells when a broker has forgotten it
            await asyncio.sleep(0.05)
    finally:
        await admin.close()
    await ensure_topics(settings)


async def findings(settings: LiveSettings) -> list[tuple[str, str, str]]:
    return [(one.level, one.subject, one.problem) for one in await check_sources(settings)]


@kafka_alone
def test_records_that_retention_removed_during_a_stop_are_told_with_their_number(shop: LiveSettings) -> None:
    async def check() -> None:
        clicks = shop.source_topics[0]
        # A record that waits for its turn is read again: the state needs it a second time.
        needed = (await Parts(shop).count_and_save())[clicks]
        assert await findings(shop) == []
        before = (await log_bounds(shop.client_args, [clicks], [0], {}))[clicks, 0].end
        await asyncio.to_thread(write, shop, 4, 40)
        end = (await log_bounds(shop.client_args, [clicks], [0], {}))[clicks, 0].end
        await remove_before(shop, clicks, end)
        told = f"{end - before} records were removed before they were read, the log begins at {end}"
        assert await findings(shop) == [("warning", f"{clicks}[0]", told)]
        after = Parts(shop)
        await after.own()
        seen = after.view.snapshot()
        assert (seen.totals["trouble.records_lost"], seen.totals["lost"]) == (1, end - needed)
        assert list(seen.troubles) == [("records_lost", clicks, 0)]
        assert after.ingest.lanes[0].taken[clicks] == end

    asyncio.run(check())


@kafka_alone
def test_a_gap_is_a_loss_where_the_log_begins_behind_it_and_none_where_nothing_was_removed(shop: LiveSettings) -> None:
    async def check() -> None:
        clicks = shop.source_topics[0]
        records = [one async for _, batch in read_topic(shop.client_args, clicks, [0]) for one in batch]
        parts = Parts(shop)
        await parts.outbox.start()
        await parts.own()
        # Markers of transactions take offsets without being records.
        parts.ingest.take(clicks, 0, records[3:7])
        await parts.ingest.sources.look()
        assert not parts.view.snapshot().troubles
        await remove_before(shop, clicks, records[12].offset)
        parts.ingest.take(clicks, 0, records[12:])
        await parts.ingest.sources.look()
        assert parts.view.snapshot().totals["lost"] == 5
        await parts.outbox.stop(5.0)

    asyncio.run(check())


@kafka_alone
def test_partitions_that_are_added_are_told(shop: LiveSettings) -> None:
    async def check() -> None:
        clicks = shop.source_topics[0]
        parts = Parts(shop)
        await parts.own()
        admin = AIOKafkaAdminClient(**shop.client_args)
        await admin.start()
        try:
            await admin.create_partitions({clicks: NewPartitions(3)})
        finally:
            await admin.close()
        deadline = time.monotonic() + 20.0
        while not parts.view.snapshot().troubles and time.monotonic() < deadline:
            await parts.ingest.sources.look()
        assert list(parts.view.snapshot().troubles) == [("partition_added", clicks, 1)]

    asyncio.run(check())


def test_a_topic_that_was_recreated_during_a_stop_is_refused(shop: LiveSettings) -> None:
    async def check() -> None:
        clicks = shop.source_topics[0]
        await Parts(shop).count_and_save()
        await recreate(shop, clicks)
        [(level, subject, problem)] = await findings(shop)
        assert (level, subject) == ("error", f"{clicks}[0]")
        assert "recreated" in problem
        with pytest.raises(StateError, match=r"recreated.*--rebuild"):
            await Parts(shop).own()

    asyncio.run(check())


@kafka_alone
def test_a_topic_that_is_recreated_under_a_running_worker_ends_it_and_the_next_one(shop: LiveSettings) -> None:
    told = {"bootstrap": shop.bootstrap, "name": shop.app_id, "partitions": 1}
    with WorkerProcess(**told) as worker:
        # Of a log that it has not begun to read, it could not know that it is another one.
        written = len(shop_log(3, 40, 10, *shop.source_topics))
        assert until(lambda: f"funnel_records_total {written}.0" in metrics(worker)), worker.log
        asyncio.run(recreate(shop, shop.source_topics[0]))
        write(shop, 5, 10)
        # It sees the new log, or first a group without the topic.
        assert worker.wait(60) in (3, 4), worker.log
        assert "recreated" in worker.log or "deleted" in worker.log
    with pytest.raises(StateError, match=r"recreated.*--rebuild"):
        asyncio.run(Parts(shop).own())
