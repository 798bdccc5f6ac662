"""Checkpoints: rows durable, then the snapshot, then the commit; and the way back after a rebalance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from faust.types import TP

from streams.engine.engine import Engine
from streams.errors import StateError
from streams.kafka import log_bounds
from streams.live.ingest import Ingest, Lane
from streams.live.logs import get_logger
from streams.live.outbox import Outbox
from streams.live.settings import LiveSettings
from streams.live.snapshots import Fence, Snapshot, Stored, load_snapshots, pieces, tombstones
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
        self._fences: dict[int, Fence] = {}
        self._stored: dict[int, Stored] = {}
        self._sequences: dict[int, int] = {}
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
            engines = {one: self._engine(one, found[one].snapshot, partitions) for one in owned}
            offsets = await self._positions(engines, found)
            self._stored = found
            self._sequences = dict.fromkeys(owned, 0)
            self._fences = {one: Fence(found[one].epoch + 1, generation) for one in owned}
        return Recovered(engines, offsets)

    def forget(self) -> None:
        """The partitions are gone: nothing of them may be written any more."""
        self._fences = {}

    async def save(self) -> int:
        """Save every owned partition that has changed; returns the bytes written."""
        written = 0
        async with self._lock:
            for partition, fence in list(self._fences.items()):
                lane = self._ingest.lanes.get(partition)
                if lane is not None and lane.dirty:
                    written += await self._save(partition, lane, fence)
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

    def copy_state(self, lane: Lane) -> tuple[bytes, dict[str, int]]:
        """State of a lane and the next offsets of its sources, of one moment."""
        lane.dirty = False
        return lane.engine.snapshot(), {topic: lane.next_offset(topic) for topic in self._settings.source_topics}

    async def _save(self, partition: int, lane: Lane, fence: Fence) -> int:
        settings = self._settings
        # Nothing is awaited before the rows are: state, offsets and the rows waited for belong to one moment.
        state, offsets = self.copy_state(lane)
        rows = self._outbox.settled(partition)
        self.on_step("state_copied", partition)
        await rows
        self.on_step("rows_durable", partition)
        self._sequences[partition] += 1
        snapshot = Snapshot(
            partition, self._ingest.partitions, fence, self._sequences[partition], offsets, self._now_ms(), state
        )
        records = await asyncio.to_thread(lambda: list(pieces(snapshot)))
        if self._fences.get(partition) is not fence:
            return 0
        for key, value in records:
            self._outbox.put(partition, settings.snapshots_topic, key, value, partition)
            if key is records[0][0]:
                self.on_step("first_piece_sent", partition)
        await self._outbox.settled(partition)
        self.on_step("snapshot_durable", partition)
        size = sum(len(value) for _, value in records)
        self._view.snapshot_saved(partition, moment_ms=snapshot.saved_ms, size_bytes=size)
        if self.committer is not None:
            await self.committer.commit_offsets({TP(topic, partition): offset for topic, offset in offsets.items()})
        self.on_step("committed", partition)
        for key in tombstones(self._stored[partition], fence):
            self._outbox.put(partition, settings.snapshots_topic, key, None, partition)
        self._stored[partition] = Stored()
        self.on_step("old_removed", partition)
        return size

    def _engine(self, partition: int, snapshot: Snapshot | None, partitions: int) -> Engine:
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
            return Engine.restore(self._settings.engine, partition, snapshot.state)
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
