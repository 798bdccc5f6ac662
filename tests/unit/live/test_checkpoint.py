"""Checkpoints: what is written, what waits for the group, what a save that was broken off leaves behind."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from faust.types import TP

from streams.engine.chain import Pace
from streams.engine.engine import Engine
from streams.engine.spec import EngineSpec
from streams.live.checkpoint import STEPS, Checkpoints
from streams.live.ingest import Ingest
from streams.live.settings import LiveSettings
from streams.live.snapshots import Stored, gather
from streams.telemetry.view import View
from tests.support.stories import story, to_lines
from tests.unit.engine.telling import FILE, batch, file_spec

SPEC: EngineSpec = file_spec()
SLOW = Pace(entries=2, size=100)
STORY = " | ".join(f"s{n}: page+{n}s cart+{n + 60}s" for n in range(60))


class Topic:
    """An outbox to one topic, and a group that takes offsets or does not."""

    def __init__(self) -> None:
        self.log: list[tuple[bytes | None, bytes | None, int]] = []
        self.is_current, self.is_open = True, asyncio.Event()
        self.is_open.set()

    def put(self, owner: int, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        self.log.append((key, value, 0))

    async def settled(self, owner: int) -> None:
        await self.is_open.wait()

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        return self.is_current

    def removed(self) -> int:
        return sum(value is None for _, value, _ in self.log)


class Case:
    """A worker's state of one partition, too large for one link."""

    def __init__(self) -> None:
        self.topic, self.engine, self.told = Topic(), Engine(SPEC, 0), 0
        self.engine.chain.pace = SLOW
        settings = LiveSettings(engine=SPEC, snapshot_piece_bytes=900)
        outbox: Any = self.topic
        self.ingest = Ingest(settings, outbox, View(), now_ms=lambda: 0, monotonic=lambda: 0.0)
        self.ingest.open({0: self.engine}, {0: {FILE: 0}}, 1)
        self.checkpoints = Checkpoints(settings, self.ingest, outbox, View(), now_ms=lambda: 0)
        self.checkpoints.committer = self.topic  # type: ignore[assignment]
        self.checkpoints.own({0: Stored()}, 1)
        self.tell(STORY)

    def tell(self, text: str) -> None:
        lines = to_lines(story(text))
        self.engine.push(batch(lines, self.told))
        self.told += len(lines)
        self.engine.drain()
        self.ingest.lanes[0].dirty = True

    async def save(self) -> int:
        self.ingest.lanes[0].dirty = True
        return await self.checkpoints.save()

    def stored(self) -> Stored:
        stored = gather(self.topic.log)
        assert stored.snapshot
        restored = Engine.restore_chain(SPEC, 0, stored.states())
        assert restored.counts == self.engine.counts
        return stored


def run(case: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(case())


def test_every_step_is_told_and_the_state_is_on_the_topic() -> None:
    async def told() -> None:
        case, steps = Case(), list[str]()
        case.checkpoints.on_step = lambda step, partition: steps.append(step)
        assert await case.save() > 900
        assert tuple(steps) == STEPS
        await case.save()
        assert len(case.stored().links) == 2

    run(told)


def test_nothing_is_removed_while_the_group_refuses_the_offsets() -> None:
    async def refused() -> None:
        case = Case()
        case.topic.is_current = False
        for _ in range(150):
            await case.save()
        keys = {key for key, _, _ in case.topic.log}
        assert case.topic.removed() == 0
        assert len(keys) == len(case.topic.log)
        case.topic.is_current = True
        await case.save()
        await case.save()
        assert case.topic.removed() > 100
        case.stored()

    run(refused)


@pytest.mark.parametrize("step", ["state_copied", "first_piece_sent"])
def test_a_save_that_was_broken_off_is_followed_by_a_whole_one(step: str) -> None:
    async def broken() -> None:
        case = Case()
        await case.save()
        await case.save()

        def close(told: str, partition: int) -> None:
            if told == step:
                case.topic.is_open.clear()

        case.checkpoints.on_step = close
        saving = asyncio.ensure_future(case.save())
        while case.topic.is_open.is_set():  # noqa: ASYNC110 - steps are told by a plain call
            await asyncio.sleep(0)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        case.topic.is_open.set()
        case.checkpoints.on_step = lambda told, partition: None
        case.tell("t: page+200s | s3: page+200s")
        await case.save()
        assert len(case.stored().links) == 1

    run(broken)


def test_a_partition_that_is_lost_meanwhile_is_not_written() -> None:
    async def lost() -> None:
        case = Case()
        case.checkpoints.on_step = lambda step, partition: case.checkpoints.forget()
        assert await case.save() == 0
        assert not case.topic.log

    run(lost)
