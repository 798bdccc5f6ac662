"""Watches over the sources of a worker: what is wrong with them is counted, exported and logged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

from streams.engine.batch import Outcome
from streams.errors import BrokerError, StateError
from streams.kafka import describe_topics, log_bounds, refuse_closed_group
from streams.live.logs import get_logger
from streams.live.settings import LiveSettings
from streams.live.snapshots import load_snapshots
from streams.live.topics import Finding
from streams.live.trouble import (
    SILENT_SECONDS,
    ClockSpan,
    Heard,
    Trouble,
    more_partitions,
    offset_findings,
    records_lost,
    silent_partitions,
    went_back,
)
from streams.telemetry.view import View

__all__ = ["Sources", "check_sources"]

LOOK_SECONDS = 30.0
QUIET_SECONDS = 60.0
"""The same trouble of the same partition is logged once in this time."""

SKEW_MS = 60_000
"""A record that bears a time further ahead than this was written by a clock that is wrong."""

logger = get_logger("sources")


class Sources:
    """What the sources of the owned partitions do that they should not.

    Parameters
    ----------
    settings
        Of the worker.
    view
        Is told of every trouble, and when partitions were last heard of.
    now_ms, monotonic
        The clocks.
    """

    def __init__(
        self, settings: LiveSettings, view: View, *, now_ms: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        self._settings, self._view, self._now_ms, self._monotonic = settings, view, now_ms, monotonic
        self._partitions = 0
        self._total = 0
        self._heard: dict[int, Heard] = {}
        self._clocks: dict[int, ClockSpan] = {}
        self._late: dict[int, int] = {}
        self._gaps: dict[tuple[str, int], tuple[int, int]] = {}
        self._logged: dict[tuple[str, str, int], float] = {}

    def open(self, owned: Collection[int], partitions: int) -> None:
        """Watch these partitions, of so many, from now on."""
        now = self._monotonic()
        self._partitions = partitions
        self._heard = {one: Heard(now, self._total) for one in owned}
        self._clocks = {one: ClockSpan() for one in owned}
        self._late, self._gaps = {}, {}
        for one in owned:
            self._view.heard(one, self._now_ms())

    def close(self) -> None:
        """Watch nothing any more."""
        self._heard, self._gaps = {}, {}

    def took(self, topic: str, partition: int, expected: int, records: Sequence[Any]) -> None:
        """Look at the records of one fetch.

        Parameters
        ----------
        topic, partition
            Where they come from.
        expected
            The offset that was to come next.
        records
            aiokafka's records, in order of offset.

        Raises
        ------
        StateError
            They are of another log than those before.
        """
        first, now_ms = records[0].offset, self._now_ms()
        if first < expected:
            self.report(Trouble("log_went_back", topic, partition, expected, f"goes on at {first}"))
            raise went_back(topic, partition, expected, first)
        if first > expected:
            # Markers of transactions leave gaps as well: the broker is asked where its log begins.
            lost_from, _ = self._gaps.get((topic, partition), (expected, first))
            self._gaps[topic, partition] = lost_from, first
        if records[-1].timestamp >= now_ms - SILENT_SECONDS * 1_000:
            # The past of a partition that catches up is no measure of what another one should bring now.
            self._total += len(records)
        self._heard[partition] = Heard(self._monotonic(), self._total)
        self._view.heard(partition, now_ms)
        skewed = sum(record.timestamp > now_ms + SKEW_MS for record in records)
        if skewed:
            self._clocks[partition].add(0, ahead=skewed)

    def judged(self, partition: int, outcome: Outcome, late: int) -> None:
        """Look at what the engine made of records.

        Parameters
        ----------
        partition
            Of the engine.
        outcome
            Of one call.
        late
            Records that were late in all, so far.
        """
        odd = [reject for reject in outcome.rejects if reject.reason in ("future", "too_late")]
        ahead = sum(reject.reason == "future" for reject in odd)
        behind = len(odd) - ahead + late - self._late.get(partition, late)
        self._late[partition] = late
        clock = self._clocks[partition]
        told = clock.records + outcome.records, clock.ahead + ahead, clock.behind + behind
        kind = clock.add(outcome.records, ahead, behind)
        if kind is not None:
            self.report(self._clock_trouble(kind, partition, odd[-1:], told))

    def report(self, trouble: Trouble) -> None:
        """Count and export a trouble, and log it once a minute."""
        place = trouble.kind, trouble.topic, trouble.partition
        self._view.trouble(*place, moment_ms=self._now_ms(), lost=trouble.lost)
        now = self._monotonic()
        if now - self._logged.get(place, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._logged[place] = now
            logger.warning("source_trouble %s", trouble)

    async def run(self) -> None:
        """Look for ever at what no record tells."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._heard:
                try:
                    await self.look()
                except BrokerError as error:
                    logger.info("sources_not_seen: %s", error)

    async def look(self) -> None:
        """Ask the broker for new partitions and for the beginnings of logs, and say which partitions are silent."""
        settings = self._settings
        for partition, words in silent_partitions(self._heard, self._total, self._monotonic()).items():
            self.report(Trouble("partition_silent", settings.source_topics[0], partition, None, words))
        there = await describe_topics(settings.client_args, settings.source_topics)
        for topic, info in there.items():
            if trouble := more_partitions(topic, self._partitions, info.partitions):
                self.report(trouble)
        gaps, self._gaps = self._gaps, {}
        if not gaps:
            return
        bounds = await log_bounds(settings.client_args, {topic for topic, _ in gaps}, {one for _, one in gaps}, {})
        for (topic, partition), (wanted, found) in gaps.items():
            start = min(found, bounds[topic, partition].start)
            if lost := records_lost(topic, partition, wanted, start):
                self.report(lost)

    def _clock_trouble(self, kind: str, partition: int, example: Sequence[Any], told: tuple[int, int, int]) -> Trouble:
        records, ahead, behind = told
        words = {
            "clock_ahead": f"{ahead} of {records} records are from the future",
            "clock_behind": f"{behind} of {records} records came after their window: "
            "a clock went back, or one was ahead",
        }
        topic, offset = (example[0].topic, example[0].offset) if example else (self._settings.source_topics[0], None)
        return Trouble(kind, topic, partition, offset, words[kind])


async def check_sources(settings: LiveSettings) -> list[Finding]:
    """What is wrong with the sources and with the state that was made of them; nothing is changed.

    Raises
    ------
    BrokerError
        Where the broker refuses what is asked of the topics.
    """
    try:
        await refuse_closed_group(settings.client_args, settings.app_id)
    except BrokerError as error:
        return [Finding("error", settings.app_id, error.problem, error.way_out)]
    names = (*settings.source_topics, settings.snapshots_topic)
    there = await describe_topics(settings.client_args, names)
    counts = {info.partitions for info in there.values()}
    if len(there) < len(names) or len(counts) != 1:
        return []
    partitions = range(counts.pop())
    # Not what the group has committed: a broker forgets that together with the topic.
    try:
        found = await load_snapshots(settings.client_args, settings.snapshots_topic, partitions, 0)
    except StateError as error:
        return [Finding("error", settings.snapshots_topic, error.problem, error.way_out)]
    stored = {
        (topic, partition): offset
        for partition, one in found.items()
        if one.snapshot is not None
        for topic, offset in one.snapshot.offsets.items()
        if topic in settings.source_topics
    }
    bounds = await log_bounds(settings.client_args, settings.source_topics, partitions, stored)
    return offset_findings(settings, there, bounds, stored)
