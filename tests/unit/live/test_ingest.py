"""How two sources of a partition are aligned: by what the broker answered, never by luck."""

from types import SimpleNamespace
from typing import Any

import orjson
from faust.types import TP

from streams.engine.engine import Engine
from streams.engine.spec import EngineSpec, SourceSpec
from streams.live.ingest import HIGH_RECORDS, Ingest, Lane
from streams.live.settings import LiveSettings
from streams.live.transport import Standing
from streams.telemetry.view import View

NOW_MS = 1_772_366_400_000
SPEC = EngineSpec(sources=(SourceSpec("clicks"), SourceSpec("orders")))


class Broker:
    """A reader whose answers the test sets."""

    def __init__(self) -> None:
        self.answers: dict[str, Standing] = {}
        self.paused: set[TP] = set()
        self.sent_back: list[tuple[TP, int]] = []

    def read_again(self, tp: TP, offset: int) -> None:
        self.sent_back.append((tp, offset))

    def standing(self, tp: TP) -> Standing | None:
        return self.answers.get(tp.topic)

    def pause_partitions(self, tps: Any) -> None:
        self.paused |= set(tps)

    def resume_partitions(self, tps: Any) -> None:
        self.paused -= set(tps)


class Shelf:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.put_there: list[tuple[Any, ...]] = []

    def put(self, *letter: Any) -> None:
        self.put_there.append(letter)


class Case:
    """One partition with two sources, a broker, and clocks that stand where they are put."""

    def __init__(self, spec: EngineSpec = SPEC) -> None:
        self.broker, self.shelf, self.view = Broker(), Shelf(), View()
        self.seconds = 0.0
        self.engine = Engine(spec, 0)
        self.ingest = Ingest(
            LiveSettings(engine=spec),
            self.shelf,  # type: ignore[arg-type]
            self.view,
            now_ms=lambda: NOW_MS + 10_000 + int(self.seconds * 1_000),
            monotonic=lambda: self.seconds,
        )
        self.ingest.reader = self.broker
        self.ingest.open({0: Lane.of(self.engine, {"clicks": 0, "orders": 0})}, 4)

    def answer(self, topic: str, position: int, end: int, at_ms: int) -> None:
        self.broker.answers[topic] = Standing(position, end, NOW_MS + at_ms)

    def take(self, topic: str, *offsets: int, value: bytes | None = None, after: int | None = None) -> None:
        self.ingest.take(topic, 0, [record(offset, value) for offset in offsets], after)

    @property
    def absorbed(self) -> dict[str, int]:
        return self.engine.next_offsets


def record(offset: int, value: bytes | None = None, key: bytes = b"s-1") -> Any:
    moment = NOW_MS + offset
    event = {"event_type": "page_view", "event_time": moment, "session_id": "s-1", "event_id": f"e-{offset}"}
    return SimpleNamespace(offset=offset, timestamp=moment, key=key, value=value or orjson.dumps(event))


def test_records_wait_for_a_source_that_has_not_answered() -> None:
    case = Case()
    case.answer("clicks", 2, 2, 100)
    case.take("clicks", 0, 1)
    assert case.absorbed == {}


def test_an_answer_of_the_same_moment_does_not_pass_records_and_a_later_one_does() -> None:
    case = Case()
    case.answer("clicks", 2, 2, 100)
    case.answer("orders", 0, 0, 100)
    case.take("clicks", 0, 1)
    assert case.absorbed == {}
    case.answer("orders", 0, 0, 101)
    case.ingest.tick()
    assert case.absorbed == {"clicks": 2}


def test_records_wait_for_a_source_that_is_behind_until_its_records_come() -> None:
    case = Case()
    case.answer("clicks", 2, 2, 100)
    case.answer("orders", 0, 3, 200)
    case.take("clicks", 0, 1)
    case.ingest.tick()
    assert case.absorbed == {}
    case.answer("orders", 3, 3, 300)
    case.answer("clicks", 2, 2, 301)
    case.take("orders", 0, 1, 2)
    case.ingest.tick()
    case.answer("orders", 3, 3, 302)
    case.ingest.tick()
    assert case.absorbed == {"clicks": 2, "orders": 3}


def test_what_waits_in_the_engine_is_no_answer_about_what_comes_behind_it() -> None:
    case = Case()
    case.answer("orders", 11, 11, 100)
    case.take("orders", 10)
    case.answer("clicks", 0, 20, 150)
    case.ingest.tick()
    assert case.absorbed == {}
    # Since the last answer on orders, one may have come that is older than the last of these clicks.
    case.answer("clicks", 20, 20, 300)
    case.take("clicks", 9, 19)
    assert case.absorbed == {"clicks": 10, "orders": 11}
    case.answer("orders", 13, 13, 301)
    case.take("orders", 12)
    case.answer("clicks", 20, 20, 302)
    case.answer("orders", 13, 13, 303)
    case.ingest.tick()
    assert case.absorbed == {"clicks": 20, "orders": 13}


def test_an_end_without_a_record_is_reached_once_the_call_that_may_have_taken_one_is_over() -> None:
    case = Case()
    case.answer("clicks", 1, 1, 100)
    case.broker.answers["orders"] = Standing(5, 5, NOW_MS + 200, rounds=7)  # five markers of transactions, no record
    case.take("clicks", 0)
    for case.seconds in (0.4, 60.0):  # however long: a process may be stopped between two threads
        case.ingest.tick()
        assert case.absorbed == {}
    case.broker.answers["orders"] = Standing(5, 5, NOW_MS + 200, rounds=8)
    case.ingest.tick()
    assert case.absorbed == {"clicks": 1}


def test_a_record_on_its_way_is_waited_for_each_time_anew() -> None:
    case = Case()
    case.answer("clicks", 1, 1, 100)
    case.broker.answers["orders"] = Standing(1, 1, NOW_MS + 200, rounds=3)  # taken by the client, not yet here
    case.take("clicks", 0)
    assert case.absorbed == {}
    case.take("orders", 0)
    case.answer("clicks", 1, 1, 300)
    case.ingest.tick()
    assert case.absorbed == {"clicks": 1, "orders": 1}
    case.seconds = 30.0
    case.answer("clicks", 2, 2, 400)
    case.broker.answers["orders"] = Standing(2, 2, NOW_MS + 500, handed=1, rounds=90)  # as before
    case.take("clicks", 1)
    case.ingest.tick()
    assert case.absorbed == {"clicks": 1, "orders": 1}


def test_the_same_end_after_a_seek_is_another_one() -> None:
    case = Case()
    case.answer("clicks", 1, 1, 100)
    case.broker.answers["orders"] = Standing(5, 5, NOW_MS + 200, rounds=3)
    case.take("clicks", 0)
    case.broker.answers["orders"] = Standing(5, 5, NOW_MS + 200, rounds=9, seeks=1)
    case.ingest.tick()
    assert case.absorbed == {}


def test_a_fetch_that_got_lost_is_read_again_and_what_came_behind_it_is_dropped() -> None:
    case = Case()
    case.answer("orders", 0, 0, 200)
    case.answer("clicks", 6, 6, 100)
    case.take("clicks", 0, 1, after=0)
    case.take("clicks", 4, 5, after=4)  # 2 and 3 were fetched, and did not come
    case.take("clicks", 6, after=6)
    assert case.broker.sent_back == [(TP("clicks", 0), 2)]
    assert case.absorbed == {"clicks": 2}
    case.take("clicks", 3, 4, 5, 6, after=2)  # 2 is a marker: the log has nothing there
    assert case.absorbed == {"clicks": 7}
    assert case.broker.sent_back == [(TP("clicks", 0), 2)]


def test_a_source_that_goes_on_elsewhere_is_sent_back_again_after_a_while() -> None:
    case = Case()
    for case.seconds in (10.0, 11.0, 16.0):
        case.take("clicks", 4, 5, after=4)
    assert case.broker.sent_back == [(TP("clicks", 0), 0)] * 2


def test_records_on_their_way_from_the_consumer_to_the_agent_are_waited_for_however_long() -> None:
    case = Case()
    case.answer("clicks", 1, 1, 100)
    case.broker.answers["orders"] = Standing(2, 2, NOW_MS + 200, handed=2)
    case.take("clicks", 0)
    for case.seconds in (0.4, 0.6, 5.0):
        case.ingest.tick()
    assert case.absorbed == {}
    case.take("orders", 0, 1)
    case.answer("clicks", 1, 1, 201)
    case.ingest.tick()
    assert case.absorbed == {"clicks": 1, "orders": 2}


def test_a_clock_that_was_set_back_does_not_hold_records() -> None:
    case = Case()
    case.answer("clicks", 1, 1, 999_999)
    case.answer("orders", 0, 0, 100)
    case.take("clicks", 0)
    case.ingest.tick()
    assert case.absorbed == {"clicks": 1}


def test_a_source_that_runs_ahead_is_paused_and_resumed() -> None:
    case = Case()
    case.answer("clicks", HIGH_RECORDS + 1, HIGH_RECORDS + 1, 100)
    case.answer("orders", 0, 1, 100)
    case.take("clicks", *range(HIGH_RECORDS))
    assert not case.broker.paused
    case.take("clicks", HIGH_RECORDS)
    assert case.broker.paused == {TP("clicks", 0)}
    case.answer("orders", 1, 1, 200)
    case.take("orders", 0)
    case.answer("orders", 1, 1, 201)
    case.ingest.tick()
    assert not case.broker.paused


def test_append_times_ahead_of_the_clock_are_bounded_by_it() -> None:
    case = Case(EngineSpec(sources=(SourceSpec("clicks"),)))
    ahead = record(0)
    ahead.timestamp = NOW_MS + 3_600_000
    ahead.value = orjson.dumps({"event_type": "page_view", "event_time": NOW_MS + 20_000, "session_id": "s"})
    case.broker.answers = {"clicks": Standing(1, 1, NOW_MS)}
    case.ingest.open({0: Lane.of(case.engine, {"clicks": 0})}, 4)
    case.ingest.take("clicks", 0, [ahead])
    assert case.engine.counts["clamped"] == 1
    assert case.engine.stream_ms == NOW_MS + 10_000


def test_stream_time_follows_the_clock_only_when_all_is_caught_up_and_quiet() -> None:
    case = Case()
    case.answer("clicks", 1, 1, 100)
    case.answer("orders", 0, 0, 200)
    case.take("clicks", 0)
    assert case.absorbed == {"clicks": 1}
    case.seconds = 29.9
    case.ingest.tick()
    assert case.engine.stream_ms == NOW_MS
    case.answer("orders", 0, 1, 300)
    case.seconds = 30.0
    case.ingest.tick()
    assert case.engine.stream_ms == NOW_MS
    case.answer("orders", 1, 1, 400)
    case.take("orders", 0)
    case.answer("clicks", 1, 1, 401)
    case.seconds = 60.0
    case.ingest.tick()
    assert case.engine.stream_ms == NOW_MS + 10_000 + 60_000 - 30_000


def test_rejects_go_to_the_dead_letters_with_their_coordinates_and_never_stall() -> None:
    case = Case()
    case.answer("clicks", 3, 3, 100)
    case.answer("orders", 0, 0, 200)
    case.take("clicks", 0)
    case.take("clicks", 1, value=b"{{{")
    case.take("clicks", 2)
    assert case.absorbed == {"clicks": 3}
    letters = [letter for letter in case.shelf.put_there if letter[1] == "funnelwatch.dead-letter"]
    assert [letter[2] for letter in letters] == [b"clicks|0|1"]
    assert case.view.snapshot().totals["dead_letters"] == 1


def test_records_of_a_partition_that_is_not_owned_are_passed_over() -> None:
    case = Case()
    case.ingest.close()
    case.take("clicks", 0)
    assert case.absorbed == {}


def test_keys_of_another_partition_are_counted() -> None:
    case = Case()
    case.answer("clicks", 8, 8, 100)
    case.ingest.take("clicks", 0, [record(offset, key=f"k-{offset}".encode()) for offset in range(8)])
    assert 0 < case.view.snapshot().totals["miskeyed"] <= 8
