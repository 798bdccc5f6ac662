"""The calendar topic: read as a whole, and written one entry at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from detectors.seasonal import Note
from streams.calendar import Calendar
from streams.errors import InputError
from streams.kafka import TopicPlan, broker_errors, create_topics, describe_topics, read_topic

__all__ = ["CALENDAR", "load_calendar", "write_entry"]

CALENDAR = {
    "cleanup.policy": "compact",
    "segment.bytes": str(16 << 20),
    "segment.ms": "86400000",
    "min.cleanable.dirty.ratio": "0.1",
}
"""How the topic is kept: the last record of each key, for ever; the judge removes what is too old to matter."""


async def load_calendar(client_args: Mapping[str, Any], topic: str, notes: Iterable[Note] = ()) -> tuple[Calendar, int]:
    """All that the topic holds, with the notes of the configuration, and the offset behind the last record.

    A record that is no entry is passed over. A topic that does not exist is empty.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached or refuses.
    """
    calendar, position = Calendar(notes), 0
    if topic not in await describe_topics(client_args, [topic]):
        return calendar, position
    async for _, records in read_topic(client_args, topic, [0]):
        for record in records:
            position = record.offset + 1
            try:
                calendar.apply(record.key or b"", record.value)
            except InputError:
                continue
    return calendar, position


async def write_entry(
    client_args: Mapping[str, Any], topic: str, entry: tuple[bytes, bytes | None], replication: int = 1
) -> None:
    """Write key and value (None removes the key), and wait until the broker has it; the topic is made where missing.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached or refuses.
    """
    if topic not in await describe_topics(client_args, [topic]):
        await create_topics(client_args, [TopicPlan(topic, 1, replication, CALENDAR)])
    producer = AIOKafkaProducer(**client_args, acks="all")
    with broker_errors(client_args):
        try:
            await producer.start()
            await producer.send_and_wait(topic, key=entry[0], value=entry[1], partition=0)
        finally:
            await producer.stop()
