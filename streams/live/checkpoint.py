"""Checkpoints: rows durable, then the snapshot, then the commit; and what is left of them after a rebalance."""

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
from streams.live.snapshots import Fence, Shelf, Snapshot, Stored, load_snapshots, pieces, read_traces
from streams.live.trouble import records_lost
from streams.telemetry.view import View

__all__ = ["STEPS", "Checkpoints", "Holding"]

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


class Holding(NamedTuple):
    """A partition in memory: what counts its records, and what is known of its snapshots."""

    lane: Lane
    shelf: Shelf


class Checkpoints:
    """Saves the state of the owned partitions and finds it again.

    ``assigned``, ``recover``, ``open`` and ``leave`` follow each other from one generation of the group to the next.
    What a worker has in memory when it leaves is taken up again where nobody else can have had the partition: the group
    has given it to this worker in this generation and in the one before, and nobody else has written snapshots of it.

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
        self._held: dict[int, Holding] = {}
        """What is in memory of partitions that are not open, as of this generation."""
        self._generation = -1
        self._is_settled = self._is_recovered = False
        """Whether the group is not about to give out partitions anew, and whether those it gave are in memory."""
        self._uncertain: set[int] = set()
        """Partitions of which the last checkpoint may not have become durable."""
        self._lock = asyncio.Lock()
        self.committer: Committer | None = None
        self.on_step: Callable[[str, int], None] = lambda step, partition: None

    def assigned(self, given: Collection[TP], generation: int) -> None:
        """The group has given these to this worker; what is in memory of other partitions is dropped.

        All of it is, where a generation was missed: somebody else may have had any partition then.
        """
        follows = generation == self._generation + 1 > 0
        topics = self._settings.source_topics
        self._held = {
            one: held
            for one, held in self._held.items()
            if follows and all(TP(topic, one) in given for topic in topics)
        }
        self._generation, self._is_settled, self._is_recovered = generation, generation >= 0, False

    async def recover(self, owned: Collection[int], partitions: int) -> None:
        """Have the newest state of these partitions in memory: what is there already, or what is on the topic.

        Parameters
        ----------
        owned
            Partitions that now belong to this worker.
        partitions
            How many the sources have.

        Raises
        ------
        StateError
            The state cannot be used: other configuration, other number of partitions, recreated topics.
        """
        async with self._lock:
            generation = self._generation
            kept = await self._kept(owned)
            found = await load_snapshots(
                self._settings.client_args,
                self._settings.snapshots_topic,
                [one for one in owned if one not in kept],
                self._since_ms,
            )
            engines = await self._restored(found, partitions)
            wanted = {one: engine.resume_offsets for one, engine in engines.items()}
            wanted |= {one: held.lane.taken for one, held in kept.items()}
            told = {one: stored.snapshot.offsets for one, stored in found.items() if stored.snapshot is not None}
            offsets = await self._positions(wanted, told | {one: held.lane.taken for one, held in kept.items()})
            if generation != self._generation:
                return  # these may be another's by now
            for one, (lane, shelf) in kept.items():
                lane.taken.update(offsets[one])
                shelf.renew(generation)
            restored = {
                one: Holding(Lane.of(engine, offsets[one]), Shelf(found[one], Fence(found[one].epoch + 1, generation)))
                for one, engine in engines.items()
            }
            self._uncertain -= set(restored)
            self.hold(kept | restored)

    def hold(self, holdings: Mapping[int, Holding]) -> None:
        """Have these in memory, as the truth of this generation; they are not open yet."""
        self._held, self._is_recovered = dict(holdings), self._is_settled

    def open(self, partitions: int) -> bool:
        """Count and save what was recovered, of so many; False where partitions are about to be given out anew."""
        if not self._is_recovered:
            return False
        self._shelves = {one: held.shelf for one, held in self._held.items()}
        self._ingest.open({one: held.lane for one, held in self._held.items()}, partitions)
        self._held = {}
        return True

    def leave(self) -> None:
        """The group gives out its partitions anew: nothing may be counted or written until it has."""
        lanes, self._is_settled, self._is_recovered = self._ingest.lanes, False, False
        self._held |= {one: Holding(lanes[one], shelf) for one, shelf in self._shelves.items() if one in lanes}
        self._shelves = {}
        self._ingest.close()

    async def save(self) -> int:
        """Save every owned partition that has changed; returns the bytes written."""
        written = 0
        async with self._lock:
            for partition, shelf in list(self._shelves.items()):
                lane = self._ingest.lanes.get(partition)
                if lane is not None and (lane.dirty or partition in self._uncertain):
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
        is_uncertain = partition in self._uncertain
        while lane.engine.prepare(is_uncertain):  # noqa: ASYNC110 - records come in between
            await asyncio.sleep(0)
        if self._shelves.get(partition) is not shelf:
            return 0
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
        shelf.expect(key for key, _ in records)
        for number, (key, value) in enumerate(records):
            self._outbox.put(partition, settings.snapshots_topic, key, value, partition)
            if not number:
                if len(records) > 1:
                    await self._outbox.settled(partition)
                self.on_step("first_piece_sent", partition)
        await self._outbox.settled(partition)
        self.on_step("snapshot_durable", partition)
        shelf.keep(snapshot, (key for key, _ in records), self._outbox.end_of(settings.snapshots_topic, partition))
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

    async def _kept(self, owned: Collection[int]) -> dict[int, Holding]:
        """What is in memory of these partitions and nobody else has written of."""
        settings = self._settings
        held = {one: holding for one, holding in self._held.items() if one in owned}
        starts = {one: max(0, holding.shelf.known_to - 1) for one, holding in held.items()}
        traces = await read_traces(settings.client_args, settings.snapshots_topic, starts)
        kept = {one: holding for one, holding in held.items() if holding.shelf.is_untouched(traces[one])}
        if kept:
            logger.info("kept partitions=%s", sorted(kept))
        if foreign := sorted(set(held) - set(kept)):
            logger.warning("not_kept partitions=%s: somebody else has written snapshots of them", foreign)
        return kept

    async def _restored(self, found: Mapping[int, Stored], partitions: int) -> dict[int, Engine]:
        started = time.monotonic()
        # In a thread, as this takes seconds where there is much: the worker goes on telling that it is alive.
        engines = {one: await asyncio.to_thread(self._engine, one, found[one], partitions) for one in found}
        for engine in engines.values():
            engine.chain.pace = self._settings.snapshot_pace
        if links := sum(len(one.links) for one in found.values()):
            took = time.monotonic() - started
            logger.info("restored partitions=%s snapshots=%d seconds=%.1f", sorted(engines), links, took)
        return engines

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

    async def _positions(
        self, wanted: Mapping[int, Mapping[str, int]], told: Mapping[int, Mapping[str, int]]
    ) -> dict[int, dict[str, int]]:
        """Where each source is read on: from the wanted offset, or the first kept one; ``told`` has been there."""
        settings = self._settings
        expected = {
            (topic, partition): offsets.get(topic, 0)
            for partition, offsets in told.items()
            for topic in settings.source_topics
        }
        bounds = await log_bounds(settings.client_args, settings.source_topics, wanted, expected)
        positions: dict[int, dict[str, int]] = {partition: {} for partition in wanted}
        for (topic, partition), (start, end) in bounds.items():
            if end < expected.get((topic, partition), 0):
                raise StateError(
                    f"the log ends at {end}, before what was read of it ({expected[topic, partition]}): "
                    "the topic has been recreated",
                    key="topic",
                    value=f"{topic}[{partition}]",
                    way_out=REBUILD,
                )
            offset = wanted[partition].get(topic, start)
            if lost := records_lost(topic, partition, offset, start):
                self._ingest.sources.report(lost)
            positions[partition][topic] = max(offset, start)
        return positions
