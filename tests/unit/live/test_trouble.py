"""What is told of a source: each limit in pairs, the last moment that is usual and the first that is not."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from streams.engine.batch import Outcome, Reject
from streams.errors import StateError
from streams.kafka import LogBounds, TopicInfo
from streams.live.settings import LiveSettings
from streams.live.sources import SKEW_MS, Sources
from streams.live.trouble import (
    SILENT_RECORDS,
    SILENT_SECONDS,
    SPAN_RECORDS,
    ClockSpan,
    Heard,
    Trouble,
    more_partitions,
    offset_findings,
    records_lost,
    silent_partitions,
    unowned_partitions,
)
from streams.telemetry import names
from streams.telemetry.view import View

NOW_MS = 1_772_366_400_000
SETTINGS = LiveSettings(app_id="shop")


class Case:
    """Sources of two partitions, with clocks that stand where they are put."""

    def __init__(self) -> None:
        self.view, self.seconds = View(), 100.0
        self.sources = Sources(SETTINGS, self.view, now_ms=lambda: NOW_MS, monotonic=lambda: self.seconds)
        self.sources.open([0, 1], 2)

    def took(self, expected: int, *offsets: int, timestamp: int = NOW_MS) -> None:
        records = [SimpleNamespace(offset=offset, timestamp=timestamp) for offset in offsets]
        self.sources.took("clickstream", 0, expected, records)

    def count(self, kind: str) -> int:
        return self.view.snapshot().totals.get(f"trouble.{kind}", 0)


def rejects(reason: str, number: int) -> Outcome:
    one = Reject("orders", 0, 42, NOW_MS, reason, "", None, None)
    return Outcome([], [one] * number, SPAN_RECORDS)


def test_a_log_that_begins_at_the_next_offset_has_lost_nothing_and_one_behind_it_has() -> None:
    assert records_lost("orders", 3, 7, 7) is None
    lost = records_lost("orders", 3, 7, 8)
    assert lost
    assert (lost.kind, lost.offset, lost.lost) == ("records_lost", 7, 1)


def test_offsets_that_follow_each_other_are_no_trouble() -> None:
    case = Case()
    case.took(5, 5, 6, 9)
    case.took(10, 10)
    assert not case.view.snapshot().troubles


def test_a_log_that_goes_back_ends_the_worker_with_both_offsets_and_the_way_out() -> None:
    case = Case()
    with pytest.raises(StateError, match=r"clickstream\[0\].*goes on at 0.*come to 10.*--rebuild") as ended:
        case.took(10, 0, 1)
    assert ended.value.exit_code == 4
    assert case.count("log_went_back") == 1


def test_other_numbers_of_partitions_are_told_and_equal_ones_not() -> None:
    assert more_partitions("orders", 4, 4) is None
    told = more_partitions("orders", 4, 6)
    assert told
    assert (told.kind, told.partition) == ("partition_added", 4)
    assert "has 6 partitions and had 4" in str(told)


def test_a_worker_that_is_given_a_new_partition_ends_with_the_way_out() -> None:
    assert unowned_partitions(SETTINGS, [0, 3], 4) is None
    assert unowned_partitions(SETTINGS, [], 4) is None
    error = unowned_partitions(SETTINGS, [0, 4], 4)
    assert error
    assert "partition 4 was added" in str(error)
    assert SETTINGS.snapshots_topic in error.way_out


@pytest.mark.parametrize(
    ("quiet", "missed", "silent"),
    [
        (SILENT_SECONDS, SILENT_RECORDS, True),
        (SILENT_SECONDS - 1, SILENT_RECORDS, False),
        (SILENT_SECONDS, SILENT_RECORDS - 1, False),
    ],
)
def test_a_partition_is_silent_when_it_is_quiet_and_the_others_are_not(quiet: float, missed: int, silent: bool) -> None:
    heard = {0: Heard(1_000.0 - quiet, 50), 1: Heard(1_000.0, 50 + 2 * missed), 2: Heard(999.0, 50 + 2 * missed)}
    assert list(silent_partitions(heard, 50 + 2 * missed, 1_000.0)) == ([0] if silent else [])


def test_the_past_that_one_partition_catches_up_with_makes_no_other_one_silent() -> None:
    def total(timestamp: int) -> int:
        case = Case()
        case.took(0, *range(9), timestamp=timestamp)
        return case.sources._total

    assert total(NOW_MS - int(SILENT_SECONDS) * 1_000) == 9
    assert total(NOW_MS - int(SILENT_SECONDS) * 1_000 - 1) == 0


def test_a_shop_that_sleeps_has_no_silent_partition_and_a_single_partition_is_compared_with_none() -> None:
    asleep = {0: Heard(0.0, 900), 1: Heard(0.0, 900)}
    assert not silent_partitions(asleep, 900, 90_000.0)
    assert not silent_partitions({0: Heard(0.0, 900)}, 900, 90_000.0)


def test_clocks_are_judged_by_share_once_there_are_enough_records() -> None:
    few, usual, wrong = ClockSpan(), ClockSpan(), ClockSpan()
    assert few.add(SPAN_RECORDS - 1, ahead=SPAN_RECORDS - 1) is None
    assert usual.add(SPAN_RECORDS, ahead=SPAN_RECORDS // 10 - 1, behind=SPAN_RECORDS // 2 - 1) is None
    assert wrong.add(SPAN_RECORDS, ahead=SPAN_RECORDS // 10) == "clock_ahead"
    assert wrong.add(SPAN_RECORDS, behind=SPAN_RECORDS // 2) == "clock_behind"
    assert wrong.add(SPAN_RECORDS) is None


@pytest.mark.parametrize(("reason", "kind"), [("future", "clock_ahead"), ("too_late", "clock_behind")])
def test_rejections_by_time_tell_of_a_clock_with_coordinates(
    reason: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    case = Case()
    with caplog.at_level(logging.WARNING, "funnelwatch.sources"):
        case.sources.judged(0, rejects(reason, SPAN_RECORDS // 2), 0)
    assert case.count(kind) == 1
    assert f"kind={kind} at=orders[0]@42: {SPAN_RECORDS // 2} of {SPAN_RECORDS} records" in caplog.text


def test_late_records_tell_of_a_clock_by_their_growth_and_not_by_what_a_snapshot_brought() -> None:
    case = Case()
    none = Outcome([], [], SPAN_RECORDS)
    case.sources.judged(0, none, 5_000)
    assert case.count("clock_behind") == 0
    case.sources.judged(0, none, 5_000 + SPAN_RECORDS // 2)
    assert case.count("clock_behind") == 1


def test_append_times_from_the_future_tell_of_a_clock() -> None:
    case = Case()
    case.took(0, *range(SPAN_RECORDS // 10), timestamp=NOW_MS + SKEW_MS)
    case.sources.judged(0, Outcome([], [], SPAN_RECORDS), 0)
    assert case.count("clock_ahead") == 0
    case.took(SPAN_RECORDS // 10, *range(20, 20 + SPAN_RECORDS // 10), timestamp=NOW_MS + SKEW_MS + 1)
    case.sources.judged(0, Outcome([], [], SPAN_RECORDS), 0)
    assert case.count("clock_ahead") == 1


def test_the_same_trouble_is_counted_always_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    case = Case()
    with caplog.at_level(logging.WARNING, "funnelwatch.sources"):
        for second in (0.0, 1.0, 59.9, 60.0):
            case.seconds = 100.0 + second
            case.sources.report(Trouble("records_lost", "orders", 1, 7, "gone", 3))
        case.sources.report(Trouble("records_lost", "orders", 0, 7, "gone", 3))
    assert len(caplog.records) == 3
    seen = case.view.snapshot()
    assert (case.count("records_lost"), seen.totals["lost"]) == (5, 15)
    assert seen.troubles["records_lost", "orders", 1] == NOW_MS


def test_every_kind_that_is_told_is_one_of_the_closed_set(caplog: pytest.LogCaptureFixture) -> None:
    case = Case()
    case.sources.judged(0, rejects("future", SPAN_RECORDS), 0)
    case.sources.judged(0, rejects("too_late", SPAN_RECORDS), 0)
    with pytest.raises(StateError):
        case.took(2, 1)
    added, lost = more_partitions("orders", 1, 2), records_lost("orders", 0, 0, 1)
    assert added
    assert lost
    kinds = {kind for kind, _, _ in case.view.snapshot().troubles} | {added.kind, lost.kind, "partition_silent"}
    assert kinds == set(names.TROUBLES)


def found(committed: int, bounds: LogBounds, **others: Any) -> list[tuple[str, str]]:
    told = offset_findings(
        SETTINGS, {"orders": TopicInfo(1, {})}, {("orders", 0): bounds} | others, {("orders", 0): committed}
    )
    return [(one.level, one.subject) for one in told]


def test_a_state_inside_the_log_is_no_finding() -> None:
    assert found(7, LogBounds(7, 7)) == []
    assert found(9, LogBounds(7, 11)) == []


def test_a_state_before_the_log_is_a_warning_and_one_behind_it_an_error() -> None:
    assert found(6, LogBounds(7, 11)) == [("warning", "orders[0]")]
    assert found(12, LogBounds(7, 11)) == [("error", "orders[0]")]


def test_a_partition_that_never_got_a_record_is_a_warning_once_the_others_have_many() -> None:
    there = {"orders": TopicInfo(2, {})}

    def troubled(end: int) -> list[str]:
        bounds = {("orders", 0): LogBounds(0, end), ("orders", 1): LogBounds(0, 0)}
        return [one.problem for one in offset_findings(SETTINGS, there, bounds, {})]

    assert troubled(1_999) == []
    assert troubled(2_000) == ["nothing has ever come to partitions [1], while 2000 records came to the others"]
