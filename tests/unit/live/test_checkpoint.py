"""Checkpoints: what is written, what waits for the group, what a save that was broken off leaves behind."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from faust.types import TP

from streams.engine.chain import Pace
from streams.engine.engine import Engine
from streams.engine.spec import EngineSpec
from streams.live.checkpoint import STEPS, Checkpoints, Holding
from streams.live.ingest import Ingest, Lane
from streams.live.settings import LiveSettings
from streams.live.snapshots import Fence, Place, Shelf, Stored, gather
from streams.telemetry.view import View
from tests.support.stories import story, to_lines
from tests.unit.engine.telling import FILE, batch, file_spec

SPEC: EngineSpec = file_spec()
SLOW = Pace(entries=2, size=100)
GIVEN = TP(FILE, 0)
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

    def end_of(self, topic: str, partition: int) -> int:
        return len(self.log)

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
        self.view = View()
        self.ingest = Ingest(settings, outbox, self.view, now_ms=lambda: 0, monotonic=lambda: 0.0)
        self.checkpoints = Checkpoints(settings, self.ingest, outbox, View(), now_ms=lambda: 0)
        self.checkpoints.committer = self.topic  # type: ignore[assignment]
        self.checkpoints.assigned([GIVEN], 1)
        self.checkpoints.hold({0: Holding(Lane.of(self.engine, {FILE: 0}), Shelf(Stored(), Fence(1, 1)))})
        assert self.checkpoints.open(1)
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

    async def broken_save(self, step: str) -> None:
        """A save that is given up behind a step."""

        def close(told: str, partition: int) -> None:
            if told == step:
                self.topic.is_open.clear()

        self.checkpoints.on_step = close
        saving = asyncio.ensure_future(self.save())
        while self.topic.is_open.is_set():  # noqa: ASYNC110 - steps are told by a plain call
            await asyncio.sleep(0)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        self.topic.is_open.set()
        self.checkpoints.on_step = lambda told, partition: None

    def go_on(self, generation: int) -> None:
        """Take up what is in memory, as after a look at the topic."""
        for holding in self.checkpoints._held.values():
            holding.shelf.renew(generation)
        self.checkpoints.hold(self.checkpoints._held)
        self.checkpoints.open(1)

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

        await case.broken_save(step)
        case.tell("t: page+200s | s3: page+200s")
        await case.save()
        assert len(case.stored().links) == 1

    run(broken)


def test_a_partition_that_is_lost_meanwhile_is_not_written() -> None:
    async def lost() -> None:
        case = Case()
        case.checkpoints.on_step = lambda step, partition: case.checkpoints.leave()
        assert await case.save() == 0
        assert not case.topic.log

    run(lost)


def held(case: Case) -> set[int]:
    return set(case.checkpoints._held)


def test_what_is_in_memory_is_taken_up_again_in_the_next_generation_behind_a_higher_fence() -> None:
    async def kept() -> None:
        case = Case()
        await case.save()
        case.checkpoints.leave()
        assert case.ingest.lanes == {}
        assert not case.checkpoints.open(1)
        assert await case.checkpoints.save() == 0
        case.checkpoints.assigned([GIVEN], 2)
        assert not case.checkpoints.open(1)  # nobody has looked at the topic yet
        case.go_on(2)
        assert case.ingest.lanes[0].engine is case.engine
        case.tell("t: page+200s")
        await case.save()
        snapshot = case.stored().snapshot
        assert snapshot
        assert (snapshot.place, snapshot.behind) == (Place(2, 2, 2), 1)

    run(kept)


@pytest.mark.parametrize(
    ("what", "given", "generation"),
    [
        ("a generation that was missed", [GIVEN], 3),
        ("an earlier generation of a group that was forgotten", [GIVEN], 1),
        ("no generation", [GIVEN], -1),
        ("another partition", [TP(FILE, 1)], 2),
        ("nothing", [], 2),
    ],
)
def test_what_somebody_else_may_have_had_is_dropped(what: str, given: list[TP], generation: int) -> None:
    case = Case()
    case.checkpoints.leave()
    assert held(case) == {0}
    case.checkpoints.assigned(given, generation)
    assert held(case) == set(), what
    case.checkpoints.leave()
    case.checkpoints.assigned([GIVEN], generation + 1)
    assert held(case) == set(), what


def test_rebalances_that_overtake_each_other_keep_what_was_this_workers_in_each_of_them() -> None:
    case = Case()
    for generation in (2, 3, 4):
        case.checkpoints.leave()
        case.checkpoints.leave()
        case.checkpoints.assigned([GIVEN], generation)
    assert held(case) == {0}
    case.checkpoints.leave()
    case.go_on(4)  # recovered for a generation that is over before it could be opened
    assert case.ingest.lanes == {}
    case.checkpoints.assigned([GIVEN], 5)
    case.go_on(5)
    assert case.ingest.lanes[0].engine is case.engine


@pytest.mark.parametrize("step", ["state_copied", "first_piece_sent"])
def test_an_engine_that_is_kept_after_its_last_checkpoint_failed_is_saved_whole(step: str) -> None:
    async def failed() -> None:
        case = Case()
        await case.save()
        await case.save()
        case.tell("t: page+200s | s3: page+200s")
        await case.broken_save(step)
        case.checkpoints.leave()
        case.checkpoints.assigned([GIVEN], 2)
        case.go_on(2)
        assert await case.checkpoints.save()  # though no record has come since
        assert len(case.stored().links) == 1
        await case.save()
        assert {place.epoch for place in gather(case.topic.log).keys.values() if place} == {2}

    run(failed)


def test_totals_that_came_with_a_state_are_not_counted_again() -> None:
    case = Case()
    lane = Lane.of(case.engine, {FILE: 0})
    assert case.engine.counts["records"] == 120
    case.ingest.open({0: lane}, 1)
    assert case.view.snapshot().totals.get("records", 0) == 0
