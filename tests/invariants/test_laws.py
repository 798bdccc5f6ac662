"""Laws that need no second implementation: pieces, restarts, copies and order of merging change nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.engine.cube import MONEY, ORDER_COUNTERS, SESSION_COUNTERS, encode_cube
from streams.engine.engine import Engine
from streams.engine.rows import WHOLE, Row, encode_row, row_key
from streams.engine.spec import EngineSpec
from streams.merge import combine
from tests.invariants.driving import Driver, cells_of, restart, run
from tests.support.reference import SourceRecord
from tests.support.strategies import Scenario, scenarios

lawful = settings(
    max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
seeds = st.integers(0, 2**32)


def final_rows(rows: Iterable[Row]) -> list[bytes]:
    """One merged row a cell, as bytes: what a replay writes."""
    cells: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        cells.setdefault((row.horizon_ms, row.start_ms, row.segment), []).append(row)
    return sorted(encode_row(combine(found)) for found in cells.values())


def in_cube(counter: str) -> bool:
    return counter in SESSION_COUNTERS or counter in ORDER_COUNTERS or counter.startswith(MONEY)


def whole(rows: Iterable[Row]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in rows:
        if row.segment == WHOLE:
            total.update(row.counters)
    return total


@lawful
@given(scenarios(), seeds, seeds)
def test_any_batching_gives_the_same_rows_in_the_same_order(scenario: Scenario, one: int, other: int) -> None:
    runs = [run(scenario, cut) for cut in (None, Random(one), Random(other))]
    told = [[encode_row(row) for row in each.rows] for each in runs]
    assert told[0] == told[1] == told[2]
    cubes = [[encode_cube(cube) for cube in each.cubes] for each in runs]
    assert cubes[0] == cubes[1] == cubes[2]


@lawful
@given(scenarios(), seeds)
def test_a_cube_of_any_size_adds_up_to_the_row_of_the_whole(scenario: Scenario, seed: int) -> None:
    scenario = replace(scenario, spec=replace(scenario.spec, cube_leaves=Random(seed).choice([1, 2, 3, 200])))
    told = run(scenario)
    rows = {row.end_ms: row.counters for row in told.rows if row.kind == "window" and row.segment == WHOLE}
    assert {cube.end_ms for cube in told.cubes} == {
        end_ms for end_ms, counters in rows.items() if any(map(in_cube, counters))
    }
    for cube in told.cubes:
        total: dict[str, int] = {}
        for side in (cube.sessions, cube.orders):
            assert len(set(side.leaves())) == len(side.leaves()) <= scenario.spec.cube_leaves
            total |= {name: sum(column) for name, column in side.counters.items()}
        assert total == {name: count for name, count in rows[cube.end_ms].items() if in_cube(name)}


@lawful
@given(scenarios(), seeds)
def test_any_batching_rejects_the_same_records_for_the_same_reasons(scenario: Scenario, cut: int) -> None:
    assert run(scenario).rejects == run(scenario, Random(cut)).rejects


@lawful
@given(scenarios(), seeds)
def test_a_snapshot_anywhere_and_the_rest_is_as_if_never_stopped(scenario: Scenario, cut: int) -> None:
    rng = Random(cut)
    driver = Driver(scenario, rng)
    for _ in driver.pieces():
        if rng.random() < 0.2:
            restart(driver)
    told = driver.finish()
    straight = run(scenario)
    assert [encode_row(row) for row in told.rows] == [encode_row(row) for row in straight.rows]
    assert [encode_cube(cube) for cube in told.cubes] == [encode_cube(cube) for cube in straight.cubes]
    assert told.rejects == straight.rejects


@lawful
@given(scenarios(), seeds)
def test_the_snapshot_of_a_restored_engine_is_the_snapshot(scenario: Scenario, cut: int) -> None:
    driver = Driver(scenario, Random(cut))
    for _ in driver.pieces():
        pass
    saved = driver.engine.snapshot()
    assert Engine.restore(driver.spec, driver.engine.partition, saved).snapshot() == saved


@lawful
@given(scenarios(), seeds)
def test_records_in_are_counted_held_or_rejected(scenario: Scenario, cut: int) -> None:
    driver = Driver(scenario, Random(cut))
    for _ in driver.pieces():
        counts = driver.engine.counts
        rejected = sum(count for name, count in counts.items() if name.startswith("rejected."))
        settled = rejected + sum(counts.get(name, 0) for name in ("counted", "held", "duplicates", "ad_reports"))
        assert counts["records"] == settled == driver.told.records
    told = driver.finish()
    counts = driver.engine.counts
    assert counts["held"] == 0
    assert told.records == sum(len(log) for log in scenario.logs)
    assert Counter(reject.reason for reject in told.rejects) == {
        name.removeprefix("rejected."): count for name, count in counts.items() if name.startswith("rejected.")
    }


@lawful
@given(scenarios(), seeds)
def test_the_watermark_and_stream_time_never_go_back(scenario: Scenario, cut: int) -> None:
    driver = Driver(scenario, Random(cut))
    before = (-1, -1)
    for _ in driver.pieces():
        if driver.engine.stream_ms is None or driver.engine.watermark_ms is None:
            continue
        now = (driver.engine.stream_ms, driver.engine.watermark_ms)
        assert now >= before
        assert now[1] >= before[1]
        before = now


@lawful
@given(scenarios(), seeds)
def test_a_window_is_told_when_the_watermark_is_past_its_grace_and_not_before(scenario: Scenario, cut: int) -> None:
    spec, driver = scenario.spec, Driver(scenario, Random(cut))
    for _ in driver.pieces():
        driver.told.hear(driver.engine.drain())
        watermark = driver.engine.watermark_ms
        ends = [row.end_ms for row in driver.told.rows if row.kind == "window" and row.segment == WHOLE]
        assert ends == sorted(set(ends))
        if watermark is None or not ends:
            continue
        assert ends[-1] + spec.grace_ms <= watermark < ends[-1] + spec.window_ms + spec.grace_ms


@lawful
@given(scenarios(), seeds)
def test_the_whole_is_the_last_row_of_its_window_and_no_key_comes_twice(scenario: Scenario, cut: int) -> None:
    rows = run(scenario, Random(cut)).rows
    keys = [row_key(row) for row in rows]
    assert len(set(keys)) == len(keys)
    complete: set[tuple[int | None, int]] = set()
    corrections: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        place = (row.horizon_ms, row.start_ms)
        assert row.end_ms == row.start_ms + scenario.spec.window_ms
        if row.kind == "correction":
            corrections[*place, row.segment] += 1
            assert row.correction == corrections[*place, row.segment]
            continue
        assert place not in complete
        if row.segment == WHOLE:
            complete.add(place)
    assert {(row.horizon_ms, row.start_ms) for row in rows if row.kind != "correction"} == complete


@lawful
@given(scenarios(EngineSpec()), seeds)
def test_what_is_delivered_twice_counts_once(scenario: Scenario, seed: int) -> None:
    rng = Random(seed)
    once, twice = run(scenario), run(replace(scenario, logs=tuple(_doubled(log, rng) for log in scenario.logs)))
    known = ("duplicates", "late", "behind_watermark", "clamped")
    ignored = (*known, "rejected.", "field_defects.")
    assert _without(once.rows, ignored) == _without(twice.rows, ignored)


def _doubled(log: tuple[SourceRecord, ...], rng: Random) -> tuple[SourceRecord, ...]:
    """Each record again right behind itself, as a producer's retry leaves it."""
    doubled = [copy for record in log for copy in (record, record)]
    return tuple(record._replace(offset=n) for n, record in enumerate(doubled))


def _without(rows: Iterable[Row], ignored: tuple[str, ...]) -> dict[object, dict[str, int]]:
    cells = {
        cell: {name: count for name, count in counters.items() if not name.startswith(ignored)}
        for cell, (counters, _) in cells_of(rows).items()
    }
    return {cell: counters for cell, counters in cells.items() if counters}


@lawful
@given(scenarios())
def test_each_cart_settles_once(scenario: Scenario) -> None:
    total = whole(run(scenario).rows)
    settled = total["carts_converted"] + total["carts_abandoned"] + total["carts_emptied"]
    assert total["carts_opened"] == settled
    assert total["carts_converted"] == total["carts_recovered"] + total["carts_kept"]
    assert total["carts_resumed"] <= total["carts_idle"] <= total["carts_opened"]


@lawful
@given(scenarios())
def test_each_session_ends_once_and_its_cohort_is_a_funnel_base(scenario: Scenario) -> None:
    rows = run(scenario).rows
    total = whole(row for row in rows if row.horizon_ms is None)
    assert total["sessions"] == total["sessions_ended"]
    cohorts = whole(row for row in rows if row.horizon_ms is not None)
    for name, count in cohorts.items():
        assert count <= cohorts[f"cohort.sessions@{name.partition('@')[2]}"]


@lawful
@given(scenarios())
def test_the_values_of_a_session_dimension_add_up_to_the_whole(scenario: Scenario) -> None:
    sums: dict[tuple[str, int], Counter[str]] = {}
    cells = cells_of(run(scenario).rows)
    for (kind, horizon, start, segment), (counters, _) in cells.items():
        if len(segment) == 1 and segment[0][0] in scenario.spec.session_dimensions:
            sums.setdefault((segment[0][0] + kind + str(horizon), start), Counter()).update(counters)
    only_whole = ("duplicates", "late", "behind_watermark", "clamped", "rejected.", "field_defects.")
    for (name, start), total in sums.items():
        kind = "cohort" if "cohort" in name else "window"
        horizon = int(name.partition(kind)[2])
        expected = cells[kind, horizon, start, WHOLE][0]
        assert total == {n: c for n, c in expected.items() if not n.startswith(only_whole)}


@settings(lawful, max_examples=15)
@given(scenarios(), scenarios(), seeds)
def test_partitions_merge_to_the_same_bytes_in_any_order(one: Scenario, other: Scenario, seed: int) -> None:
    other = replace(other, spec=one.spec)
    rows = run(one).rows + [row._replace(partition=1) for row in run(other).rows]
    shuffled = Random(seed).sample(rows, len(rows))
    assert final_rows(rows) == final_rows(shuffled)
