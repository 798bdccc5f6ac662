"""Small helpers over aiokafka that live, replay and checks share: topics, whole-topic reads, plain errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from streams.errors import BrokerError
from streams.refusal import why_refused

__all__ = [
    "LogBounds",
    "TopicInfo",
    "TopicPlan",
    "broker_errors",
    "create_topics",
    "describe_topics",
    "first_offset_since",
    "log_bounds",
    "may_pass",
    "partition_count",
    "read_topic",
    "refusal_of",
    "refuse_closed_group",
    "stop_client",
]

TOPIC_ALREADY_EXISTS = 36
POLL_MS = 200
NO_BROKER = "no broker answers"


class TopicInfo(NamedTuple):
    """What a broker says of a topic; a key of ``config`` may be absent where the broker tells no defaults."""

    partitions: int
    config: Mapping[str, str]


class TopicPlan(NamedTuple):
    """A topic to be created."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


class LogBounds(NamedTuple):
    """First kept offset of a partition, and the one that the next record gets."""

    start: int
    end: int


def may_pass(error: BrokerError) -> bool:
    """Whether what ``broker_errors`` turned into this is over once the broker is back.

    >>> may_pass(BrokerError("no such topic"))
    False
    """
    cause = error.__cause__
    if isinstance(cause, KafkaConnectionError):
        return error.problem == NO_BROKER
    return isinstance(cause, KafkaError) and bool(cause.retriable)


def refusal_of(client_args: Mapping[str, Any], *, is_spoken: bool = False) -> BrokerError | None:
    """What is told of a broker that lets nobody in with these arguments; None where none listens, or one lets us in.

    Parameters
    ----------
    client_args
        Arguments of the aiokafka client.
    is_spoken
        Only where the broker objects in words, and not where it hangs up.
    """
    refusal = why_refused(client_args)
    if refusal is None or (is_spoken and not refusal.is_spoken):
        return None
    value = client_args.get("bootstrap_servers")
    return BrokerError(refusal.problem, key="kafka.bootstrap", value=value, way_out=refusal.way_out)


@contextlib.contextmanager
def broker_errors(client_args: Mapping[str, Any]) -> Iterator[None]:
    """Turn what aiokafka raises into a ``BrokerError`` that names the broker and the way out."""
    try:
        yield
    except KafkaConnectionError as error:
        raise refusal_of(client_args) or BrokerError(
            NO_BROKER,
            key="kafka.bootstrap",
            value=client_args.get("bootstrap_servers"),
            way_out="start the broker, or correct the address",
        ) from error
    except KafkaError as error:
        raise BrokerError(
            f"the broker refused: {type(error).__name__} {error}".rstrip(),
            key="kafka.bootstrap",
            value=client_args.get("bootstrap_servers"),
            way_out="see the broker's log, and docs/security.md for the rights that a user needs",
        ) from error


async def describe_topics(client_args: Mapping[str, Any], names: Collection[str]) -> dict[str, TopicInfo]:
    """Partitions and configuration of those of the named topics that exist.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached or refuses.
    """
    with broker_errors(client_args):
        async with _admin(client_args) as admin:
            # Asking for a missing topic by name makes some brokers create it, so the list of all comes first.
            present = sorted(set(names) & set(await admin.list_topics()))
            if not present:
                return {}
            told = {one["topic"]: len(one["partitions"]) for one in await admin.describe_topics(present)}
            configs = await _configs(admin, present)
            return {name: TopicInfo(told[name], configs.get(name, {})) for name in present}


async def partition_count(client_args: Mapping[str, Any], topics: Sequence[str]) -> int:
    """How many partitions the source topics have; ``BrokerError`` where one is missing or they differ."""
    told = await describe_topics(client_args, topics)
    for topic in topics:
        if topic not in told:
            raise BrokerError(
                "no such topic",
                key="topic",
                value=topic,
                way_out="name the topics of the shop in [[source]], or create them with `funnelwatch topics`",
            )
    counts = {topic: info.partitions for topic, info in told.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
        raise BrokerError(
            f"source topics have different numbers of partitions ({shown})",
            way_out="key them by session and give them the same number of partitions",
        )
    return next(iter(counts.values()))


async def create_topics(client_args: Mapping[str, Any], plans: Sequence[TopicPlan]) -> None:
    """Create topics; one that exists already is left as it is.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached or refuses a topic.
    """
    if not plans:
        return
    new = [NewTopic(plan.name, plan.partitions, plan.replication, topic_configs=dict(plan.config)) for plan in plans]
    with broker_errors(client_args):
        async with _admin(client_args) as admin:
            answer = await admin.create_topics(new)
    for topic, code, *reason in answer.topic_errors:
        if code not in (0, TOPIC_ALREADY_EXISTS):
            denied = code == TopicAuthorizationFailedError.errno
            raise BrokerError(
                f"the broker does not create the topic (error {code}: {reason[0] if reason else 'no reason given'})",
                key="topic",
                value=topic,
                way_out="give this user the rights of docs/security.md, or create it by hand"
                if denied
                else "create it by hand, or correct topics.partitions and topics.replication_factor",
            )


async def refuse_closed_group(client_args: Mapping[str, Any], group: str) -> None:
    """Ask for a consumer group before a consumer does, which would wait for ever where it may not join.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached, or this user has no right to the group.
    """
    with broker_errors(client_args):
        async with _admin(client_args) as admin:
            try:
                await admin.find_coordinator(group)
            except GroupAuthorizationFailedError as error:
                raise BrokerError(
                    "this user may not read in the consumer group",
                    key="shop.name",
                    value=group,
                    way_out="give it the rights of docs/security.md",
                ) from error
            except KafkaError:
                # A broker that was just started has no coordinator yet: the consumer asks again.
                return


async def log_bounds(
    client_args: Mapping[str, Any], topics: Iterable[str], partitions: Iterable[int], expected: Mapping[Any, int]
) -> dict[tuple[str, int], LogBounds]:
    """Where the logs of partitions begin and end, by topic and partition.

    Parameters
    ----------
    client_args
        Arguments of the aiokafka client.
    topics, partitions
        All combinations are asked for.
    expected
        Offset, by topic and partition, up to which there ought to be records. Some brokers tell an end that is
        too low; where it is below this, the record before is looked for.
    """
    wanted = [TopicPartition(topic, partition) for topic in topics for partition in partitions]
    if not wanted:
        return {}
    consumer = AIOKafkaConsumer(**client_args, enable_auto_commit=False, auto_offset_reset="earliest")
    with broker_errors(client_args):
        try:
            await consumer.start()
            starts, ends = await consumer.beginning_offsets(wanted), await consumer.end_offsets(wanted)
            bounds = {tuple(one): LogBounds(starts[one], ends[one]) for one in wanted}
            for one, bound in bounds.items():
                if bound.end < expected.get(one, 0) and await _holds(consumer, TopicPartition(*one), expected[one] - 1):
                    bounds[one] = LogBounds(bound.start, expected[one])
            return bounds
        finally:
            await stop_client(consumer)


async def first_offset_since(client_args: Mapping[str, Any], topic: str, partition: int, since_ms: int) -> int:
    """Offset of the first kept record at or after a moment; of the first kept record where there is none such.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached or refuses.
    """
    consumer = AIOKafkaConsumer(**client_args, enable_auto_commit=False)
    one = TopicPartition(topic, partition)
    with broker_errors(client_args):
        try:
            await consumer.start()
            start: int = (await consumer.beginning_offsets([one]))[one]
            found = (await consumer.offsets_for_times({one: since_ms}))[one]
            return max(start, found.offset) if found is not None else start
        finally:
            await stop_client(consumer)


async def read_topic(
    client_args: Mapping[str, Any],
    topic: str,
    partitions: Iterable[int],
    starts: Mapping[int, int] | None = None,
) -> AsyncIterator[tuple[int, list[Any]]]:
    """Everything that is in partitions of a topic now: ``(partition, records)`` in order, then it ends.

    Parameters
    ----------
    client_args
        Arguments of the aiokafka client: ``bootstrap_servers`` and security.
    topic, partitions
        What to read.
    starts
        First offset by partition; the first kept one where there is none.
    """
    consumer = AIOKafkaConsumer(
        **client_args,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=POLL_MS // 2,
        max_partition_fetch_bytes=4 << 20,
    )
    with broker_errors(client_args):
        await consumer.start()
        try:
            wanted = [TopicPartition(topic, partition) for partition in partitions]
            consumer.assign(wanted)
            ends = await consumer.end_offsets(wanted)
            first = await consumer.beginning_offsets(wanted)
            for one in wanted:
                consumer.seek(one, max(first[one], (starts or {}).get(one.partition, first[one])))
            while True:
                fetched = await consumer.getmany(timeout_ms=POLL_MS)
                for one, records in fetched.items():
                    if records:
                        yield one.partition, records
                if not any(fetched.values()) and await _at_end(consumer, wanted, ends):
                    return
        finally:
            await stop_client(consumer)


async def stop_client(client: Any) -> None:
    """Stop a consumer; aiokafka lets out the cancellation of a fetch of its own where its broker is away."""
    try:
        await client.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise


async def _holds(consumer: Any, one: Any, offset: int) -> bool:
    consumer.assign([one])
    consumer.seek(one, offset)
    fetched = await consumer.getmany(one, timeout_ms=2_000, max_records=1)
    return any(record.offset == offset for records in fetched.values() for record in records)


async def _at_end(consumer: Any, wanted: list[Any], ends: Mapping[Any, int]) -> bool:
    # Some brokers tell an end offset that is too low, so the high watermark of a fetch has to agree.
    for one in wanted:
        seen = consumer.highwater(one)
        if await consumer.position(one) < max(ends[one], seen or 0) or (seen is None and ends[one]):
            return False
    return True


@contextlib.asynccontextmanager
async def _admin(client_args: Mapping[str, Any]) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**client_args)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _configs(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    configs: dict[str, dict[str, str]] = {}
    for answer in answers:
        for _code, _message, _kind, name, entries, *_ in answer.resources:
            configs[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return configs
