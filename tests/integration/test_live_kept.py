"""Over a rebalance a worker keeps the engines of partitions that stay with it, and only where nobody else had them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streams.kafka import log_bounds
from streams.live.settings import LiveSettings
from streams.live.topics import ensure_topics
from tests.support.live import produce, settings_of
from tests.support.parts import Parts
from tests.support.shop_log import START_MS, shop_log

MINUTE_MS = 60_000

kafka_alone = pytest.mark.parametrize("broker", [pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)
"""What follows from the log alone."""


def write(settings: LiveSettings, part: int) -> None:
    """Write some records of this part of a day."""
    start_ms = START_MS + part * 40 * MINUTE_MS
    produce(settings.bootstrap, shop_log(part, 60, 20, *settings.source_topics, start_ms))


@pytest.fixture
def shop(broker: str, name: str) -> LiveSettings:
    """Topics of one partition with records in them."""
    settings = settings_of({"bootstrap": broker, "name": name, "partitions": 1})
    asyncio.run(ensure_topics(settings))
    write(settings, 1)
    return settings


@asynccontextmanager
async def workers(settings: LiveSettings) -> AsyncIterator[tuple[Parts, Parts]]:
    """Two that write, the first of which has counted and saved what there is."""
    first, second = Parts(settings), Parts(settings)
    for one in (first, second):
        await one.outbox.start()
    try:
        await first.own()
        await first.count()
        assert await first.checkpoints.save()
        yield first, second
    finally:
        for one in (first, second):
            await one.outbox.stop(5.0)


def test_an_engine_that_is_kept_reads_on_where_it_was_and_the_next_owner_restores_what_it_came_to(
    shop: LiveSettings,
) -> None:
    async def check() -> None:
        async with workers(shop) as (worker, other):
            await asyncio.to_thread(write, shop, 2)
            await worker.count()  # and this was not saved when the group began anew
            lane = worker.ingest.lanes[0]
            taken, totals = dict(lane.taken), dict(worker.view.snapshot().totals)
            worker.checkpoints.leave()
            await worker.own(2)
            assert worker.ingest.lanes[0] is lane
            assert lane.taken == taken
            assert worker.view.snapshot().totals == totals
            await asyncio.to_thread(write, shop, 3)
            await worker.count()
            assert await worker.checkpoints.save()
            await other.own(3)
            restored = other.ingest.lanes[0].engine
            assert restored.next_offsets == lane.engine.next_offsets
            assert restored.snapshot() == lane.engine.snapshot()
            for topic, partition in await log_bounds(shop.client_args, shop.source_topics, [0], {}):
                assert lane.taken[topic] > taken[topic], partition

    asyncio.run(check())


@kafka_alone
def test_a_worker_restores_what_another_one_has_written_even_where_the_group_knows_of_none(shop: LiveSettings) -> None:
    async def check() -> None:
        async with workers(shop) as (worker, other):
            worker.checkpoints.leave()
            await asyncio.to_thread(write, shop, 2)
            await other.own(1)  # of a group that was forgotten, or of another one
            await other.count()
            assert await other.checkpoints.save()
            engine = worker.checkpoints._held[0].lane.engine
            await worker.own(2)
            assert worker.ingest.lanes[0].engine is not engine
            assert worker.ingest.lanes[0].engine.counts == other.ingest.lanes[0].engine.counts
            assert worker.ingest.lanes[0].engine.counts != engine.counts

    asyncio.run(check())


@kafka_alone
def test_a_zombie_is_not_deceived_by_its_own_writing_behind_that_of_the_next_owner(shop: LiveSettings) -> None:
    async def check() -> None:
        async with workers(shop) as (zombie, owner):
            await owner.own(2)
            await asyncio.to_thread(write, shop, 2)
            await owner.count()
            assert await owner.checkpoints.save()
            await asyncio.to_thread(write, shop, 3)
            zombie.is_member = False
            await zombie.count()
            assert await zombie.checkpoints.save()  # nobody has told it
            zombie.checkpoints.leave()
            ahead = zombie.checkpoints._held[0].lane.engine.counts["records"]
            await zombie.own(2)
            restored = zombie.ingest.lanes[0].engine.counts["records"]
            assert restored == owner.ingest.lanes[0].engine.counts["records"] < ahead

    asyncio.run(check())
