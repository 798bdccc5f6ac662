"""What the demonstration reads of its worker: the metrics page and the topic of anomalies."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from detectors.base import Incident
from streams.anomalies import decode_anomaly
from streams.demo.state import Picture, read_samples
from streams.kafka import broker_errors

__all__ = ["follow_incidents", "follow_metrics"]

SCRAPE_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0
INCIDENT = b"incident|"


async def follow_metrics(url: str, picture: Picture, now_ms: Callable[[], int]) -> None:
    """Scrape for ever; a page that does not answer is asked again."""
    while True:
        page = await asyncio.to_thread(fetched, url)
        if page is not None:
            picture.scraped(read_samples(page), now_ms())
        await asyncio.sleep(SCRAPE_SECONDS)


async def follow_incidents(
    client_args: Mapping[str, Any], topic: str, picture: Picture, now_ms: Callable[[], int]
) -> None:
    """Take every incident of the topic, from its beginning on, for ever."""
    with broker_errors(client_args):
        consumer = AIOKafkaConsumer(**client_args, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            while True:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        take(record, picture, now_ms())
        finally:
            await consumer.stop()


def take(record: Any, picture: Picture, now_ms: int) -> None:
    """Put an incident into the picture; verdicts are on the metrics page."""
    if record.key is not None and record.key.startswith(INCIDENT) and record.value is not None:
        told = decode_anomaly(record.value)
        if isinstance(told, Incident):
            picture.incident(told, now_ms)


def fetched(url: str) -> str | None:
    """The page, or None while nobody serves it."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - an address made here
            page: bytes = answer.read()
            return page.decode()
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None
