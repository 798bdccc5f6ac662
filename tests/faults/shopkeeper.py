"""A simulated shop that writes on while faults happen, its hours passing in minutes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from streams.live.settings import LiveSettings
from streams.simulate import Shop, ShopSpec
from streams.simulate.shop import SimRecord
from tests.faults.background import Background

__all__ = ["Shopkeeper", "calm_shop"]

STEP_SECONDS = 0.2
STOP_SECONDS = 5.0


def calm_shop(settings: LiveSettings, seed: int, sessions_per_minute: float) -> ShopSpec:
    """A shop in which nothing happens, on a network that repeats, reorders, delays and spoils records."""
    clicks, orders = settings.source_topics
    return ShopSpec(
        seed=seed,
        sessions_per_minute=sessions_per_minute,
        duplicate_ratio=0.01,
        late_ratio=0.01,
        poison_ratio=0.005,
        click_topic=clicks,
        orders_topic=orders,
    )


class Shopkeeper(Background):
    """Writes the shop's records step by step, from ``start_ms`` of its own time, which runs ``speed`` times as fast.

    A step's records bear its last moment as the time of their append, and the orders of a step follow only when its
    clicks are on the broker. So nothing that is on a topic has an older record still to come, as on a broker that
    stamps records itself, and a replay's order is the one in which workers that look on can see the records.
    """

    def __init__(self, settings: LiveSettings, shop: ShopSpec, start_ms: int, speed: float, partitions: int) -> None:
        super().__init__()
        self._settings, self._shop, self._speed, self._partitions = settings, Shop(shop), speed, partitions
        self.now_ms = self.start_ms = start_ms
        """Up to here the shop's time is on the topics; moved when a step is done."""
        self.ends: dict[tuple[str, int], int] = {}
        """Offset behind the last record written, by topic and partition."""
        self.silent: set[int] = set()
        """Partitions for which nothing is written: what they would have brought never happens."""
        self._open, self._idle = threading.Event(), threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._idle.set()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._open.set()
        super().__exit__()

    def resume(self) -> None:
        """Write on."""
        self._idle.clear()
        self._open.set()

    def pause(self) -> None:
        """Write no more, once the step that was begun is on the topics."""
        self._open.clear()
        assert self._idle.wait(90), "the shop cannot write"
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._write())
        except BaseException as error:
            self._failure = error
        finally:
            self._idle.set()

    async def _write(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.bootstrap, linger_ms=2, acks="all")
        await producer.start()
        try:
            while not self._over.is_set():
                if not self._open.is_set():
                    self._idle.set()
                    await asyncio.to_thread(self._open.wait)
                    continue
                begun = time.monotonic()
                await self._step(producer)
                await asyncio.sleep(max(0.0, STEP_SECONDS - (time.monotonic() - begun)))
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(producer.stop(), STOP_SECONDS)  # after a failure there may be no broker

    async def _step(self, producer: AIOKafkaProducer) -> None:
        until_ms = self.now_ms + int(STEP_SECONDS * 1_000 * self._speed)
        records = [one for one in self._shop.events(self.now_ms, until_ms) if self._place(one) not in self.silent]
        by_topic = itertools.groupby(sorted(records, key=lambda one: one.topic), key=lambda one: one.topic)
        # In the order in which a replay takes topics of one time.
        for _, told in by_topic:
            await self._send(producer, list(told), until_ms - 1)
        self.now_ms = until_ms

    async def _send(self, producer: AIOKafkaProducer, records: list[SimRecord], append_ms: int) -> None:
        while records and not self._over.is_set():
            sending = [
                await producer.send(
                    one.topic, one.value, key=one.key, partition=self._place(one), timestamp_ms=append_ms
                )
                for one in records
            ]
            told = await asyncio.gather(*sending, return_exceptions=True)
            for one in told:
                if not isinstance(one, BaseException):
                    place = one.topic, one.partition
                    self.ends[place] = max(self.ends.get(place, 0), one.offset + 1)
            # One of which nothing is known is written again, and comes twice perhaps, as records do.
            records = [record for record, one in zip(records, told, strict=True) if isinstance(one, BaseException)]

    def _place(self, record: SimRecord) -> int:
        return (murmur2(record.key or record.value) & 0x7FFFFFFF) % self._partitions
