"""A worker as the judge, of whose records none may get lost, and a worker whose recovery is disturbed."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError, KafkaConnectionError, KafkaError, NotLeaderForPartitionError

from detectors.seasonal import Note
from streams.broker import free_port
from streams.calendar import Calendar
from streams.engine.rows import Row, decode_row, encode_row
from streams.errors import BrokerError
from streams.kafka import NO_BROKER, stop_client
from streams.live.settings import LiveSettings
from streams.live.transport import Fetch, Standing
from streams.live.watch import CLOCK_MARGIN_MS, Watch
from streams.live.worker import Worker
from streams.telemetry.view import View


def fetch(*offsets: int, after: int) -> Fetch:
    """Rows of one partition's windows at these offsets."""
    fetched = Fetch()
    for offset in offsets:
        value = encode_row(Row("window", offset * 60_000, (offset + 1) * 60_000, (), 0, {"sessions": 1}, "f"))
        fetched.append(SimpleNamespace(offset=offset, timestamp=offset, key=b"", value=value))
    fetched.after = after
    return fetched


class Case:
    """A worker that is the judge, and what it asks of its consumer."""

    def __init__(self, folder: Path, start: int) -> None:
        self.sent_back: list[Any] = []
        self.worker = Worker(LiveSettings(), View(), folder)
        consumer = SimpleNamespace(read_again=lambda *told: self.sent_back.append(told))
        self.worker._app = SimpleNamespace(consumer=consumer)  # type: ignore[assignment]
        self.worker.watch.open(start, 2)

    def take(self, fetched: Fetch) -> None:
        asyncio.run(self.worker._on_kpi("funnelwatch.kpi", 0, fetched))


def test_a_fetch_behind_one_that_got_lost_is_not_taken_and_all_is_read_again(tmp_path: Path) -> None:
    case = Case(tmp_path, 3)
    case.take(fetch(3, 4, after=3))
    case.take(fetch(9, 10, after=9))
    case.take(fetch(11, after=11))
    assert case.worker.watch.position == 5
    assert case.sent_back == [(case.worker._kpi, 5)]
    assert case.worker.view.snapshot().totals["fetches_read_again"] == 1


def test_offsets_that_compaction_left_out_are_no_loss(tmp_path: Path) -> None:
    case = Case(tmp_path, 0)
    case.take(fetch(7, 9, after=0))
    case.take(fetch(30, after=10))
    assert (case.worker.watch.position, case.sent_back) == (31, [])


class Recovering(Worker):
    """A worker whose recoveries end as it is told."""

    def __init__(self, folder: Path, *ends: BaseException | None) -> None:
        super().__init__(LiveSettings(), View(), folder)
        self.ends = list(ends)
        self._app = SimpleNamespace(consumer_generation_id=1)  # type: ignore[assignment]

    async def _recover(self) -> None:
        if (end := self.ends.pop(0)) is not None:
            raise end


def away(cause: KafkaError) -> BrokerError:
    error = BrokerError(NO_BROKER)
    error.__cause__ = cause
    return error


def test_a_recovery_that_the_broker_or_its_client_interrupts_is_begun_again(tmp_path: Path) -> None:
    interrupted = [away(KafkaConnectionError()), asyncio.CancelledError(), away(NotLeaderForPartitionError()), None]
    worker = Recovering(tmp_path, *interrupted)
    asyncio.run(worker._on_assigned())
    assert (worker.ends, worker._failure) == ([], None)


def test_a_recovery_that_can_never_succeed_ends_the_worker(tmp_path: Path) -> None:
    worker = Recovering(tmp_path, BrokerError("no such topic"), None)
    with pytest.raises(IllegalStateError):
        asyncio.run(worker._on_assigned())
    assert str(worker._failure) == "no such topic"


def test_time_passes_for_the_judge_up_to_the_answer_before_the_last_and_no_further(tmp_path: Path) -> None:
    case = Case(tmp_path, 0)
    heard: list[int] = []
    for answered_ms in (700_000, 700_000, 705_000, 990_000):
        case.worker._let_judge_wait(Standing(0, 0, answered_ms))
        heard.append(case.worker.watch.heard_ms)
    # The last one may have been on its way since the one before it came.
    assert heard == [0, 0, 700_000 - CLOCK_MARGIN_MS, 705_000 - CLOCK_MARGIN_MS]


def test_a_judge_that_gets_its_topic_back_goes_on_where_it_was(tmp_path: Path) -> None:
    watch = Case(tmp_path, 0).worker.watch
    watch.take(fetch(0, 1, 2, after=0))
    watch.close()
    assert watch.left_at == 3
    watch.open(0, 2, end=9)
    assert watch.position == 3


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("removed behind it", {"start": 7, "end": 9}),
        ("recreated", {"end": 2}),
        ("of more partitions", {"partitions": 3, "end": 9}),
        ("told of a campaign since", {"calendar": Calendar([Note("campaign", 0, 60_000)]), "end": 9}),
    ],
)
def test_a_judge_begins_anew_where_its_topic_was(what: str, told: dict[str, Any], tmp_path: Path) -> None:
    watch = Case(tmp_path, 0).worker.watch
    watch.take(fetch(0, 1, 2, after=0))
    watch.close()
    watch.open(**{"start": 0, "partitions": 2} | told)
    assert watch.position == told.get("start", 0), what


def test_a_client_that_cannot_connect_ends_the_worker_with_the_brokers_code(tmp_path: Path) -> None:
    worker = Worker(LiveSettings(bootstrap=f"127.0.0.1:{free_port()}"), View(), tmp_path)

    async def start() -> None:
        raise KafkaConnectionError("Unable to bootstrap")

    asyncio.run(worker._guarded(start))
    assert isinstance(worker._failure, BrokerError)
    assert worker._failure.problem == NO_BROKER


class Cancelling:
    """A client whose stop ends as aiokafka's does where a fetch of its own waits for a broker."""

    async def stop(self) -> None:
        waiting = asyncio.ensure_future(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(waiting.cancel)
        await waiting


def test_a_cancellation_inside_a_client_is_not_that_of_who_stops_it() -> None:
    asyncio.run(stop_client(Cancelling()))


def test_who_is_cancelled_while_a_client_stops_is_cancelled() -> None:
    async def check() -> None:
        stopping = asyncio.ensure_future(stop_client(SimpleNamespace(stop=lambda: asyncio.sleep(60))))
        asyncio.get_running_loop().call_soon(stopping.cancel)
        with pytest.raises(asyncio.CancelledError):
            await stopping

    asyncio.run(check())


def publishing() -> tuple[Watch, dict[bytes, bytes]]:
    """A judge of one partition, and what it has published by key."""
    published: dict[bytes, bytes] = {}
    outbox: Any = SimpleNamespace(put=lambda owner, topic, key, value, partition: published.update({key: value}))
    watch = Watch(LiveSettings(), outbox, View(), now_ms=lambda: 0)
    watch.open(0, 1)
    return watch, published


def test_a_judge_that_loses_its_topic_while_it_reads_the_past_publishes_that_when_it_has_it_again() -> None:
    undisturbed, expected = publishing()
    undisturbed.take(fetch(0, 1, 2, after=0))
    undisturbed.tick(True)
    watch, published = publishing()
    watch.take(fetch(0, 1, after=0))
    assert watch.state() is None  # whoever went on from it would not publish what was found so far
    watch.close()
    watch.open(0, 1, end=3)
    assert watch.position == 2
    watch.take(fetch(2, after=2))
    assert published == {}
    watch.tick(True)
    assert published == expected
    assert watch.state() is not None


def test_a_judge_publishes_nothing_of_the_past_before_it_has_read_all_of_it() -> None:
    watch, published = publishing()
    late = Row("correction", 0, 60_000, (), 0, {"sessions": 2}, "f", correction=1)
    watch.take(fetch(0, after=0))
    watch.take([SimpleNamespace(offset=1, timestamp=1, key=b"", value=encode_row(late))])
    assert published == {}
    watch.tick(True)
    assert [decode_row(value).revision for key, value in published.items() if b"|{}|" in key] == [1]
