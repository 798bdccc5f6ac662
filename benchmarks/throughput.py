"""The whole live path beside a bare consumer loop (fetch and parse) on the same topics, in turns in the same run.

    python -m benchmarks.throughput [--records 400000] [--rounds 3] [--sessions 2400] [--broker kafka|embedded]

Each turn is a process of its own, and its clock runs from its first record to its last: joining a group and finding
a broker are not in it. The last line is ``ratio=``: records a second of the live path, by those of the bare loop.
Before it stands the same of processor time, on which other work on the machine has less influence. Both read with
aiokafka's defaults, but for 2 MiB a partition and fetch; the worker also reads committed records only, and
waits 200 ms at most for a broker that has none.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.broker import embedded_broker
from streams.engine.spec import EngineSpec
from streams.live.logs import set_up_logs
from streams.live.settings import LiveSettings
from streams.live.topics import ensure_topics
from streams.live.worker import Worker
from streams.simulate.shop import Shop
from streams.simulate.spec import ShopSpec
from streams.telemetry.view import View
from tests.support.kafka.native import NativeKafka, why_unavailable

START_MS = 1_772_366_400_000
SESSIONS_PER_MINUTE = 2_400.0
"""A busy shop's; windows cost by the minute, records by the record."""
PARTITIONS = 4
SPECS = {
    "session dimensions": EngineSpec(payment_dimensions=(), product_dimensions=(), idle_after_ms=3_600_000),
    "all dimensions": EngineSpec(idle_after_ms=3_600_000),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=float, default=SESSIONS_PER_MINUTE, help="a minute, of the shop")
    parser.add_argument("--broker", choices=("kafka", "embedded"), default="kafka")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    told = parser.parse_args(arguments)
    if told.turn:
        print(json.dumps(_turn(json.loads(told.turn))))
        return 0
    with _broker(told.broker) as bootstrap:
        counts = asyncio.run(_fill(bootstrap, told.records, told.sessions))
        _compare(bootstrap, counts, told.rounds)
    return 0


def _compare(bootstrap: str, counts: dict[str, list[int]], rounds: int) -> None:
    ratios: dict[str, list[float]] = {name: [] for name in SPECS}
    shares: dict[str, list[float]] = {name: [] for name in SPECS}
    for number in range(1, rounds + 1):
        bare = _run({"kind": "bare", "bootstrap": bootstrap, "counts": counts})
        _tell(f"round {number}: bare loop", bare)
        for name in SPECS:
            if name != next(iter(SPECS)) and number > 1:
                continue
            live = _run({"kind": "live", "bootstrap": bootstrap, "counts": counts, "spec": name})
            _tell(f"round {number}: live, {name}", live)
            ratios[name].append(live["per_second"] / bare["per_second"])
            shares[name].append(bare["us"]["all"] / live["us"]["all"])
    for what, told in (("processor time", shares), ("records a second", ratios)):
        for name, found in reversed(told.items()):
            shown = ", ".join(f"{one:.2f}" for one in found)
            print(f"live by bare, {what}, {name}: {shown}")
    print(f"ratio={statistics.median(ratios[next(iter(SPECS))]):.2f}")


def _tell(title: str, told: dict[str, Any]) -> None:
    stages = ", ".join(f"{name} {us:.2f}" for name, us in told["us"].items())
    extra = "".join(f"; {name} {value}" for name, value in told.get("state", {}).items())
    print(f"{title}: {told['per_second']:,.0f} records/s, CPU us a record: {stages}{extra}", flush=True)


def _run(turn: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.throughput", "--turn", json.dumps(turn)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@contextlib.contextmanager
def _broker(kind: str) -> Iterator[str]:
    reason = why_unavailable() if kind == "kafka" else "asked for"
    if reason:
        print(f"embedded broker ({reason}): its end offsets and speed are not those of Apache Kafka")
        with embedded_broker() as bootstrap:
            yield bootstrap
        return
    broker = NativeKafka()
    try:
        broker.start()
        print(f"Apache Kafka on {broker.bootstrap}, {os.cpu_count()} cores shared by broker and client")
        yield broker.bootstrap
    finally:
        broker.close()


async def _fill(bootstrap: str, records: int, sessions: float) -> dict[str, list[int]]:
    """Write a simulated shop; returns the records of each partition by topic."""
    await ensure_topics(LiveSettings(bootstrap=bootstrap, partitions=PARTITIONS))
    counts = {"clickstream": [0] * PARTITIONS, "orders": [0] * PARTITIONS}
    shop = Shop(ShopSpec(sessions_per_minute=sessions, rhythm=0.0))
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=1 << 18)
    await producer.start()
    size = number = 0
    try:
        for number, one in enumerate(shop.events(START_MS, START_MS + 86_400_000), start=1):
            sent = await producer.send(one.topic, one.value, key=one.key, timestamp_ms=one.append_ms)
            size += len(one.value)
            if number % 2_000 == 0:
                await producer.flush()
            sent.add_done_callback(lambda done: _count(counts, done.result()))
            if number == records:
                break
        await producer.flush()
    finally:
        await producer.stop()
    print(f"{number:,} records of {size / number:.0f} bytes, {(one.append_ms - START_MS) / 60_000:.0f} min of a shop")
    return counts


def _count(counts: dict[str, list[int]], sent: Any) -> None:
    counts[sent.topic][sent.partition] += 1


def _turn(turn: dict[str, Any]) -> dict[str, Any]:
    set_up_logs(level=40)
    with tempfile.TemporaryDirectory() as datadir:
        return asyncio.run(_bare(turn) if turn["kind"] == "bare" else _live(turn, Path(datadir)))


async def _bare(turn: dict[str, Any]) -> dict[str, Any]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=turn["bootstrap"], enable_auto_commit=False, max_partition_fetch_bytes=2 << 20
    )
    await consumer.start()
    wanted = [TopicPartition(topic, partition) for topic in turn["counts"] for partition in range(PARTITIONS)]
    consumer.assign(wanted)
    await consumer.seek_to_beginning()
    total = sum(sum(one) for one in turn["counts"].values())
    seen, kinds, started, cpu = 0, Counter[Any](), 0.0, 0.0
    while seen < total:
        fetched = await consumer.getmany(timeout_ms=500)
        if not started and fetched:
            started, cpu = time.perf_counter(), time.process_time()
        for records in fetched.values():
            for record in records:
                try:
                    event = orjson.loads(record.value)
                    kinds[event["event_type"]] += 1
                except (orjson.JSONDecodeError, KeyError, TypeError):
                    kinds["poison"] += 1
            seen += len(records)
    took = time.perf_counter() - started
    used = time.process_time() - cpu
    await consumer.stop()
    return {"per_second": total / took, "us": {"all": used / total * 1e6}}


async def _live(turn: dict[str, Any], datadir: Path) -> dict[str, Any]:
    group = f"bench-{uuid.uuid4().hex[:8]}"
    settings = LiveSettings(
        engine=SPECS[turn["spec"]],
        bootstrap=turn["bootstrap"],
        app_id=group,
        kpi_topic=f"{group}-kpi",
        anomalies_topic=f"{group}-anomalies",
        dead_letter_topic=f"{group}-dead-letter",
        snapshots_topic=f"{group}-snapshots",
        session_timeout_seconds=6.0,
    )
    worker = Worker(settings, View(), datadir)
    clocks = _Clocks(worker)
    running = asyncio.ensure_future(worker.run())
    total = sum(sum(one) for one in turn["counts"].values())
    while clocks.done < total and not running.done():  # noqa: ASYNC110 - looks at counters that nobody signals
        await asyncio.sleep(0.01)
    result = clocks.result(total)
    worker.stop()
    if code := await running:
        raise RuntimeError(f"the worker ended with {code}")
    return result


class _Clocks:
    """Processor time of the parts of a worker, measured around them."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._started = self._cpu = self._main = 0.0
        self._spent = {"engine and rows": 0.0, "snapshots": 0.0, "merge and judge": 0.0}
        self._rss = 0
        worker.ingest.take = self._timed("engine and rows", worker.ingest.take)  # type: ignore[method-assign]
        worker.watch.take = self._timed("merge and judge", worker.watch.take)  # type: ignore[method-assign]
        save = worker.checkpoints.copy_state
        worker.checkpoints.copy_state = self._timed("snapshots", save)  # type: ignore[method-assign]

    @property
    def done(self) -> int:
        """Records absorbed."""
        lanes = self._worker.ingest.lanes.values()
        return sum(sum(lane.engine.next_offsets.values()) for lane in lanes)

    def result(self, total: int) -> dict[str, Any]:
        """Speed and processor time of what has been absorbed."""
        took = time.perf_counter() - self._started
        main, every = time.thread_time() - self._main, time.process_time() - self._cpu
        parts = {"fetch (consumer thread)": every - main, **self._spent}
        parts["delivery and sends"] = main - sum(self._spent.values())
        engines = [lane.engine for lane in self._worker.ingest.lanes.values()]
        sessions = sum(engine.open_sessions for engine in engines)
        state = {
            "open sessions": sessions,
            "snapshot bytes a session": sum(len(engine.snapshot()) for engine in engines) // max(1, sessions),
            "memory bytes a session (orders, carts and ids included)": (_rss() - self._rss) // max(1, sessions),
        }
        us = {name: seconds / total * 1e6 for name, seconds in {"all": every, **parts}.items()}
        return {"per_second": total / took, "us": us, "state": state}

    def _timed(self, name: str, work: Any) -> Any:
        def timed(*arguments: Any) -> Any:
            if not self._started:
                self._started, self._cpu = time.perf_counter(), time.process_time()
                self._main, self._rss = time.thread_time(), _rss()
            before = time.thread_time()
            try:
                return work(*arguments)
            finally:
                self._spent[name] += time.thread_time() - before

        return timed


def _rss() -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


if __name__ == "__main__":
    sys.exit(main())
