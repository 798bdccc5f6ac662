"""Live workers as processes, records in, rows out, and the same records through an engine in this process."""

import asyncio
import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaProducer

from streams.broker import free_port
from streams.engine.batch import Batch
from streams.engine.chain import Pace
from streams.engine.cube import cube_key, decode_record, encode_cube
from streams.engine.engine import Engine
from streams.engine.rows import encode_row, row_key
from streams.engine.spec import EngineSpec, SourceSpec
from streams.kafka import read_topic
from streams.live.settings import LiveSettings
from streams.live.snapshots import PIECE_BYTES
from streams.live.topics import ensure_topics
from tests.support.shop_log import Record

T = TypeVar("T")
QUIET_MS = 3_600_000
"""Longer than any test: only what is in the logs decides."""


def settings_of(told: Mapping[str, Any]) -> LiveSettings:
    """Settings with topics of their own; ``told`` needs ``bootstrap`` and ``name``."""
    name = told["name"]
    engine = EngineSpec(
        sources=(SourceSpec(f"{name}-clicks"), SourceSpec(f"{name}-orders")),
        # JSON knows no tuples.
        **{"idle_after_ms": QUIET_MS}
        | {key: tuple(one) if isinstance(one, list) else one for key, one in told.get("engine", {}).items()},
    )
    return LiveSettings(
        engine=engine,
        bootstrap=told["bootstrap"],
        app_id=name,
        kpi_topic=f"{name}-kpi",
        anomalies_topic=f"{name}-anomalies",
        dead_letter_topic=f"{name}-dead",
        snapshots_topic=f"{name}-snapshots",
        calendar_topic=f"{name}-calendar",
        session_timeout_seconds=told.get("session_timeout", 3.0),
        snapshot_piece_bytes=told.get("piece_bytes", PIECE_BYTES),
        snapshot_pace=Pace(*told["pace"]) if "pace" in told else Pace(),
        checkpoint_seconds=told.get("checkpoint", 0.5),
        max_poll_records=told.get("max_poll_records", 500),
        stuck_seconds=told.get("stuck", 40.0),
        stop_seconds=told.get("stop", 15.0),
        partitions=told.get("partitions", 4),
        merge_wait_ms=told.get("merge_wait_ms", 3_000),
        rebuild=told.get("rebuild", False),
        metrics_port=told.get("metrics_port", 0),
    )


class WorkerProcess:
    """A live worker in a process of its own; the block kills it where it is still there."""

    def __init__(self, **told: Any) -> None:
        self.told = told | {"metrics_port": free_port()}
        self._log = Path(tempfile.mkstemp(prefix="worker-", suffix=".log")[1])
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "tests.support.live_worker", json.dumps(self.told)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.wait()
        self._log.unlink(missing_ok=True)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.told['metrics_port']}"

    def signal(self, number: int) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self, seconds: float = 30.0) -> int:
        assert self.process
        return self.process.wait(seconds)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def until_logged(self, words: str, times: int = 1, seconds: float = 40.0) -> None:
        """Wait until its log says so; fails with the log where it does not."""
        until(lambda: self.log.count(words) >= times or not self.alive(), seconds=seconds)
        assert self.log.count(words) >= times, f"{words!r} not in\n{self.log}"


def until(wanted: Callable[[], T], *, seconds: float = 40.0, pause: float = 0.05) -> T:
    """The first true answer; the last answer once the time is over."""
    deadline = time.monotonic() + seconds
    while not (told := wanted()) and time.monotonic() < deadline:
        time.sleep(pause)
    return told


def set_up_topics(settings: LiveSettings) -> int:
    """Create the topics; returns the number of partitions."""
    return asyncio.run(ensure_topics(settings))


def produce(bootstrap: str, records: Iterable[Record]) -> None:
    """Write records with their own append times."""

    async def write() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
        await producer.start()
        try:
            for one in records:
                await producer.send(one.topic, one.value, key=one.key, timestamp_ms=one.append_ms)
            await producer.flush()
        finally:
            await producer.stop()

    asyncio.run(write())


def produce_unseen(bootstrap: str, records: Iterable[Record], *workers: WorkerProcess) -> None:
    """Write records that bear past times while these workers stand still.

    Such records come to two topics in another order than their times say; a worker that looks on would rightly
    process what is there.
    """
    for worker in workers:
        worker.signal(signal.SIGSTOP)
    try:
        produce(bootstrap, records)
    finally:
        for worker in workers:
            worker.signal(signal.SIGCONT)


def read_all(bootstrap: str, topic: str, partitions: Iterable[int] = (0,)) -> dict[int, list[Any]]:
    """All records of a topic, by partition."""

    async def read() -> dict[int, list[Any]]:
        told: dict[int, list[Any]] = {partition: [] for partition in partitions}
        async for partition, records in read_topic({"bootstrap_servers": bootstrap}, topic, list(told)):
            told[partition] += records
        return told

    return asyncio.run(read())


def live_rows(settings: LiveSettings) -> dict[bytes, bytes]:
    """What the workers wrote, the last row or cube of each key; merged rows apart."""
    rows = {record.key: record.value for record in read_all(settings.bootstrap, settings.kpi_topic)[0]}
    return {key: value for key, value in rows.items() if decode_record(value).partition is not None}


def merged_rows(settings: LiveSettings) -> dict[bytes, bytes]:
    """What the judge wrote of all partitions, the last row of each key."""
    rows = {record.key: record.value for record in read_all(settings.bootstrap, settings.kpi_topic)[0]}
    return {key: value for key, value in rows.items() if decode_record(value).partition is None}


def anomalies(settings: LiveSettings) -> dict[bytes, bytes]:
    """Verdicts and incidents, the last of each key."""
    return {record.key: record.value for record in read_all(settings.bootstrap, settings.anomalies_topic)[0]}


def metrics(worker: WorkerProcess) -> str:
    """The metrics page of a worker; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"{worker.url}/metrics", timeout=2) as page:
            return str(page.read().decode())
    except (OSError, http.client.HTTPException):
        return ""


def letters(settings: LiveSettings) -> dict[bytes, dict[str, Any]]:
    """Dead letters by their key."""
    records = read_all(settings.bootstrap, settings.dead_letter_topic)[0]
    return {record.key: json.loads(record.value) for record in records}


def replayed(settings: LiveSettings, partitions: int) -> tuple[dict[bytes, bytes], set[bytes]]:
    """Rows by key, and keys of dead letters, of the same topics through one engine a partition, all at once."""
    rows: dict[bytes, bytes] = {}
    rejected: set[bytes] = set()
    topics = {topic: read_all(settings.bootstrap, topic, range(partitions)) for topic in settings.source_topics}
    for partition in range(partitions):
        engine = Engine(settings.engine, partition)
        for topic, records in topics.items():
            engine.push(batch_of(topic, partition, records[partition]))
            engine.set_caught_up(topic, True)
        outcome = engine.drain()
        rows.update((cube_key(cube), encode_cube(cube)) for cube in outcome.cubes)
        rows.update((row_key(row), encode_row(row)) for row in outcome.rows)
        rejected.update(f"{one.topic}|{one.partition}|{one.offset}".encode() for one in outcome.rejects)
    return rows, rejected


def batch_of(topic: str, partition: int, records: list[Any]) -> Batch:
    """The engine's batch of aiokafka's records."""
    return Batch(
        topic,
        partition,
        [record.offset for record in records],
        [record.timestamp for record in records],
        [record.key for record in records],
        [record.value for record in records],
    )


def until_rows(
    settings: LiveSettings, expected: Mapping[bytes, bytes], worker: WorkerProcess, seconds: float = 60.0
) -> None:
    """Wait until the live rows are these; fails with the difference, or with the log of a worker that ended."""
    told: dict[bytes, bytes] = {}

    def same() -> bool:
        nonlocal told
        told = live_rows(settings)
        return told == expected or not worker.alive()

    until(same, seconds=seconds, pause=0.3)
    assert worker.alive(), worker.log
    if told != expected:
        missing = sorted(set(expected) - set(told))
        extra = sorted(set(told) - set(expected))
        differ = [key for key in expected if key in told and told[key] != expected[key]]
        shown = "".join(f"\n  {expected[key]!r}\n  {told[key]!r}" for key in differ[:2])
        raise AssertionError(
            f"{len(expected)} rows expected; missing {len(missing)} {missing[:3]}, extra {len(extra)} {extra[:3]}, "
            f"different {len(differ)}{shown}\n{worker.log}\n{metrics(worker)}"
        )
