"""The chain of a partition on a topic of Apache Kafka: a worker starts from it, is killed and starts again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer

from benchmarks.steady_shop import TOPIC, steady_spec
from streams.broker import free_port
from streams.engine import Batch
from streams.live.settings import LiveSettings
from streams.live.topics import ensure_topics
from streams.live.worker import run_worker
from tests.support.kafka.native import NativeKafka, why_unavailable

if TYPE_CHECKING:
    from benchmarks.recovery import Line

BEHIND_SECONDS = 20
"""Traffic that came while no worker was there."""

TRAFFIC_SECONDS = 20
MOST_SECONDS = 180.0
BATCH_BYTES = 900_000


def measure_kafka(line: Line, first: int, recent: Batch) -> None:
    """Start a worker from the newest chain of this line, whose resume offset and last records are told."""
    if reason := why_unavailable():
        print(f"  no Apache Kafka: {reason}")
        return
    broker = NativeKafka()
    try:
        broker.start()
        settings = settings_of(broker.bootstrap, free_port())
        asyncio.run(_fill(settings, line, first, recent))
        with _worker(settings) as started:
            took = _until(settings, started, line.shop.now_ms)
            print(
                f"  from the start of a process to caught up with {BEHIND_SECONDS} s of traffic: {took:.1f} s",
                flush=True,
            )
            thread = threading.Thread(target=lambda: asyncio.run(_traffic(settings, line)))
            thread.start()
            time.sleep(TRAFFIC_SECONDS - 3)
        settings = settings_of(broker.bootstrap, free_port())
        with _worker(settings) as started:
            thread.join()
            took = _until(settings, started, line.shop.now_ms)
            print(f"  killed (-9) amid traffic; from the next start to caught up: {took:.1f} s", flush=True)
    finally:
        broker.close()


def settings_of(bootstrap: str, port: int) -> LiveSettings:
    """One partition, one source."""
    return LiveSettings(
        engine=steady_spec(), bootstrap=bootstrap, app_id="bench-recovery", partitions=1, metrics_port=port
    )


@contextlib.contextmanager
def _worker(settings: LiveSettings) -> Iterator[float]:
    """A worker as a process, killed at the end of the block; yields the moment of its start."""
    told = json.dumps([settings.bootstrap, settings.metrics_port])
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.recovery_kafka", told], stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def _until(settings: LiveSettings, started: float, end_ms: int) -> float:
    """Seconds until the watermark is where the log ends."""
    wanted = end_ms / 1_000 - settings.engine.max_out_of_orderness_ms / 1_000 - 1
    while time.monotonic() < started + MOST_SECONDS:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{settings.metrics_port}/metrics", timeout=5) as page:
                found = re.search(rb"funnel_watermark_timestamp_seconds\{[^}]*\} (\S+)", page.read())
            if found and float(found[1]) >= wanted:
                return time.monotonic() - started
        time.sleep(0.1)
    raise TimeoutError(f"not caught up within {MOST_SECONDS:.0f} s")


async def _fill(settings: LiveSettings, line: Line, first: int, recent: Batch) -> None:
    """Both topics as a worker that died has left them; records that nobody reads any more are stood for by nothing."""
    await ensure_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, linger_ms=20, max_batch_size=BATCH_BYTES)
    await producer.start()
    try:
        moment = line.shop.now_ms - 60_000
        left = first
        while left:
            batch = producer.create_batch()
            while left and batch.append(key=None, value=b"", timestamp=moment) is not None:
                left -= 1
            await producer.send_batch(batch, TOPIC, partition=0)
        await _send(producer, recent)
        await _send(producer, line.shop.seconds(BEHIND_SECONDS))
        for key, value in line.topic.items():
            await producer.send(settings.snapshots_topic, value, key=key, partition=0)
        await producer.flush()
    finally:
        await producer.stop()


async def _traffic(settings: LiveSettings, line: Line) -> None:
    """The shop goes on, a second of it each second."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, linger_ms=20)
    await producer.start()
    try:
        for _ in range(TRAFFIC_SECONDS):
            began = time.monotonic()
            await _send(producer, line.shop.seconds(1))
            await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, batch: Batch) -> None:
    for at_ms, key, value in zip(batch.append_ms, batch.keys, batch.values, strict=True):
        await producer.send(TOPIC, value, key=key, partition=0, timestamp_ms=at_ms)
    await producer.flush()


if __name__ == "__main__":
    sys.exit(run_worker(settings_of(*json.loads(sys.argv[1]))))
