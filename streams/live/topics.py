"""The topics a worker needs: what they must look like, how they are created, what is wrong with those there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from streams.calendar_topic import CALENDAR
from streams.engine.spec import DAY_MS, MINUTE_MS
from streams.errors import BrokerError
from streams.kafka import TopicInfo, TopicPlan, create_topics, describe_topics
from streams.live.settings import LiveSettings

__all__ = ["Finding", "check_topics", "ensure_topics", "findings", "topic_plans"]

KEEP_FOREVER = -1

SMALL_SEGMENTS = {"segment.bytes": str(64 << 20), "segment.ms": str(10 * MINUTE_MS), "min.cleanable.dirty.ratio": "0.1"}
"""Only closed segments are compacted: with Kafka's 1 GiB and 7 days nothing would ever be."""


class Finding(NamedTuple):
    """One result of a check; ``way_out`` is empty where nothing has to be done."""

    level: Literal["ok", "warning", "error"]
    subject: str
    problem: str
    way_out: str = ""


def topic_plans(settings: LiveSettings, partitions: int) -> dict[str, TopicPlan]:
    """Every topic of a worker as it is created where it is missing, by name.

    Parameters
    ----------
    settings
        Of the worker.
    partitions
        Number of partitions of the sources.
    """
    # Records keep the time of what they tell; a default retention would delete a backfilled week at once.
    source = {"cleanup.policy": "delete", "retention.ms": str(KEEP_FOREVER)}
    # Rows may be compacted only once no worker can repeat one out of order any more.
    rows = SMALL_SEGMENTS | {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(5 * max(settings.review_horizon_ms, 7 * DAY_MS)),
        "min.compaction.lag.ms": str(60 * MINUTE_MS),
    }
    # The judge waits for rows by the clock: what counts is when a row could be read, not when it was sent.
    heard = rows | {"message.timestamp.type": "LogAppendTime"}
    letters = SMALL_SEGMENTS | {"cleanup.policy": "compact,delete", "retention.ms": str(settings.review_horizon_ms)}
    snapshots = SMALL_SEGMENTS | {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(2 * MINUTE_MS),
        "delete.retention.ms": str(10 * MINUTE_MS),
    }
    wanted = [(name, partitions, source) for name in settings.source_topics]
    wanted += [(settings.kpi_topic, 1, heard), (settings.anomalies_topic, 1, rows)]
    wanted += [(settings.calendar_topic, 1, CALENDAR)]
    wanted += [(settings.dead_letter_topic, 1, letters), (settings.snapshots_topic, partitions, snapshots)]
    return {name: TopicPlan(name, count, settings.replication, config) for name, count, config in wanted}


async def ensure_topics(settings: LiveSettings) -> int:
    """Create what is missing and refuse what does not fit; returns the number of partitions of the sources.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached, or topics that exist cannot be used as they are.
    """
    names = topic_plans(settings, 1)
    there = await describe_topics(settings.client_args, names)
    partitions = next((there[name].partitions for name in settings.source_topics if name in there), settings.partitions)
    plans = topic_plans(settings, partitions)
    await create_topics(settings.client_args, [plan for name, plan in plans.items() if name not in there])
    for finding in _partition_findings(settings, there):
        if finding.level == "error":
            raise BrokerError(finding.problem, key="topic", value=finding.subject, way_out=finding.way_out)
    return partitions


async def check_topics(settings: LiveSettings) -> list[Finding]:
    """Look at the broker and its topics without changing anything."""
    try:
        there = await describe_topics(settings.client_args, topic_plans(settings, 1))
    except BrokerError as error:
        return [Finding("error", settings.bootstrap, error.problem, error.way_out)]
    return [Finding("ok", settings.bootstrap, "the broker answers"), *findings(settings, there)]


def findings(settings: LiveSettings, there: Mapping[str, TopicInfo]) -> list[Finding]:
    """Judge topics by what the broker said of them; pure.

    Parameters
    ----------
    settings
        Of the worker.
    there
        The topics that exist, by name.
    """
    result = [*_missing(settings, there), *_partition_findings(settings, there), *_config_findings(settings, there)]
    troubled = {finding.subject for finding in result if finding.level != "ok"}
    return result + [
        Finding("ok", name, f"{info.partitions} partition{'s' if info.partitions > 1 else ''}")
        for name, info in there.items()
        if name not in troubled
    ]


def _missing(settings: LiveSettings, there: Mapping[str, TopicInfo]) -> Iterable[Finding]:
    for name in topic_plans(settings, 1):
        if name not in there:
            yield Finding("warning", name, "the topic does not exist", "`funnelwatch topics` and `run` create it")


def _partition_findings(settings: LiveSettings, there: Mapping[str, TopicInfo]) -> Iterable[Finding]:
    counts = {name: there[name].partitions for name in settings.source_topics if name in there}
    told = ", ".join(f"{name} has {count}" for name, count in counts.items())
    if len(set(counts.values())) > 1:
        problem = f"source topics differ in their number of partitions ({told}): sessions and orders would never meet"
        yield Finding("error", next(iter(counts)), problem, "recreate the sources with one count, keyed by session")
        return
    for name in (settings.kpi_topic, settings.anomalies_topic, settings.calendar_topic):
        if name in there and there[name].partitions != 1:
            problem = f"has {there[name].partitions} partitions, and one worker must see all rows in order"
            yield Finding("error", name, problem, "delete the topic (`run` creates it), or name another one")
    snapshots = there.get(settings.snapshots_topic)
    if snapshots and counts and snapshots.partitions != next(iter(counts.values())):
        problem = f"has {snapshots.partitions} partitions, but {told}: the state belongs to other partitions"
        way_out = "delete the topic and start with --rebuild; sources must not change their number of partitions"
        yield Finding("error", settings.snapshots_topic, problem, way_out)


def _config_findings(settings: LiveSettings, there: Mapping[str, TopicInfo]) -> Iterable[Finding]:
    for name in settings.source_topics:
        config = there[name].config if name in there else {}
        retention = int(config.get("retention.ms", KEEP_FOREVER))
        if "compact" in config.get("cleanup.policy", ""):
            yield Finding("error", name, "is compacted: events of a session would vanish", "set cleanup.policy=delete")
        if retention != KEEP_FOREVER and retention < settings.review_horizon_ms:
            problem = f"keeps records for {retention / DAY_MS:g} days, incidents must be replayable for "
            problem += f"{settings.review_horizon_ms / DAY_MS:g}"
            yield Finding(
                "warning", name, problem, f"set retention.ms={settings.review_horizon_ms} or shop.review_horizon"
            )
        if config.get("message.timestamp.type", "CreateTime") not in ("CreateTime", "LogAppendTime"):
            yield Finding("error", name, "its records carry no timestamps", "set message.timestamp.type=CreateTime")
    for name in (settings.kpi_topic, settings.anomalies_topic, settings.snapshots_topic, settings.calendar_topic):
        config = there[name].config if name in there else {}
        if "cleanup.policy" in config and "compact" not in config["cleanup.policy"]:
            yield Finding("warning", name, "is not compacted and will grow", "set cleanup.policy=compact")
