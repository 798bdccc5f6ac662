"""Checkpoints: rows durable, then the snapshot, then the commit; and the way back after a rebalance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, Protocol

from faust.types import TP

from streams.engine.chain import Checkpoint
from streams.engine.engine import Engine
from streams.errors import StateError
from streams.kafka import log_bounds
from streams.live.ingest import Ingest, Lane
from streams.live.logs import get_logger
from streams.live.outbox import Outbox
from streams.live.settings import LiveSettings
from streams.live.snapshots import Fence, Shelf, Snapshot, Stored, load_snapshots, pieces
from streams.live.trouble import records_lost
from streams.telemetry.view import View

__all__ = ["STEPS", "Checkpoints", "Recovered"]

STEPS = ("state_copied", "rows_durable", "first_piece_sent", "snapshot_durable", "committed", "old_removed")
"""The steps of a checkpoint, each told when it is done; a crash between any two of them changes no row."""

REBUILD = "start once with --rebuild, which computes everything anew from the source topics"

COST_FACTOR = 20
"""A checkpoint that took long is followed by a pause this many times as long: 5 % of the time at most."""

MOST_PAUSE_SECONDS = 60.0
"""A checkpoint that waited for a broker to come back took long without costing anything."""

logger = get_logger("checkpoint")


class Committer(Protocol):
    """What checkpoints ask of the consumer."""

    async def commit_offsets(self, offsets: dict[TP, int]) -> bool: ...


class Recovered(NamedTuple):
    """Engines and where their sources are read on, by partition."""

    engines: dict[int, Engine]
    offsets: dict[int, dict[str, int]]


class Checkpoints:
    """Saves the state of the owned partitions and finds it again.

    Parameters
    ----------
    settings
        Of the worker.
    ingest
        Whose engines are saved.
    outbox
        Through which rows and snapshots go, in one order.
    view
        Is told of every durable snapshot.
    now_ms
        The clock.
    """

    def __init__(
        self, settings: LiveSettings, ingest: Ingest, outbox: Outbox, view: View, *, now_ms: Callable[[], int]
    ) -> None:
        self._settings, self._ingest, self._outbox, self._view = settings, ingest, outbox, view
        self._now_ms = now_ms
        self._since_ms = now_ms() if settings.rebuild else 0
        self._shelves: dict[int, Shelf] = {}
        self._uncertain: set[int] = set()
        """Partitions of which the last checkpoint may not have become durable."""
        self._lock = asyncio.Lock()
        self.committer: Committer | None = None
        self.on_step: Callable[[str, int], None] = lambda step, partition: None

    async def recover(self, owned: Collection[int], partitions: int, generation: int) -> Recovered:
        """Read the newest state of these partitions.

        Parameters
        ----------
        owned
            Partitions that now belong to this worker.
        partitions
            How many the sources have.
        generation
            Of the consumer group.

        Raises
        ------
        StateError
            The state cannot be used: other configuration, other number of partitions, recreated topics.
        """
        async with self._lock:
            found = await load_snapshots(
                self._settings.client_args, self._settings.snapshots_topic, owned, self._since_ms
            )
            started = time.monotonic()
            # In a thread, as this takes seconds where there is much: the worker goes on telling that it is alive.
            engines = {one: await asyncio.to_thread(self._engine, one, found[one], partitions) for one in owned}
            for engine in engines.values():
                engine.chain.pace = self._settings.snapshot_pace
            offsets = await self._positions(engines, found)
            if links := sum(len(one.links) for one in found.values()):
                took = time.monotonic() - started
                logger.info("restored partitions=%s snapshots=%d seconds=%.1f", sorted(engines), links, took)
            self.own(found, generation)
        return Recovered(engines, offsets)

    def own(self, found: Mapping[int, Stored], generation: int) -> None:
        """Save these partitions from now on, behind what was found of each."""
        self._uncertain = set()
        self._shelves = {one: Shelf(stored, Fence(stored.epoch + 1, generation)) for one, stored in found.items()}

    def forget(self) -> None:
        """The partitions are gone: nothing of them may be written any more."""
        self._shelves = {}

    async def save(self) -> int:
        """Save every owned partition that has changed; returns the bytes written."""
        written = 0
        async with self._lock:
            for partition, shelf in list(self._shelves.items()):
                lane = self._ingest.lanes.get(partition)
                if lane is not None and lane.dirty:
                    written += await self._save(partition, lane, shelf)
        return written

    async def run(self) -> None:
        """Save for ever, at the configured interval or less often where that would cost too much."""
        settings = self._settings
        while True:
            started = time.monotonic()
            written = await self.save()
            took = time.monotonic() - started
            spacing = max(min(COST_FACTOR * took, MOST_PAUSE_SECONDS), written / settings.snapshot_bytes_per_second)
            await asyncio.sleep(max(settings.checkpoint_seconds, spacing))

    def copy_state(self, lane: Lane, whole: bool = False) -> tuple[Checkpoint, dict[str, int]]:
        """What a checkpoint of a lane holds, and the next offsets of its sources, of one moment."""
        lane.dirty = False
        offsets = {topic: lane.next_offset(topic) for topic in self._settings.source_topics}
        return lane.engine.checkpoint(whole), offsets

    async def _save(self, partition: int, lane: Lane, shelf: Shelf) -> int:
        settings = self._settings
        while lane.engine.prepare():  # noqa: ASYNC110 - records come in between
            await asyncio.sleep(0)
        if self._shelves.get(partition) is not shelf:
            return 0
        is_uncertain = partition in self._uncertain
        self._uncertain.add(partition)
        # Nothing is awaited before the rows are: state, offsets and the rows waited for belong to one moment.
        checkpoint, offsets = self.copy_state(lane, is_uncertain)
        rows = self._outbox.settled(partition)
        self.on_step("state_copied", partition)
        await rows
        self.on_step("rows_durable", partition)
        place, slot, previous = shelf.next(checkpoint.behind)
        of, told = (partition, self._ingest.partitions, place, slot), (self._now_ms(), checkpoint.behind, previous)
        snapshot = await asyncio.to_thread(lambda: Snapshot(*of, offsets, *told, checkpoint.data))
        records = await asyncio.to_thread(lambda: list(pieces(snapshot, settings.snapshot_piece_bytes)))
        if self._shelves.get(partition) is not shelf:
            return 0
        for number, (key, value) in enumerate(records):
            self._outbox.put(partition, settings.snapshots_topic, key, value, partition)
            if not number:
                if len(records) > 1:
                    await self._outbox.settled(partition)
                self.on_step("first_piece_sent", partition)
        await self._outbox.settled(partition)
        self.on_step("snapshot_durable", partition)
        shelf.keep(snapshot, (key for key, _ in records))
        self._uncertain.discard(partition)
        size = sum(len(value) for _, value in records)
        self._view.snapshot_saved(partition, moment_ms=snapshot.saved_ms, size_bytes=size)
        is_committed = await self._commit(partition, offsets)
        self.on_step("committed", partition)
        if is_committed and self._shelves.get(partition) is shelf:
            for key in shelf.let_go():
                self._outbox.put(partition, settings.snapshots_topic, key, None, partition)
        self.on_step("old_removed", partition)
        return size

    async def _commit(self, partition: int, offsets: Mapping[str, int]) -> bool:
        """Whether the group takes the offsets: then nobody else has loaded the partition before what is durable now."""
        if self.committer is None:
            return True
        return await self.committer.commit_offsets({TP(topic, partition): one for topic, one in offsets.items()})

    def _engine(self, partition: int, stored: Stored, partitions: int) -> Engine:
        snapshot = stored.snapshot
        if snapshot is None:
            return Engine(self._settings.engine, partition)
        if snapshot.partitions != partitions:
            raise StateError(
                f"the stored state belongs to {snapshot.partitions} partitions, the sources have {partitions} now: "
                "sessions have moved between partitions",
                key="snapshots",
                value=f"{self._settings.snapshots_topic}[{partition}]",
                way_out=REBUILD,
            )
        try:
            return Engine.restore_chain(self._settings.engine, partition, stored.states())
        except StateError as error:
            raise StateError(error.problem, key=error.key, value=error.value, way_out=REBUILD) from error

    async def _positions(self, engines: dict[int, Engine], found: dict[int, Stored]) -> dict[int, dict[str, int]]:
        settings = self._settings
        expected = {
            (topic, partition): stored.snapshot.offsets.get(topic, 0)
            for partition, stored in found.items()
            if stored.snapshot is not None
            for topic in settings.source_topics
        }
        bounds = await log_bounds(settings.client_args, settings.source_topics, engines, expected)
        positions: dict[int, dict[str, int]] = {partition: {} for partition in engines}
        for (topic, partition), (start, end) in bounds.items():
            if end < expected.get((topic, partition), 0):
                raise StateError(
                    f"the log ends at {end}, before the stored state ({expected[topic, partition]}): "
                    "the topic has been recreated",
                    key="topic",
                    value=f"{topic}[{partition}]",
                    way_out=REBUILD,
                )
            wanted = engines[partition].resume_offsets.get(topic, start)
            if lost := records_lost(topic, partition, wanted, start):
                self._ingest.sources.report(lost)
            positions[partition][topic] = max(wanted, start)
        return positions
