"""What can be wrong with a source topic, told from offsets, counts and moments; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streams.errors import BrokerError, StateError
from streams.kafka import LogBounds, TopicInfo
from streams.live.settings import LiveSettings
from streams.live.topics import Finding

__all__ = [
    "SILENT_SECONDS",
    "ClockSpan",
    "Heard",
    "Trouble",
    "more_partitions",
    "offset_findings",
    "records_lost",
    "silent_partitions",
    "unowned_partitions",
    "went_back",
]

REBUILD = "start once with --rebuild, which computes everything anew from the source topics"

SPAN_RECORDS = 200
"""Clocks are judged over this many records: a handful of phones with wrong clocks is usual."""
AHEAD_SHARE, BEHIND_SHARE = 0.1, 0.5

SILENT_SECONDS = 600.0
SILENT_RECORDS = 200
"""A partition is silent when it has missed this many records, as its neighbours go; sessions come in bursts."""
EMPTY_RECORDS = 1_000


class Trouble(NamedTuple):
    """One thing that is wrong with a source.

    ``kind`` is of ``names.TROUBLES``, ``offset`` is None where it belongs to no record, ``lost`` counts records.
    """

    kind: str
    topic: str
    partition: int
    offset: int | None
    detail: str
    lost: int = 0

    def __str__(self) -> str:
        place = f"{self.topic}[{self.partition}]" + (f"@{self.offset}" if self.offset is not None else "")
        return f"kind={self.kind} at={place}: {self.detail}"


class Heard(NamedTuple):
    """When a partition was last heard of, and how many records all partitions had brought by then."""

    at: float
    total: int


@dataclass(slots=True)
class ClockSpan:
    """How many of the latest records of a partition came with times that cannot be right.

    >>> span = ClockSpan()
    >>> span.add(199, ahead=150), span.add(1)
    (None, 'clock_ahead')
    >>> span.add(200, behind=99), span.add(200, behind=100)
    (None, 'clock_behind')
    """

    records: int = 0
    ahead: int = 0
    behind: int = 0

    def add(self, records: int, ahead: int = 0, behind: int = 0) -> str | None:
        """Take some more records; the kind of trouble once a span is full, and a new span begins.

        Parameters
        ----------
        records
            All that were absorbed.
        ahead
            Those whose time is in the future by more than is allowed.
        behind
            Those that came after their window was closed, or were too old to be used.
        """
        self.records += records
        self.ahead += ahead
        self.behind += behind
        if self.records < SPAN_RECORDS:
            return None
        kind = "clock_ahead" if self.ahead >= AHEAD_SHARE * self.records else None
        kind = kind or ("clock_behind" if self.behind >= BEHIND_SHARE * self.records else None)
        self.records = self.ahead = self.behind = 0
        return kind


def records_lost(topic: str, partition: int, wanted: int, start: int) -> Trouble | None:
    """The trouble of a log that begins behind the offset that was to be read next.

    >>> print(records_lost("orders", 3, 1842, 1900))
    kind=records_lost at=orders[3]@1842: 58 records were removed before they were read, the log begins at 1900
    >>> records_lost("orders", 3, 1842, 1842) is None
    True
    """
    lost = start - wanted
    if lost <= 0:
        return None
    detail = f"{lost} records were removed before they were read, the log begins at {start}"
    return Trouble("records_lost", topic, partition, wanted, detail, lost)


def went_back(topic: str, partition: int, expected: int, found: int) -> StateError:
    """The end of a worker whose source brings lower offsets than it has brought: what is known is of another log."""
    return StateError(
        f"the log goes on at {found}, although it had come to {expected}: "
        "the topic has been recreated, or its broker has lost the end of the log",
        key="topic",
        value=f"{topic}[{partition}]",
        way_out=REBUILD,
    )


def more_partitions(topic: str, before: int, there: int) -> Trouble | None:
    """The trouble of a topic that has other partitions than its state was made for."""
    if there == before:
        return None
    detail = (
        f"has {there} partitions and had {before} at the start: sessions move between partitions, "
        "and new partitions are not counted"
    )
    return Trouble("partition_added", topic, min(there, before), None, detail)


def unowned_partitions(settings: LiveSettings, owned: Collection[int], partitions: int) -> BrokerError | None:
    """The end of a worker that is given a partition for which there is no state, and no snapshot topic."""
    if not owned or max(owned) < partitions:
        return None
    return BrokerError(
        f"partition {max(owned)} was added to the sources, which had {partitions}: sessions have moved",
        key="topic",
        value=settings.source_topics[0],
        way_out=f"delete {settings.snapshots_topic} and {REBUILD}",
    )


def silent_partitions(heard: Mapping[int, Heard], total: int, now: float) -> dict[int, str]:
    """Partitions of one worker that bring nothing while the others go on, each with the words for it.

    Parameters
    ----------
    heard
        By partition.
    total
        Records that all of them have brought by now.
    now
        The clock of ``Heard.at``, in seconds.
    """
    told = {}
    for partition, last in heard.items():
        quiet = now - last.at
        missed = (total - last.total) / max(1, len(heard) - 1)
        if quiet >= SILENT_SECONDS and missed >= SILENT_RECORDS:
            told[partition] = f"no record for {quiet:.0f} s, while each other partition brought {missed:.0f}"
    return told


def offset_findings(
    settings: LiveSettings,
    there: Mapping[str, TopicInfo],
    bounds: Mapping[tuple[str, int], LogBounds],
    stored: Mapping[tuple[str, int], int],
) -> list[Finding]:
    """Judge the sources by how far the stored state reaches, before a worker starts from it.

    Parameters
    ----------
    settings
        Of the worker.
    there
        The topics that exist.
    bounds
        Of every partition of the sources.
    stored
        Next offsets of the newest snapshots, where there are any.
    """
    found = []
    for (topic, partition), (start, end) in sorted(bounds.items()):
        offset = stored.get((topic, partition))
        if offset is None:
            continue
        subject = f"{topic}[{partition}]"
        if offset > end:
            problem = f"ends at {end}, before the stored state ({offset}): the topic has been recreated"
            found.append(Finding("error", subject, problem, REBUILD))
        elif lost := records_lost(topic, partition, offset, start):
            way_out = "they are in no figure; keep records longer (retention.ms), or stop workers for less long"
            found.append(Finding("warning", subject, lost.detail, way_out))
    return found + _empty(settings.source_topics, there, bounds)


def _empty(
    topics: Sequence[str], there: Mapping[str, TopicInfo], bounds: Mapping[tuple[str, int], LogBounds]
) -> list[Finding]:
    found = []
    for topic in topics:
        ends = [bounds[topic, one].end for one in range(there[topic].partitions)] if topic in there else []
        empty = [partition for partition, end in enumerate(ends) if not end]
        if empty and len(ends) > 1 and sum(ends) / len(ends) >= EMPTY_RECORDS:
            problem = f"nothing has ever come to partitions {empty}, while {sum(ends)} records came to the others"
            found.append(Finding("warning", topic, problem, "key records by session, with the default partitioner"))
    return found
