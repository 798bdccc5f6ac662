"""Snapshots: go on as if never stopped, and refuse what does not fit."""

import pytest

from streams.engine import Engine, Row
from streams.errors import ConfigError, StateError
from tests.support.stories import story, to_lines
from tests.unit.engine.telling import FILE, batch, file_spec

STORY = " | ".join(
    f"s{n}: page+{n}s[channel=c{n % 3},device=d{n % 2}] view+{n + 20}s cart+{n + 30}s "
    f"attempt+{n + 50}s[order_id=o{n},payment_method=m{n % 2}] "
    f"paid+{n + 60 * (n % 4)}s[order_id=o{n},amount={n}.5,currency=EUR]"
    for n in range(40)
)
LINES = [*to_lines(story(STORY)), b"broken", *to_lines(story("s3: cart+40s[event_id=late-1] | t: page+2h"))]


def run(cut: int | None) -> list[Row]:
    spec = file_spec(cohort_horizons_ms=(900_000, 60_000))
    engine = Engine(spec, 0)
    rows: list[Row] = []
    if cut is not None:
        engine.push(batch(LINES[:cut]))
        rows += engine.drain().rows
        data = engine.snapshot()
        counts = engine.counts
        assert data == engine.snapshot()
        engine = Engine.restore(spec, 0, data)
        assert engine.snapshot() == data
        assert engine.counts == counts
        first = engine.resume_offsets.get(FILE, 0)
        engine.push(batch(LINES[first : cut + 7], first))
        rows += engine.drain().rows
        assert engine.next_offsets == {FILE: cut + 7}
        engine.push(batch(LINES[cut + 7 :], cut + 7))
    else:
        engine.push(batch(LINES))
    return rows + engine.finish().rows


@pytest.mark.parametrize("cut", [0, 1, 33, 120, len(LINES) - 8])
def test_a_restored_engine_goes_on_as_if_never_stopped(cut: int) -> None:
    assert run(cut) == run(None)


def test_waiting_records_are_stored_as_offsets() -> None:
    engine = Engine(file_spec(), 0)
    engine.push(batch(to_lines(story("a: page+0s[secret=hush-hush] page+9s"))))
    engine.drain()
    assert engine.resume_offsets == {FILE: 1}
    assert engine.counts["held"] == 1


def test_a_restored_engine_waits_for_the_records_that_it_had_in_hand() -> None:
    engine = Engine(file_spec(), 0)
    engine.push(batch(LINES[:50]))
    engine.drain()
    again = Engine.restore(file_spec(), 0, engine.snapshot())
    first = again.resume_offsets[FILE]
    again.push(batch(LINES[first : first + 1], first))
    assert again.drain().records == 0
    again.push(batch(LINES[first + 1 : 60], first + 1))
    assert again.drain().records == 10


def test_records_that_the_log_lost_meanwhile_are_counted_and_not_waited_for() -> None:
    engine = Engine(file_spec(), 0)
    engine.push(batch(LINES[:50]))
    engine.drain()
    again = Engine.restore(file_spec(), 0, engine.snapshot())
    held = again.counts["held"]
    again.push(batch(LINES[50:60], 50))
    assert again.drain().records == 10
    assert again.counts["lost"] == held


def test_a_snapshot_of_another_specification_partition_or_salt_is_refused() -> None:
    data = Engine(file_spec(salt="one"), 0).snapshot()
    for spec, partition, word in (
        (file_spec(salt="one", grace_ms=1), 0, "fingerprint"),
        (file_spec(salt="one"), 1, "partition"),
        (file_spec(salt="two"), 0, "salt"),
    ):
        with pytest.raises(StateError, match=word):
            Engine.restore(spec, partition, data)


@pytest.mark.parametrize("data", [b"", b"funnelwatch-snapshot-9\nxyz", b"funnelwatch-snapshot-2\nxyz"])
def test_a_damaged_or_foreign_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(StateError):
        Engine.restore(file_spec(), 0, data)


def test_a_log_that_begins_behind_the_resume_offset_need_not_be_waited_for() -> None:
    engine = Engine(file_spec(), 0)
    engine.push(batch(LINES[:50]))
    engine.drain()
    again = Engine.restore(file_spec(), 0, engine.snapshot())
    held = again.counts["held"]
    assert again.drain().records == 0
    again.forget_missing(FILE)
    again.drain()
    assert (again.counts["lost"], again.counts["held"]) == (held, 0)


def test_sums_beyond_64_bits_can_be_stored() -> None:
    refunds = " ".join(f"refund+{ms}ms[amount=9e12,currency=CLF]" for ms in range(300))
    engine = Engine(file_spec(), 0)
    engine.push(batch(to_lines(story(f"a: {refunds} page+9s"))))
    engine.drain()
    again = Engine.restore(file_spec(), 0, engine.snapshot())
    assert again.counts["counted"] == 300


def test_more_horizons_than_a_session_can_keep_are_refused() -> None:
    for horizons in (tuple(range(60_000, 720_000, 60_000)), (60_000, 60_000)):
        with pytest.raises(ConfigError, match="cohort_horizons"):
            Engine(file_spec(cohort_horizons_ms=horizons), 0)
