"""Faust's consumer, changed in five places: a fetch is one message, positions come from the state, nothing naps.

Why each change is needed is told in ``docs/decisions/live-transport.md``; the private names of Faust and
aiokafka that this module leans on are held by a contract test.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import faust
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

__all__ = ["BatchConsumer", "Hooks", "Standing", "install"]

FETCH_WAIT_MS = 200
"""Faust's 1.5 s would let a quiet source on one broker hold the records of a busy one back for as long."""

ROUND_SECONDS = 0.25
"""A call for records lasts so long where there are none."""

REVOKE_SECONDS = 5.0


class Hooks(NamedTuple):
    """What the transport asks of the worker."""

    positions: Callable[[], Mapping[TP, int]]
    """Where to read on, for every assigned partition; asked before the flow of records resumes."""
    before_revoke: Callable[[], Awaitable[object]]
    """Awaited, for 5 s at most, while the partitions still belong to this worker."""
    revoked: Callable[[], None]
    """The partitions are given out anew: until they are, nothing of them may be counted or written."""
    assigned: Callable[[Collection[TP], int], None]
    """Told at once which partitions this worker has now, and in which generation of the group."""


class Standing(NamedTuple):
    """Where the reading of a partition stands, as of the last answer of its broker."""

    position: int
    end_offset: int
    answered_ms: int
    handed: int = 0
    """Offset behind the last record that was fetched since the last seek; 0 where none was."""
    rounds: int = 0
    """Calls for records that were begun; all but the last have brought what they took."""
    seeks: int = 0


class Fetch(list[Any]):
    """The records that one call took of a partition, in order of offset."""

    after: int | None = None
    """Offset behind the records taken before these, or the last seek: what is not there was dropped on the way."""


class _Fetched(dict[TP, list[Any]]):
    """Records by partition, and how many seeks came before them."""

    seeks: int = 0


class _Unwrapped(OrderedDict[Any, Any]):
    """aiokafka's fetched partitions, whose records are handed out as they are parsed.

    aiokafka would copy each into a ``ConsumerRecord`` of eleven fields, at half the cost of a fetch; offset, timestamp,
    key and value are all that anybody reads here, and the parsed record has them.
    """

    def __setitem__(self, tp: Any, result: Any) -> None:
        records = getattr(result, "_partition_records", None)  # none where it is an error
        if records is not None:
            records._consumer_record = _as_parsed
        super().__setitem__(tp, result)


def _as_parsed(_: Any, record: Any) -> Any:
    return record


class _Forgetful(dict[TP, int | None]):
    """Faust's offsets read so far: it passes over what it has read, also where that is read again on purpose."""

    def __getitem__(self, tp: TP) -> int | None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass


class BatchThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread that talks to the broker; it marks each fetch with the seeks and the offset that came before it."""

    seeks = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.taken: dict[TP, int] = {}
        """Offset behind the last record that was taken, or the last seek."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._isolation_level = "read_committed"  # records of aborted transactions never happened
        return consumer

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        self.seeks += 1
        self.taken = dict(partitions)
        await super()._seek_wait(consumer, partitions)

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> _Fetched:
        fetcher = consumer._fetcher
        if fetcher._records.__class__ is not _Unwrapped:
            fetcher._records = _Unwrapped(fetcher._records)
        fetched = _Fetched(await super()._fetch_records(consumer, *args, **kwargs))
        fetched.seeks = self.seeks  # no await since the records were taken: the mark belongs to them
        if not self.consumer.flow_active:
            # This call outlived a rebalance and has taken records that nobody waits for: put them back.
            for tp, records in fetched.items():
                if records:
                    self.seek(tp, records[0].offset)
            return _Fetched()
        for tp, records in fetched.items():
            if records:
                fetched[tp] = marked = Fetch(records)
                marked.after = self.taken.get(tp)
                self.taken[tp] = records[-1].offset + 1
        return fetched

    async def go_back(self, tp: TP, offset: int) -> None:
        """Read one partition from this offset."""
        self.taken[tp] = offset
        self._ensure_consumer().seek(tp, offset)


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Hands the records that one fetch brought for a partition to the agent as one message."""

    hooks: Hooks

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.handed: dict[TP, int] = {}
        """Offset behind the last record that a fetch brought, whether or not an agent has taken it yet."""
        self._rounds = 0
        self._read_offset = _Forgetful()
        self._going_back: set[asyncio.Future[None]] = set()

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 - Faust's signature
        if self.flow_active and not self._get_active_partitions():
            # Faust naps for a second while every partition is throttled, and the agents are idle long before.
            await asyncio.sleep(0.01)
            return _Fetched(), None
        return await super()._wait_next_records(timeout)  # type: ignore[no-any-return]

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - as above
        self._rounds += 1
        records, _ = await self._wait_next_records(min(timeout, ROUND_SECONDS))
        if not records or self.should_stop:
            return
        generation = self.app.consumer_generation_id
        self.handed.update({tp: batch[-1].offset + 1 for tp, batch in records.items() if batch})
        for tp, batch in records.items():
            # What is not handed out here is read again: the flow never resumes without a seek to the state.
            if records.seeks != self._thread.seeks or not self.flow_active:
                return
            if batch:
                yield tp, _packed(tp, batch, generation)

    async def perform_seek(self) -> None:
        """Seek every assigned partition to where its state wants to read on."""
        positions = self.hooks.positions()
        assigned = self.assignment()
        if missing := assigned - set(positions):
            # The assignment has changed since the state was loaded: the next rebalance begins again.
            raise IllegalStateError(f"no state for {sorted(missing)}")
        self.handed.clear()
        await self.seek_wait({tp: positions[tp] for tp in assigned})

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        if revoked:
            self.stop_flow()
            try:
                await asyncio.wait_for(self.hooks.before_revoke(), REVOKE_SECONDS)
            except Exception as error:  # the state on the topic stays what it was, and the next owner goes on from it
                self.log.warning("no last snapshot before the partitions were revoked: %r", error)
        self.hooks.revoked()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self.hooks.assigned(assigned, generation_id)
        await super().on_partitions_assigned(assigned, generation_id)

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: Faust compares clocks of two kinds here; the worker has a watchdog of its own."""

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        """Tell the group how far durable snapshots reach, for lag displays; False where the broker refuses.

        The state never depends on it: a worker reads on from its snapshot.
        """
        told = {driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
        try:
            await self._thread.call_thread(self._thread._ensure_consumer().commit, told)
        except (KafkaError, IllegalStateError) as error:
            self.log.info("offsets not committed: %r", error)
            return False
        return True

    def read_again(self, tp: TP, offset: int) -> None:
        """Go back to an offset of a partition, and say so where that fails."""

        def done(told: asyncio.Future[None]) -> None:
            self._going_back.discard(told)
            if not told.cancelled() and told.exception() is not None:
                self.log.warning("cannot go back to %s[%d]@%d: %r", *tp, offset, told.exception())

        going = asyncio.ensure_future(self._thread.call_thread(self._thread.go_back, tp, offset))
        self._going_back.add(going)
        going.add_done_callback(done)

    def standing(self, tp: TP) -> Standing | None:
        """Where the reading of an assigned partition stands; None before the first answer of the broker."""
        consumer = self._thread._ensure_consumer()
        subscription = consumer._subscription.subscription
        assignment = subscription.assignment if subscription else None
        if assignment is None or tp not in assignment.tps:
            return None
        state, seeks = assignment.state_value(tp), self._thread.seeks
        # Another thread changes these meanwhile, so they are read against the order in which it writes them: a newer
        # end with an older moment is harmless, a newer moment with an older end lets records pass that may not.
        answered_ms = state.timestamp
        if answered_ms is None or state.highwater is None or not state.has_valid_position:
            return None
        waiting = tp in consumer._fetcher._records
        position = state.position
        stable = state.lso if state.lso is not None and state.lso >= 0 else state.highwater
        # What was fetched and not yet handed out is there, whatever the broker says: some tell an end that is too low.
        end_offset = max(position + waiting, min(state.highwater, stable))
        return Standing(position, end_offset, answered_ms, self.handed.get(tp, 0), self._rounds, seeks)


class PromptConductor(Conductor):  # type: ignore[misc]
    """Subscribes again at once where a topic comes late; Faust would wait for 45 s."""

    _resubscribe_sleep_lock_seconds = 0.5


def install(app: faust.App, hooks: Hooks) -> None:
    """Give an app this transport; before its first agent."""
    # Services log under the name of their module, which would be that of the standard library here.
    consumer = type("HookedConsumer", (BatchConsumer,), {"hooks": hooks, "__module__": __name__})
    transport = type("BatchTransport", (driver.Transport,), {"Consumer": consumer, "Conductor": PromptConductor})
    app.transport = transport(app.conf.broker_consumer, app)


def _packed(tp: TP, records: Sequence[Any], generation: int) -> ConsumerMessage:
    last = records[-1]
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        last.offset,
        last.timestamp / 1000.0,
        last.timestamp_type,
        (),
        None,
        records,
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )
