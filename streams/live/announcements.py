"""Listens to the calendar topic while this worker is the judge."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka import stop_client
from streams.live.logs import get_logger
from streams.live.settings import LiveSettings
from streams.live.watch import Watch

__all__ = ["Announcements"]

ROUND_MS = 500
PAUSE_SECONDS = 0.2
RETRY_SECONDS = 1.0

logger = get_logger("announcements")


class Announcements:
    """Hands the records of the calendar topic to the judge as they come.

    A consumer of its own, without a group: Faust might give the topic's partition to a worker that is not the judge.

    Parameters
    ----------
    settings
        Of the worker.
    watch
        The judge; it is told while it is one.
    """

    def __init__(self, settings: LiveSettings, watch: Watch) -> None:
        self._settings, self._watch = settings, watch
        self._partition = TopicPartition(settings.calendar_topic, 0)
        self._consumer: Any = None
        self._position = 0

    def read_up_to(self, position: int) -> None:
        """Say that everything before this offset is known: listening begins there."""
        self._position = position
        if self._consumer is not None:
            self._consumer.seek(self._partition, position)

    async def run(self) -> None:
        """Listen until cancelled; a broker that is away is asked again."""
        try:
            while True:
                await asyncio.sleep(PAUSE_SECONDS)
                try:
                    await self._round()
                except KafkaError as error:
                    logger.warning("calendar_unread at=%s[0]@%d: %r", self._partition.topic, self._position, error)
                    await self._stop()
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            await self._stop()

    async def _round(self) -> None:
        if not self._watch.owned:
            await self._stop()
            return
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._settings.client_args, enable_auto_commit=False, auto_offset_reset="earliest"
            )
            try:
                await consumer.start()
                consumer.assign([self._partition])
                consumer.seek(self._partition, self._position)
            except BaseException:
                await stop_client(consumer)
                raise
            self._consumer = consumer
        fetched = await self._consumer.getmany(self._partition, timeout_ms=ROUND_MS)
        records = [record for batch in fetched.values() for record in batch if record.offset >= self._position]
        if records:
            self._position = records[-1].offset + 1
            self._watch.hear(records)

    async def _stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_client(consumer)
