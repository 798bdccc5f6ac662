"""Batches of records into engines, rows and dead letters out of them: one engine for each owned partition."""

from __future__ import annotations

import base64
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import orjson
from aiokafka.partitioner import murmur2
from faust.types import TP

from streams.engine.batch import Batch, Outcome, Reject
from streams.engine.cube import cube_key, encode_cube
from streams.engine.engine import Engine
from streams.engine.rows import encode_row, row_key
from streams.live.logs import get_logger
from streams.live.outbox import Outbox
from streams.live.settings import LiveSettings
from streams.live.sources import Sources
from streams.live.transport import Standing
from streams.telemetry.view import View

__all__ = ["Ingest", "Lane", "Reader", "dead_letter"]

SAMPLED_KEYS = 4
HIGH_RECORDS = 20_000
LOW_RECORDS = 5_000
"""Records of one source that may wait in an engine for another source, before its fetches pause."""

READ_AGAIN_SECONDS = 5.0
"""A source that was sent back and still goes on elsewhere is sent back again after this time."""

logger = get_logger("ingest")


class Reader(Protocol):
    """What ingest asks of the consumer."""

    def standing(self, tp: TP) -> Standing | None: ...
    def pause_partitions(self, tps: Sequence[TP]) -> None: ...
    def resume_partitions(self, tps: Sequence[TP]) -> None: ...
    def read_again(self, tp: TP, offset: int) -> None: ...


class Held(NamedTuple):
    """A batch, and when it was fetched."""

    batch: Batch
    fetched_ms: int


@dataclass(slots=True)
class Lane:
    """One owned partition: its engine, and how far each source has come."""

    engine: Engine
    taken: dict[str, int]
    """Offset behind the last record that was pushed, by topic; at first where the source is read on."""
    start: dict[str, int]
    held: deque[Held] = field(default_factory=deque)
    """Batches that another source has to be asked about before the engine may see them."""
    fetched_ms: dict[str, int] = field(default_factory=dict)
    """When the newest of the records that the engine has seen were fetched, by topic."""
    counted_before: Mapping[str, int] = field(default_factory=dict)
    """Totals that came with the snapshot: exported counters start at zero, or Prometheus would see a jump."""
    active_at: float = 0.0
    """Monotonic seconds at which the last record came."""
    paused: set[str] = field(default_factory=set)
    level_at: dict[str, Standing] = field(default_factory=dict)
    """Where a source stood when it was first seen at an end that had brought no record."""
    sent_back: dict[str, float] = field(default_factory=dict)
    """Monotonic seconds at which a source was sent back to where its records have a hole."""
    dirty: bool = True
    """Whether anything has changed since the last snapshot."""

    @classmethod
    def of(cls, engine: Engine, start: Mapping[str, int]) -> Lane:
        """The lane of an engine, new or restored, whose sources are read on from there."""
        return cls(engine, dict(start), dict(start), counted_before=engine.counts)

    def begin(self, now: float) -> None:
        """Go on with a reader that has sought to where the lane stands, and knows of nothing that was asked before."""
        self.active_at = now
        self.paused, self.level_at, self.sent_back = set(), {}, {}

    def next_offset(self, topic: str) -> int:
        """First offset of a source that the engine has not absorbed."""
        return max(self.start[topic], self.engine.next_offsets.get(topic, 0))

    def waiting(self, topic: str) -> int:
        """Records of a source that the engine holds back, counted by offsets."""
        return max(0, self.taken[topic] - self.next_offset(topic))


class Ingest:
    """Feeds the engines; all of it synchronous, so a snapshot between two calls is a consistent one.

    Parameters
    ----------
    settings
        Of the worker.
    outbox
        Takes rows and dead letters.
    view
        Is told once a batch.
    now_ms, monotonic
        The clocks, as arguments.
    """

    def __init__(
        self,
        settings: LiveSettings,
        outbox: Outbox,
        view: View,
        *,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._settings, self._outbox, self._view = settings, outbox, view
        self._now_ms, self._monotonic = now_ms, monotonic
        self._topics = settings.source_topics
        self.sources = Sources(settings, view, now_ms=now_ms, monotonic=monotonic)
        self.partitions = settings.partitions
        self.lanes: dict[int, Lane] = {}
        self.records = 0
        """Records taken by this process."""
        self.reader: Reader | None = None

    def open(self, lanes: Mapping[int, Lane], partitions: int) -> None:
        """Own these lanes, by partition, from now on; the sources have so many partitions."""
        self.partitions = partitions
        self.lanes = dict(lanes)
        self._view.assigned(sorted(lanes), partitions)
        self.sources.open(lanes, partitions)
        for partition, lane in lanes.items():
            lane.begin(self._monotonic())
            self._tell(partition)

    def close(self) -> None:
        """Own nothing any more."""
        self.lanes = {}
        self.sources.close()

    def take(self, topic: str, partition: int, records: Sequence[Any], after: int | None = None) -> None:
        """Give the records of one fetch to their engine, and send on what comes out.

        Parameters
        ----------
        topic, partition
            Where they come from; records of a partition that is not owned any more are passed over.
        records
            aiokafka's records, in order of offset.
        after
            Offset behind the records that were fetched before these, where it is known. If it is not where the lane
            stands, a fetch got lost inside this process: these are dropped as well, and all are read again.
        """
        lane = self.lanes.get(partition)
        if lane is None or not records:
            return
        if after is not None and after != lane.taken[topic]:
            self._send_back(topic, partition, lane, after)
            return
        lane.sent_back.pop(topic, None)
        self.sources.took(topic, partition, lane.taken[topic], records)
        now_ms = self._now_ms()
        append_ms = [record.timestamp for record in records]
        if max(append_ms) > now_ms:
            append_ms = [min(moment, now_ms) for moment in append_ms]
        batch = Batch(
            topic,
            partition,
            _offsets(records),
            append_ms,
            [record.key for record in records],
            [record.value for record in records],
        )
        standing = self._standing(topic, partition)
        lane.held.append(Held(batch, standing.answered_ms if standing else 0))
        lane.taken[topic] = records[-1].offset + 1
        lane.active_at = self._monotonic()
        self.records += len(records)
        self._sample_keys(partition, records)
        self._advance(partition, lane)

    def tick(self) -> None:
        """Do what follows from time alone: go on without a source that is caught up, and fire the idle rule."""
        for partition, lane in list(self.lanes.items()):
            if any(lane.waiting(topic) for topic in self._topics):
                self._advance(partition, lane)
            level = self._align(partition, lane)
            quiet = self._monotonic() - lane.active_at
            if level and quiet * 1_000 >= self._settings.engine.idle_after_ms:
                outcome = lane.engine.idle(self._now_ms() - self._settings.engine.idle_after_ms)
                self._send(partition, lane, outcome)

    def lag(self) -> dict[int, dict[str, int]]:
        """Records behind the end of the log, by partition and topic, as far as the broker has told."""
        return {partition: self._lag(partition, lane) for partition, lane in self.lanes.items()}

    def _send_back(self, topic: str, partition: int, lane: Lane, after: int) -> None:
        """Read a source again from where its records have a hole."""
        now = self._monotonic()
        if self.reader is None or now - lane.sent_back.get(topic, -READ_AGAIN_SECONDS) < READ_AGAIN_SECONDS:
            return
        lane.sent_back[topic] = now
        wanted = lane.taken[topic]
        logger.error("fetch_missing at=%s[%d]@%d: goes on after %d, is read again", topic, partition, wanted, after)
        self._view.read_again()
        self.reader.read_again(TP(topic, partition), wanted)

    def _advance(self, partition: int, lane: Lane) -> None:
        self._admit(partition, lane)
        self._align(partition, lane)
        self._send(partition, lane, lane.engine.drain())
        self._balance(partition, lane)

    def _admit(self, partition: int, lane: Lane) -> None:
        """Give the engine what it may see now.

        A source that is read to its end may still hold records older than these, which came to its log a moment
        before: so it is asked once more, and only an answer given after these were fetched lets them pass.
        """
        kept: deque[Held] = deque()
        stuck: set[str] = set()
        standings = {topic: self._standing(topic, partition) for topic in self._topics}
        for held in lane.held:
            topic = held.batch.topic
            if topic in stuck or not all(
                self._behind(other, standing, lane) or self._asked_since(standing, held.fetched_ms)
                for other, standing in standings.items()
                if other != topic
            ):
                stuck.add(topic)
                kept.append(held)
                continue
            lane.engine.push(held.batch)
            lane.fetched_ms[topic] = max(lane.fetched_ms.get(topic, 0), held.fetched_ms)
        lane.held = kept

    def _behind(self, topic: str, standing: Standing | None, lane: Lane) -> bool:
        """Whether records wait, or more are known to be there: then the engine itself waits for this source."""
        return standing is not None and (lane.waiting(topic) > 0 or standing.position < standing.end_offset)

    def _asked_since(self, standing: Standing | None, fetched_ms: int) -> bool:
        # A moment in the future was taken by a clock that has been set back since.
        return standing is not None and (standing.answered_ms > fetched_ms or fetched_ms > self._now_ms())

    def _align(self, partition: int, lane: Lane) -> bool:
        """Tell the engine which sources are caught up; True where all are."""
        level = True
        for topic in self._topics:
            caught_up = self._caught_up(topic, partition, lane)
            lane.engine.set_caught_up(topic, caught_up)
            level = level and caught_up
        return level

    def _caught_up(self, topic: str, partition: int, lane: Lane) -> bool:
        standing = self._standing(topic, partition)
        if standing is None or any(held.batch.topic == topic for held in lane.held):
            return False
        newest = max((moment for other, moment in lane.fetched_ms.items() if other != topic), default=0)
        # One look at the broker's answers decides: between two, records may come. Also behind records that wait in the
        # engine: within one call it comes to their end, and would pass what the answer could not know.
        if not self._asked_since(standing, newest):
            return False
        level_at = lane.level_at.pop(topic, None)
        if lane.taken[topic] >= standing.end_offset:
            return True
        # Behind a slow engine, records wait for seconds between the consumer and the agent.
        if standing.position < standing.end_offset or lane.taken[topic] < standing.handed:
            return False
        # Read to the end, but the end has no record: markers of transactions, or a record on its way to us. The call
        # for records of this moment may have taken one; once the next call has begun, it is known to have not.
        if level_at is None or (level_at.position, level_at.seeks) != (standing.position, standing.seeks):
            level_at = standing
        lane.level_at[topic] = level_at
        return standing.rounds > level_at.rounds

    def _standing(self, topic: str, partition: int) -> Standing | None:
        return self.reader.standing(TP(topic, partition)) if self.reader else None

    def _send(self, partition: int, lane: Lane, outcome: Outcome) -> None:
        if not (outcome.rows or outcome.rejects or outcome.records):
            return
        lane.dirty = True
        self.sources.judged(partition, outcome, lane.engine.counts.get("late", 0))
        settings = self._settings
        for cube in outcome.cubes:
            self._outbox.put(partition, settings.kpi_topic, cube_key(cube), encode_cube(cube), 0)
        for row in outcome.rows:
            self._outbox.put(partition, settings.kpi_topic, row_key(row), encode_row(row), 0)
        told: Counter[tuple[str, int]] = Counter()
        for reject in outcome.rejects:
            # A record that holds several events may be refused as many times.
            key, value = dead_letter(reject, settings.dead_letter_bytes, told[reject.topic, reject.offset])
            told[reject.topic, reject.offset] += 1
            self._outbox.put(partition, settings.dead_letter_topic, key, value)
        if outcome.rejects:
            self._view.dead_letters(len(outcome.rejects))
        self._tell(partition)

    def _tell(self, partition: int) -> None:
        lane = self.lanes[partition]
        before = lane.counted_before
        self._view.partition(
            partition,
            counts={name: max(0, total - before.get(name, 0)) for name, total in lane.engine.counts.items()},
            watermark_ms=lane.engine.watermark_ms,
            lag_records=self._lag(partition, lane),
            open_sessions=lane.engine.open_sessions,
        )

    def _lag(self, partition: int, lane: Lane) -> dict[str, int]:
        told = {}
        for topic in self._topics:
            standing = self._standing(topic, partition)
            if standing is not None:
                told[topic] = max(0, standing.end_offset - lane.next_offset(topic))
        return told

    def _balance(self, partition: int, lane: Lane) -> None:
        """Pause a source that runs ahead of another one, so that what waits in memory has a bound."""
        if self.reader is None:
            return
        for topic in self._topics:
            waiting = lane.waiting(topic)
            if waiting > HIGH_RECORDS:
                lane.paused.add(topic)
                self.reader.pause_partitions([TP(topic, partition)])
            elif topic in lane.paused and waiting <= LOW_RECORDS:
                lane.paused.discard(topic)
                self.reader.resume_partitions([TP(topic, partition)])

    def _sample_keys(self, partition: int, records: Sequence[Any]) -> None:
        sampled = records[:: max(1, len(records) // SAMPLED_KEYS)]
        strangers = sum(
            1 for record in sampled if record.key and (murmur2(record.key) & 0x7FFFFFFF) % self.partitions != partition
        )
        if strangers:
            self._view.miskeyed(strangers)


def _offsets(records: Sequence[Any]) -> Sequence[int]:
    """Offsets of records in order; they have gaps only where markers of transactions or compaction leave them."""
    first, last = records[0].offset, records[-1].offset
    return range(first, last + 1) if last - first + 1 == len(records) else [record.offset for record in records]


def dead_letter(reject: Reject, payload_bytes: int, before: int = 0) -> tuple[bytes, bytes]:
    """Key and value of the record that tells why another one, or an event in it, was not counted.

    The key holds the coordinates, so a repeated dead letter replaces itself; behind them stands how many of the
    same record came ``before`` it, where there were any. Of the original's key and value at most ``payload_bytes``
    are kept, as text where they are UTF-8, else in base64.

    >>> key, value = dead_letter(Reject("orders", 3, 1842, 7, "not_json", "line 1", b"s-1", b"{{{"), 2)
    >>> key
    b'orders|3|1842'
    >>> dead_letter(Reject("orders", 3, 1842, 7, "no_session", "", b"s-1", b"[]"), 2, before=1)[0]
    b'orders|3|1842|1'
    >>> orjson.loads(value)["value"]
    '{{'
    """
    told: dict[str, Any] = {
        "topic": reject.topic,
        "partition": reject.partition,
        "offset": reject.offset,
        "append_ms": reject.append_ms,
        "reason": reject.reason,
        "detail": reject.detail,
        "value_bytes": len(reject.value or b""),
    }
    if payload_bytes:
        told |= _shown("key", reject.key, payload_bytes) | _shown("value", reject.value, payload_bytes)
    else:
        del told["detail"]  # it may quote the record
    key = f"{reject.topic}|{reject.partition}|{reject.offset}" + (f"|{before}" if before else "")
    return key.encode(), orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def _shown(name: str, data: bytes | None, limit: int) -> dict[str, str]:
    if data is None:
        return {}
    try:
        return {name: data[:limit].decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data[:limit]).decode()}
