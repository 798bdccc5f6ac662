"""What the transport leans on in Faust and aiokafka, and what it promises on top of them."""

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import TopicPartitionState
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.live.app import build_app
from streams.live.settings import LiveSettings
from streams.live.transport import BatchConsumer, BatchThread, Hooks, PromptConductor, _Fetched, _Unwrapped


async def nothing(*_: Any) -> None:
    """A handler and a hook that does nothing."""


def app_of(tmp_path: Path, positions: dict[TP, int]) -> faust.App:
    hooks = Hooks(lambda: positions, nothing, lambda: None, lambda given, generation: None)
    settings = LiveSettings(bootstrap="127.0.0.1:1")
    return build_app(settings, hooks, dict.fromkeys(settings.source_topics, nothing), lambda _: None, tmp_path)


def record(offset: int) -> Any:
    return SimpleNamespace(offset=offset, timestamp=1_000 + offset, timestamp_type=0)


def an_idle_client() -> Any:
    return SimpleNamespace(_fetcher=SimpleNamespace(_records=OrderedDict()))


def test_the_private_names_that_are_overridden_still_exist() -> None:
    for base, own in ((driver.Consumer, BatchConsumer), (driver.AIOKafkaConsumerThread, BatchThread)):
        added = {"commit_offsets", "standing", "hooks", "seeks", "go_back", "read_again"}
        overridden = {name for name in vars(own) if not name.startswith("__")} - added
        assert overridden
        assert not [name for name in overridden if not hasattr(base, name)]
    assert isinstance(Conductor._resubscribe_sleep_lock_seconds, float)
    assert issubclass(PromptConductor, Conductor)


def test_the_signatures_that_are_overridden_have_not_changed() -> None:
    def parameters(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert parameters(driver.Consumer._wait_next_records) == ["self", "timeout"]
    assert parameters(driver.Consumer.getmany) == ["self", "timeout"]
    assert parameters(driver.Consumer.perform_seek) == ["self"]
    assert parameters(driver.AIOKafkaConsumerThread._seek_wait) == ["self", "consumer", "partitions"]
    assert parameters(driver.AIOKafkaConsumerThread._create_worker_consumer) == ["self", "transport"]


def test_the_names_of_aiokafka_that_are_read_still_exist() -> None:
    async def made() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")

    consumer = asyncio.run(made())
    assert consumer._fetch_max_wait_ms
    assert consumer._isolation_level
    assert consumer._subscription.subscription is None
    state = inspect.getsource(TopicPartitionState.__init__)
    assert all(f"self.{name} = None" in state for name in ("highwater", "lso", "timestamp"))
    assert isinstance(TopicPartitionState.has_valid_position, property)
    assert "self._records = " in inspect.getsource(Fetcher.__init__)
    assert "del self._records[tp]" in inspect.getsource(Fetcher.fetched_records)


def test_records_are_handed_out_as_they_are_parsed_and_an_error_as_it_is() -> None:
    tp = TP("clickstream", 0)
    told = [(5, 1_000, b"s-1", b"{}"), (6, 1_001, None, b"{2}"), (7, 999, b"", None)]
    written = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 16)
    for offset, timestamp, key, value in told:
        written.append(offset, timestamp, key, value, [])
    position = SimpleNamespace(paused=False, position=5, consumed_to=lambda offset: None)
    assignment = SimpleNamespace(active=True, state_value=lambda _: position)
    records = PartitionRecords(tp, MemoryRecords(bytes(written.build())), [], 5, None, None, True, 1)
    fetched = _Unwrapped()
    fetched[tp] = FetchResult(tp, partition_records=records, assignment=assignment, backoff=0.1)
    fetched[TP("orders", 0)] = error = FetchError(error=KafkaError(), backoff=0.1)
    found = fetched[tp].getall()
    assert [(one.offset, one.timestamp, one.key, one.value) for one in found] == told
    assert fetched[TP("orders", 0)] is error
    assert "self._consumer_record(tp, record)" in inspect.getsource(PartitionRecords)


def test_a_flow_that_resumes_is_always_sought_first() -> None:
    """Faust calls ``perform_seek`` before ``resume_flow`` on both paths: what is dropped in between is read again."""
    from faust.tables.recovery import Recovery

    for path in (Recovery._resume_streams, Recovery.on_recovery_completed):
        source = inspect.getsource(path)
        assert 0 < source.index("perform_seek()") < source.index("consumer.resume_flow()")


def test_an_agent_acknowledges_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        app = app_of(tmp_path, {})
        assert not [agent.channel.acks for agent in app.agents.values() if agent.channel.acks]
        assert len(app.agents) == 2

    asyncio.run(check())


def drained(consumer: BatchConsumer) -> list[tuple[TP, int, int]]:
    async def drain() -> list[tuple[TP, int, int]]:
        stream: AsyncIterator[tuple[TP, Any]] = consumer.getmany(1.0)
        return [(tp, message.offset, len(message.value)) async for tp, message in stream]

    return asyncio.get_event_loop().run_until_complete(drain())


@pytest.fixture
def consumer(tmp_path: Path) -> Any:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    async def made() -> Any:
        return app_of(tmp_path, {TP("clickstream", 0): 42}).consumer

    yield loop.run_until_complete(made())
    asyncio.set_event_loop(None)
    loop.close()


def fetched(consumer: Any, seeks: int, **records: list[Any]) -> None:
    """Let the next fetch bring these records, taken after so many seeks."""
    told = _Fetched({TP("clickstream", int(name[1:])): batch for name, batch in records.items()})
    told.seeks = seeks

    async def next_records(_: float) -> tuple[Any, Any]:
        return told, None

    consumer._wait_next_records = next_records
    consumer.flow_active = True


def test_a_fetch_is_one_message_a_partition_at_its_last_offset(consumer: Any) -> None:
    fetched(consumer, 0, p0=[record(5), record(6), record(9)], p1=[], p2=[record(1)])
    assert drained(consumer) == [(TP("clickstream", 0), 9, 3), (TP("clickstream", 2), 1, 1)]


def test_what_was_fetched_before_a_seek_is_not_delivered_after_it(consumer: Any) -> None:
    fetched(consumer, 0, p0=[record(5)])
    consumer._thread.seeks = 1
    assert drained(consumer) == []


def test_what_comes_while_the_flow_is_stopped_is_not_delivered(consumer: Any) -> None:
    fetched(consumer, 0, p0=[record(5)])
    consumer.flow_active = False
    assert drained(consumer) == []


def test_a_fetch_that_outlives_the_flow_puts_its_records_back(consumer: Any) -> None:
    sought: dict[TP, int] = {}

    async def records(*_: Any, **__: Any) -> dict[TP, list[Any]]:
        return {TP("clickstream", 0): [record(7), record(8)], TP("orders", 0): []}

    thread = consumer._thread
    thread.seek = sought.__setitem__
    consumer.flow_active = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", records)
        result = asyncio.get_event_loop().run_until_complete(thread._fetch_records(an_idle_client(), None))
    assert not result
    assert sought == {TP("clickstream", 0): 7}


def test_each_fetch_tells_where_the_one_before_it_ended(consumer: Any) -> None:
    log = iter(([record(7), record(8)], [record(12)], [record(40)]))

    async def records(*_: Any, **__: Any) -> dict[TP, list[Any]]:
        return {TP("clickstream", 0): next(log), TP("orders", 0): []}

    async def check() -> None:
        thread = consumer._thread
        consumer.flow_active = True
        thread._ensure_consumer = lambda: SimpleNamespace(seek=lambda tp, offset: None)
        thread.taken = {TP("clickstream", 0): 6}
        after = [(await thread._fetch_records(an_idle_client(), None))[TP("clickstream", 0)].after for _ in range(2)]
        await thread.go_back(TP("clickstream", 0), 9)
        after.append((await thread._fetch_records(an_idle_client(), None))[TP("clickstream", 0)].after)
        assert after == [6, 9, 9]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", records)
        asyncio.get_event_loop().run_until_complete(check())


def test_what_is_read_again_is_not_passed_over_by_faust(consumer: Any) -> None:
    consumer._read_offset[TP("clickstream", 0)] = 40
    assert consumer._read_offset[TP("clickstream", 0)] is None
    assert "offset >= r_offset" in inspect.getsource(driver.Consumer._drain_messages)


def test_positions_come_from_the_state_and_a_partition_without_state_is_refused(consumer: Any) -> None:
    sought: list[dict[TP, int]] = []

    async def seek_wait(positions: dict[TP, int]) -> None:
        sought.append(positions)

    consumer.seek_wait = seek_wait
    consumer.assignment = lambda: {TP("clickstream", 0)}
    run = asyncio.get_event_loop().run_until_complete
    run(consumer.perform_seek())
    assert sought == [{TP("clickstream", 0): 42}]
    consumer.assignment = lambda: {TP("clickstream", 0), TP("clickstream", 3)}
    with pytest.raises(IllegalStateError, match="clickstream"):
        run(consumer.perform_seek())
