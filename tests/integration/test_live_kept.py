"""Over a rebalance a worker keeps the engines of partitions that stay with it, and only where nobody else had them."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streams.kafka import log_bounds
from streams.live.settings import LiveSettings
from streams.live.topics import ensure_topics
from tests.faults.scraper import partitions_told
from tests.support.live import (
    WorkerProcess,
    metrics,
    produce,
    produce_unseen,
    replayed,
    set_up_topics,
    settings_of,
    until,
    until_rows,
)
from tests.support.parts import Parts
from tests.support.shop_log import START_MS, Record, shop_log

MINUTE_MS = 60_000


def part_of(settings: LiveSettings, part: int) -> list[Record]:
    """Some records of this part of a day."""
    return shop_log(part, 60, 20, *settings.source_topics, START_MS + part * 40 * MINUTE_MS)


def write(settings: LiveSettings, part: int) -> None:
    produce(settings.bootstrap, part_of(settings, part))


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


def test_a_worker_that_stays_keeps_its_engines_while_another_comes_and_is_killed(broker: str, name: str) -> None:
    told = {"bootstrap": broker, "name": name, "piece_bytes": 700}
    settings = settings_of(told)
    partitions = set_up_topics(settings)
    with WorkerProcess(**told) as worker:
        worker.until_logged("owning")
        write(settings, 1)
        until_rows(settings, replayed(settings, partitions)[0], worker)
        # It saves its first partition, and dies between two pieces of the second.
        with WorkerProcess(**told, die_at="first_piece_sent", die_after=2) as other:
            worker.until_logged("owning", 2)
            stayed = partitions_told(metrics(worker))
            assert len(stayed) == 2
            assert f"kept partitions={sorted(stayed)}" in worker.log
            other.until_logged("owning")
            produce_unseen(broker, part_of(settings, 2), worker, other)
            assert other.wait(60) == -signal.SIGKILL, other.log
            worker.until_logged("owning partitions=[0, 1, 2, 3] judge=True", 2)
        assert worker.log.count(f"kept partitions={sorted(stayed)}") == 2
        assert worker.log.count("restored") == worker.log.count(f"restored partitions={sorted({0, 1, 2, 3} - stayed)}")
        until_rows(settings, replayed(settings, partitions)[0], worker)
        assert until(lambda: partitions_told(metrics(worker)) == {0, 1, 2, 3})


def test_a_worker_that_was_frozen_past_its_session_never_keeps(broker: str, name: str) -> None:
    told = {"bootstrap": broker, "name": name}
    settings = settings_of(told)
    partitions = set_up_topics(settings)
    with WorkerProcess(**told) as first, WorkerProcess(**told) as second:
        for one in (first, second):
            until(lambda one=one: len(partitions_told(metrics(one))) == 2)  # type: ignore[misc]
        write(settings, 1)
        until_rows(settings, replayed(settings, partitions)[0], second)
        mine = sorted(partitions_told(metrics(first)))
        first.signal(signal.SIGSTOP)
        second.until_logged("owning partitions=[0, 1, 2, 3]", second.log.count("owning partitions=[0, 1, 2, 3]") + 1)
        produce_unseen(broker, part_of(settings, 2), second)
        until_rows(settings, replayed(settings, partitions)[0], second)
        before = first.log
        first.signal(signal.SIGCONT)
        first.until_logged("owning", before.count("owning") + 1)
        since = first.log[len(before) :]
        assert "kept" not in since
        assert f"restored partitions={mine}" in since
        produce_unseen(broker, part_of(settings, 3), first, second)
        until_rows(settings, replayed(settings, partitions)[0], first)
