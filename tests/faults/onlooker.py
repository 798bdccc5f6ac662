"""Looks on: keeps every record of every topic, and counts the same sources with an engine of its own."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.engine.batch import Outcome
from streams.engine.cube import Cube, cube_key, decode_record, encode_cube
from streams.engine.engine import Engine
from streams.engine.rows import Row, encode_row, row_key
from streams.live.settings import LiveSettings
from tests.faults.background import Background
from tests.invariants.driving import cells_of, unequal_cells
from tests.support.live import batch_of, until
from tests.support.reference import SourceRecord, arrival_order, reference_rows

__all__ = ["Onlooker", "Told", "Twins"]


class Told(NamedTuple):
    """One record of a topic that workers write."""

    offset: int
    append_ms: int
    key: bytes
    value: bytes | None


class Onlooker(Background):
    """Follows the topics of a run from their beginning, on a thread of its own."""

    def __init__(self, settings: LiveSettings, partitions: int) -> None:
        super().__init__()
        self._settings, self._partitions = settings, partitions
        self.sources: dict[tuple[str, int], list[Any]] = defaultdict(list)
        """aiokafka's records by topic and partition."""
        self.history: dict[str, list[Told]] = {
            name: [] for name in (settings.kpi_topic, settings.anomalies_topic, settings.dead_letter_topic)
        }
        """All that was ever written to a topic of the workers, in order."""
        self.rows: dict[bytes, bytes] = {}
        """The last row or cube of each key, of single partitions."""
        self.merged: dict[bytes, bytes] = {}
        """The last row of each key, of all partitions together."""
        self._failure: BaseException | None = None

    def last(self, topic: str) -> dict[bytes, bytes | None]:
        """The last value of each key of a topic of the workers."""
        return {one.key: one.value for one in list(self.history[topic])}

    def incomplete(self) -> set[bytes]:
        """Keys of merged rows that went without a partition at some time."""
        told = list(self.history[self._settings.kpi_topic])
        return {one.key for one in told if one.value and b'"missing_partitions":[' in one.value}

    def lacks(self, ends: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """Those of the offsets behind sources' records that have not been reached."""
        if self._failure is not None:
            raise self._failure
        come = {place: records[-1].offset + 1 for place, records in list(self.sources.items()) if records}
        return {place: end for place, end in ends.items() if come.get(place, 0) < end}

    def poison(self) -> set[bytes]:
        """Keys of the dead letters of all that the shop spoilt; it marks it by the record's key, or by none."""
        return {
            f"{topic}|{partition}|{one.offset}".encode()
            for (topic, partition), records in list(self.sources.items())
            for one in records
            if one.key is None or one.key.startswith(b"poison-")
        }

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except BaseException as error:
            self._failure = error

    async def _follow(self) -> None:
        wanted = [
            TopicPartition(topic, one) for topic in self._settings.source_topics for one in range(self._partitions)
        ]
        wanted += [TopicPartition(topic, 0) for topic in self.history]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            consumer.assign(wanted)
            await consumer.seek_to_beginning(*wanted)
            while not self._over.is_set():
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    self._take(place.topic, place.partition, records)
        finally:
            await consumer.stop()

    def _take(self, topic: str, partition: int, records: list[Any]) -> None:
        if topic not in self.history:
            self.sources[topic, partition] += records
            return
        self.history[topic] += [Told(one.offset, one.timestamp, one.key, one.value) for one in records]
        if topic == self._settings.kpi_topic:
            for one in records:
                merged = b'"partition":null' in one.value
                (self.merged if merged else self.rows)[one.key] = one.value


class Twins:
    """One engine a partition that takes the same sources, undisturbed; in the end, the reference over all of them."""

    def __init__(self, settings: LiveSettings, onlooker: Onlooker, partitions: int) -> None:
        self._settings, self._onlooker = settings, onlooker
        self._engines = [Engine(settings.engine, partition) for partition in range(partitions)]
        self._taken: dict[tuple[str, int], int] = defaultdict(int)
        self.rows: dict[bytes, bytes] = {}
        """Rows and cubes by key."""
        self.told: list[Row | Cube] = []
        """The same, in the order in which they were told."""
        self.rejected: dict[bytes, str] = {}
        """Reasons by key of the dead letter."""

    def follow(self, ends: Mapping[tuple[str, int], int], seconds: float) -> None:
        """Take all that the shop has written, up to these offsets."""
        until(lambda: not self._onlooker.lacks(ends), seconds=seconds)
        assert not self._onlooker.lacks(ends), f"cannot be read: {self._onlooker.lacks(ends)}"
        for partition, engine in enumerate(self._engines):
            for topic in self._settings.source_topics:
                place = topic, partition
                fresh = self._onlooker.sources[place][self._taken[place] :]
                if fresh:
                    engine.push(batch_of(topic, partition, fresh))
                self._taken[place] += len(fresh)
                engine.set_caught_up(topic, True)
            self._hear(engine.drain())

    def finish(self) -> list[str]:
        """End every engine, and tell in which cells the rows differ from those of the reference."""
        for engine in self._engines:
            self._hear(engine.finish())
        return [line for partition in range(len(self._engines)) for line in self._compare(partition)]

    def _compare(self, partition: int) -> list[str]:
        logs = [
            [
                SourceRecord(topic, one.offset, one.timestamp, one.key, one.value)
                for one in self._onlooker.sources[topic, partition]
            ]
            for topic in self._settings.source_topics
        ]
        reference = reference_rows(arrival_order(logs), self._settings.engine)
        expected = {
            (row.kind, row.horizon_ms or 0, row.start_ms, row.segment): (row.counters, float(len(row.visitors)))
            for row in reference
        }
        rows = [
            row for row in map(decode_record, self.rows.values()) if isinstance(row, Row) and row.partition == partition
        ]
        return [f"partition {partition}: {line}" for line in unequal_cells(expected, cells_of(rows))]

    def _hear(self, outcome: Outcome) -> None:
        self.told += [*outcome.cubes, *outcome.rows]
        self.rows.update((cube_key(cube), encode_cube(cube)) for cube in outcome.cubes)
        self.rows.update((row_key(row), encode_row(row)) for row in outcome.rows)
        self.rejected.update(
            (f"{one.topic}|{one.partition}|{one.offset}".encode(), one.reason) for one in outcome.rejects
        )
