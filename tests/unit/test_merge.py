"""The merge: waits for all partitions, publishes once, publishes again when more comes."""

from __future__ import annotations

import itertools

import datasketches
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine.cube import Cube, Side
from streams.engine.rows import WHOLE, Row, Segment
from streams.engine.spec import EngineSpec
from streams.merge import MergedWindow, Merger, combine, keep_ms

MINUTE = 60_000
IOS: Segment = (("device", "ios"),)
HORIZON = 15 * MINUTE


def row(n: int, partition: int, sessions: int, segment: Segment = WHOLE, **more: object) -> Row:
    fields: dict[str, object] = {"kind": "window", "spec": "f", **more}
    return Row(
        start_ms=n * MINUTE,
        end_ms=(n + 1) * MINUTE,
        segment=segment,
        partition=partition,
        counters={"sessions": sessions},
        **fields,  # type: ignore[arg-type]
    )


def correction(n: int, partition: int, sessions: int, number: int = 1, segment: Segment = WHOLE) -> Row:
    return row(n, partition, sessions, segment, kind="correction", correction=number)


def cohort(n: int, partition: int, sessions: int) -> Row:
    return row(n, partition, sessions, kind="cohort", horizon_ms=HORIZON)


def sketch(*visitors: str) -> bytes:
    built = datasketches.hll_sketch(12, datasketches.tgt_hll_type.HLL_8)
    for visitor in visitors:
        built.update(visitor)
    return bytes(built.serialize_compact())


def told(windows: list[MergedWindow]) -> list[tuple[int, int, int, bool, tuple[int, ...]]]:
    """Number of the window, sessions of the whole, revision, judged, missing."""
    return [
        (w.start_ms // MINUTE, w.rows[WHOLE].counters.get("sessions", 0), w.revision, w.judge, w.missing)
        for w in windows
    ]


def test_a_window_is_published_when_the_last_partition_has_told_it() -> None:
    merger = Merger([0, 1])
    merger.push(row(0, 0, 2), 1_000)
    assert merger.ready(1_001) == []
    merger.push(row(0, 1, 3), 1_002)
    assert told(merger.ready(1_002)) == [(0, 5, 0, True, ())]
    assert merger.ready(99_000) == []


def test_the_row_of_the_whole_completes_a_partition_and_segments_before_it_do_not() -> None:
    merger = Merger([0])
    merger.push(row(0, 0, 1, IOS), 1_000)
    assert merger.ready(1_000) == []
    merger.push(row(0, 0, 2), 1_001)
    (window,) = merger.ready(1_001)
    assert {segment: each.counters for segment, each in window.rows.items()} == {
        WHOLE: {"sessions": 2},
        IOS: {"sessions": 1},
    }
    assert all(each.partition is None for each in window.rows.values())


@pytest.mark.parametrize(("now_ms", "published"), [(10_999, 0), (11_000, 1)])
def test_a_window_waits_for_ten_seconds_and_not_longer(now_ms: int, published: int) -> None:
    merger = Merger([0, 1])
    merger.push(row(0, 0, 2), 1_000)
    assert len(merger.ready(now_ms)) == published


def test_a_window_published_without_a_partition_says_so_in_each_row_and_comes_again_unjudged() -> None:
    merger = Merger([0, 1, 2])
    merger.push(row(0, 0, 1, IOS), 0)
    merger.push(row(0, 0, 2), 0)
    (window,) = merger.ready(10_000)
    assert (window.missing, window.judge) == ((1, 2), True)
    assert {each.missing_partitions for each in window.rows.values()} == {(1, 2)}
    merger.push(row(0, 1, 3), 11_000)
    assert told(merger.ready(11_000)) == [(0, 5, 1, False, (2,))]
    merger.push(row(0, 2, 4), 12_000)
    assert told(merger.ready(12_000)) == [(0, 9, 2, False, ())]


def test_rows_of_a_partition_that_is_missing_are_left_out_until_its_whole_has_come() -> None:
    merger = Merger([0, 1])
    merger.push(row(0, 0, 5, IOS), 0)
    merger.push(row(0, 0, 7), 0)
    merger.push(row(0, 1, 2, IOS), 9_000)
    (window,) = merger.ready(10_000)
    assert window.rows[IOS].counters == {"sessions": 5}
    merger.push(row(0, 1, 3), 10_001)
    (window,) = merger.ready(10_001)
    assert (window.rows[IOS].counters, window.rows[WHOLE].counters) == ({"sessions": 7}, {"sessions": 10})


def test_windows_are_published_in_order_of_their_ends() -> None:
    merger = Merger([0, 1])
    for n in (0, 1):
        merger.push(row(n, 0, 2), n * 1_000)
    merger.push(row(1, 1, 3), 1_001)
    assert [each[0] for each in told(merger.ready(1_001))] == [0, 1]


def test_a_partition_that_started_later_is_not_waited_for_in_windows_before_its_first() -> None:
    merger = Merger([0, 1], merge_wait_ms=None)
    for n in range(3):
        merger.push(row(n, 0, n + 1), 0)
    assert merger.ready(0) == []
    merger.push(row(2, 1, 10), 0)
    assert told(merger.ready(0)) == [(0, 1, 0, True, ()), (1, 2, 0, True, ()), (2, 13, 0, True, ())]


def test_a_closed_partition_is_not_waited_for() -> None:
    merger = Merger([0, 1], merge_wait_ms=None)
    merger.push(row(0, 0, 2), 0)
    merger.close(1)
    assert told(merger.ready(0)) == [(0, 2, 0, True, ())]


def test_a_correction_publishes_its_window_again_unjudged() -> None:
    merger = Merger([0])
    merger.push(row(0, 0, 2), 0)
    merger.ready(0)
    merger.push(correction(0, 0, 5), 1)
    assert told(merger.ready(1)) == [(0, 7, 1, False, ())]
    merger.push(correction(0, 0, 11, 2, IOS), 2)
    (window,) = merger.ready(2)
    assert window.rows[IOS].counters == {"sessions": 11}
    assert window.revision == 2


def test_a_correction_before_publication_is_part_of_the_first_revision() -> None:
    merger = Merger([0, 1])
    merger.push(row(0, 0, 2), 0)
    merger.push(correction(0, 0, 5), 1)
    merger.push(row(0, 1, 3), 2)
    assert told(merger.ready(2)) == [(0, 10, 0, True, ())]


def test_a_window_of_which_only_a_correction_exists_is_published_and_never_judged() -> None:
    merger = Merger([0])
    merger.push(row(5, 0, 2), 0)
    merger.ready(0)
    merger.push(correction(3, 0, 1), 1)
    assert told(merger.ready(1)) == [(3, 1, 0, False, ())]


def test_a_correction_does_not_take_the_judgement_from_a_window_that_another_partition_still_holds() -> None:
    merger = Merger([0, 1])
    merger.push(row(1, 0, 2), 0)
    merger.push(correction(0, 0, 1), 0)
    merger.ready(5_000)
    merger.push(row(0, 1, 3), 6_000)
    merger.push(row(1, 1, 4), 6_000)
    assert told(merger.ready(6_000)) == [(0, 4, 0, True, ()), (1, 6, 0, True, ())]


def test_rows_told_twice_change_nothing() -> None:
    merger = Merger([0])
    for _ in range(2):
        merger.push(row(0, 0, 2), 0)
        merger.push(correction(0, 0, 5), 0)
        merger.ready(0)
    assert merger.ready(1) == []


def test_a_merged_row_on_the_topic_is_passed_over() -> None:
    merger = Merger([0])
    merger.push(row(0, 0, 2)._replace(partition=None), 0)
    assert merger.ready(99_000) == []


def test_cohorts_are_published_apart_and_wait_until_their_partitions_have_passed_the_horizon() -> None:
    merger = Merger([0, 1])
    merger.push(cohort(0, 0, 3), 0)
    for n in range(16):
        merger.push(row(n, 1, 1), 0)
        merger.push(row(n, 0, 1), 0)
    assert {window.kind for window in merger.ready(0)} == {"window"}
    merger.push(row(16, 1, 1), 1)
    (window,) = merger.ready(1)
    assert (window.kind, window.horizon_ms, window.start_ms, window.judge) == ("cohort", HORIZON, 0, True)
    assert window.rows[WHOLE].kind == "cohort"


def test_a_cohort_published_without_a_partition_that_had_none_is_complete_once_that_has_told_later_times() -> None:
    merger = Merger([0, 1], merge_wait_ms=10_000)
    merger.push(cohort(0, 0, 3), 0)
    [first] = merger.ready(10_000)
    assert (first.missing, first.revision) == ((1,), 0)
    for n in range(HORIZON // MINUTE + 2):
        for partition in range(2):
            merger.push(row(n, partition, 1), 20_000)
    [second] = [window for window in merger.ready(20_000) if window.kind == "cohort"]
    assert (second.missing, second.revision, second.judge) == ((), 1, False)
    assert second.rows[WHOLE].missing_partitions == ()


def test_what_waits_for_time_comes_in_the_order_of_its_time_however_seldom_one_asks() -> None:
    def fed() -> Merger:
        merger = Merger([0, 1])
        merger.push(cohort(0, 0, 2), 1_000)
        merger.push(row(16, 0, 3), 3_000)
        merger.push(row(17, 0, 3), 4_000)
        return merger

    often, seldom = fed(), fed()
    one_by_one = [window for now_ms in range(5_000, 20_001, 1_000) for window in often.ready(now_ms)]
    assert [window.kind for window in one_by_one] == ["cohort", "window", "window"]
    assert seldom.ready(20_000) == one_by_one


def test_a_correction_of_a_cohort_finds_its_cohort() -> None:
    merger = Merger([0])
    merger.push(cohort(0, 0, 3), 0)
    merger.ready(0)
    merger.push(correction(0, 0, 4)._replace(horizon_ms=HORIZON), 1)
    (window,) = merger.ready(1)
    assert (window.kind, window.rows[WHOLE].counters) == ("cohort", {"sessions": 7})


def test_visitors_are_united_and_never_added() -> None:
    merger = Merger([0, 1])
    merger.push(row(0, 0, 2, sketch=sketch("a", "b", "c")), 0)
    merger.push(row(0, 1, 2, sketch=sketch("c", "d")), 0)
    (window,) = merger.ready(0)
    assert window.rows[WHOLE].visitors == 4.0


def test_a_row_without_visitors_has_no_sketch() -> None:
    merged = combine([row(0, 0, 2), row(0, 1, 3)])
    assert (merged.sketch, merged.visitors) == (None, None)


def test_windows_settle_when_nothing_can_change_them_in_order_of_start() -> None:
    merger = Merger([0], keep_ms=20 * MINUTE, keep_settled=True)
    merger.push(cohort(0, 0, 3), 0)
    for n in range(24):
        merger.push(row(n, 0, n), 0)
        merger.ready(0)
    settled = merger.settled()
    assert [(window.kind, window.start_ms // MINUTE) for window in settled] == [
        ("window", 0), ("cohort", 0), ("window", 1), ("window", 2), ("window", 3)
    ]  # fmt: skip
    assert merger.settled() == []
    merger.push(correction(3, 0, 100), 0)
    assert (merger.ready(0), merger.forgotten) == ([], 1)
    merger.push(correction(4, 0, 100), 0)
    assert told(merger.ready(0)) == [(4, 104, 1, False, ())]


def test_a_silent_partition_holds_back_no_memory_for_longer_than_a_day() -> None:
    merger = Merger([0, 1], keep_ms=0, keep_settled=True)
    for n in (0, 1, 24 * 60 - 1, 24 * 60):
        merger.push(row(n, 0, 1), n * MINUTE)
        merger.ready((n + 1) * MINUTE)
    assert [window.start_ms // MINUTE for window in merger.settled()] == [0]


def test_a_mixture_of_configurations_is_told() -> None:
    assert combine([row(0, 0, 1, spec="b"), row(0, 1, 1, spec="a")]).spec == "a+b"


def test_nothing_cannot_be_combined() -> None:
    with pytest.raises(ValueError, match="nothing"):
        combine([])


def test_what_may_change_is_kept() -> None:
    assert keep_ms(EngineSpec()) > EngineSpec().max_lateness_ms + max(EngineSpec().cohort_horizons_ms)


ROWS = st.lists(
    st.builds(
        lambda n, partition, sessions, segment, kind, visitors: row(
            n,
            partition,
            sessions,
            segment,
            kind="correction" if kind else "window",
            correction=kind,
            sketch=sketch(*visitors) if visitors else None,
        ),
        st.integers(0, 4),
        st.integers(0, 2),
        st.integers(0, 9),
        st.sampled_from([WHOLE, IOS]),
        st.integers(0, 2),
        st.sets(st.sampled_from("abcdefgh")),
    ),
    max_size=14,
    unique_by=lambda each: (each.start_ms, each.partition, each.segment, each.correction),
)


def final(rows: list[Row]) -> list[MergedWindow]:
    merger = Merger([0, 1, 2], merge_wait_ms=None, keep_settled=True)
    for each in rows:
        merger.push(each, 0)
    for partition in range(3):
        merger.close(partition)
    merger.ready(0)
    return [window._replace(revision=0) for window in merger.settled()]


@given(ROWS, st.randoms())
@settings(max_examples=80, deadline=None)
def test_any_order_of_arrival_gives_the_same_windows(rows: list[Row], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert final(shuffled) == final(rows)


@given(ROWS.filter(bool))
@settings(max_examples=50, deadline=None)
def test_combining_in_steps_gives_the_counts_of_combining_at_once(rows: list[Row]) -> None:
    rows = [each._replace(segment=WHOLE) for each in rows]
    at_once = combine(rows)
    step = combine(rows[:1])
    for each in rows[1:]:
        step = combine([step, each])
    assert (step.counters, step.visitors) == (at_once.counters, at_once.visitors)


def test_uniting_many_visitors_in_any_order_gives_the_same_bytes() -> None:
    parts = [row(0, p, 1, sketch=sketch(*(f"{p}-{i}" for i in range(40 * (p + 1))))) for p in range(4)]
    united = {combine(order).sketch for order in itertools.permutations(parts)}
    assert len(united) == 1


def cube(partition: int, sessions: int, end_ms: int = MINUTE) -> Cube:
    side = Side(("device",), (("ios",),), ((0,),), {"sessions": (sessions,)})
    return Cube(end_ms - MINUTE, end_ms, partition, side, Side())


def counted(window: MergedWindow) -> tuple[int, ...] | None:
    return window.cube.sessions.counters["sessions"] if window.cube is not None else None


def whole(partition: int, end_ms: int = MINUTE) -> Row:
    return Row("window", end_ms - MINUTE, end_ms, (), partition, {"sessions": 9}, "f")


def test_cubes_of_partitions_come_added_with_the_window_that_is_judged():
    merger = Merger([0, 1])
    for partition in (1, 0):
        merger.push_cube(cube(partition, 2 + partition))
        merger.push(whole(partition), 0)
    (window,) = merger.ready(0)
    assert counted(window) == (5,)
    assert window.cube is not None
    assert window.cube.partition is None


def test_a_cube_whose_partition_is_missing_is_left_out_and_never_comes_with_a_revision():
    merger = Merger([0, 1], 10_000)
    merger.push_cube(cube(0, 2))
    merger.push_cube(cube(1, 3))
    merger.push(whole(0), 0)
    (window,) = merger.ready(10_000)
    assert (window.missing, counted(window)) == ((1,), (2,))
    merger.push(whole(1), 11_000)
    (window,) = merger.ready(11_000)
    assert (window.judge, window.cube) == (False, None)


def test_a_cube_alone_makes_no_window_and_is_let_go_with_the_next_one():
    merger = Merger([0])
    merger.push_cube(cube(0, 2))
    assert merger.ready(1 << 40) == []
    merger.push(whole(0, 2 * MINUTE), 0)
    (window,) = merger.ready(0)
    assert window.cube is None
    merger.push_cube(cube(0, 2))
    merger.push(whole(0, 3 * MINUTE), 0)
    assert [counted(window) for window in merger.ready(0)] == [None]


def test_a_window_of_a_partition_without_cubes_is_judged_without_one():
    merger = Merger([0])
    merger.push(whole(0), 0)
    assert [(window.judge, window.cube) for window in merger.ready(0)] == [(True, None)]
