"""Arrival order of two sources."""

import pytest

from streams.engine import Batch, Engine, EngineSpec
from streams.errors import InputError
from tests.support.stories import START_MS, story, to_lines


def push(engine: Engine, topic: str, text: str, first: int = 0) -> None:
    events = story(text)
    count = len(events)
    times = [event["event_time"] for event in events]
    keys = [event["session_id"].encode() for event in events]
    engine.push(Batch(topic, 0, range(first, first + count), times, keys, to_lines(events)))


def test_a_source_with_nothing_buffered_is_waited_for_until_it_is_caught_up() -> None:
    engine = Engine(EngineSpec(), 0)
    push(engine, "clickstream", "a: page+0s page+9s")
    assert engine.drain().records == 0
    engine.set_caught_up("orders", True)
    assert engine.drain().records == 2


def test_sources_take_turns_by_append_time() -> None:
    engine = Engine(EngineSpec(), 0)
    push(engine, "clickstream", "a: page+0s page+10s page+30s")
    push(engine, "orders", "a: order+5s order+20s")
    assert engine.drain().records == 4
    assert engine.next_offsets == {"clickstream": 2, "orders": 2}


def test_records_that_were_absorbed_or_buffered_are_skipped() -> None:
    engine = Engine(EngineSpec(), 0)
    engine.set_caught_up("orders", True)
    push(engine, "clickstream", "a: page+0s page+1s")
    push(engine, "clickstream", "a: page+0s page+1s page+2s")
    assert engine.drain().records == 3
    push(engine, "clickstream", "a: page+0s page+1s page+2s")
    assert engine.drain().records == 0


def test_the_record_key_is_the_session_key() -> None:
    engine = Engine(EngineSpec(), 0)
    lines = to_lines(story("s-1: page+0s | s-2: page+1s"))
    engine.push(Batch("clickstream", 0, [0, 1], [START_MS, START_MS + 1_000], [b"v", b"v"], lines))
    rows = engine.finish().rows
    assert sum(row.counters.get("sessions", 0) for row in rows if not row.segment) == 1


def test_a_foreign_topic_or_partition_is_refused() -> None:
    engine = Engine(EngineSpec(), 0)
    with pytest.raises(InputError, match="returns"):
        engine.push(Batch("returns", 0, [], [], [], []))
    with pytest.raises(InputError, match=r"batch\.partition = 3"):
        engine.push(Batch("orders", 3, [], [], [], []))
