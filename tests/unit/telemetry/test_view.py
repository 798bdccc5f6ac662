"""What the view remembers, forgets and never counts twice."""

import threading
from typing import Any

from streams.engine.rows import Row, Segment
from streams.kpis import CATALOGUE, counters_of
from streams.telemetry.names import TROUBLES
from streams.telemetry.view import View
from tests.support.prometheus import KPIS, Told, Window, incident, verdict, window


def told(view: View, partition: int, **counts: int) -> None:
    view.partition(partition, counts=counts, watermark_ms=5_000, lag_records={"orders": 3})


def test_totals_grow_by_what_is_new_in_each_engine() -> None:
    view = View()
    told(view, 0, records=10, late=1)
    told(view, 1, records=7)
    told(view, 0, records=14, late=1)
    assert view.snapshot().totals == {"records": 21, "late": 1}


def test_a_new_engine_for_a_partition_starts_at_zero_and_nothing_is_taken_away() -> None:
    view = View()
    told(view, 0, records=10)
    told(view, 0, records=4)
    assert view.snapshot().totals["records"] == 14


def test_what_waits_for_its_turn_comes_and_goes_and_changes_no_total() -> None:
    view = View()
    for held, records in ((5, 10), (2, 12), (9, 13)):
        told(view, 0, records=records, held=held, late=1)
    assert view.snapshot().totals == {"records": 13, "late": 1}


def test_a_lost_partition_vanishes_and_its_share_of_the_totals_stays() -> None:
    view = View()
    told(view, 0, records=10)
    told(view, 1, records=3)
    view.drop_partition(0)
    assert set(view.snapshot().partitions) == {1}
    told(view, 0, records=2)
    assert view.snapshot().totals["records"] == 15


def test_a_rebalance_drops_what_is_not_owned_and_keeps_what_is() -> None:
    view = View()
    told(view, 0, records=10)
    told(view, 1, records=3)
    view.assigned((1, 2), 4)
    seen = view.snapshot()
    assert set(seen.partitions) == {1, 2}
    assert seen.partitions[1].lag_records == {"orders": 3}
    assert seen.source_partitions == 4


def test_trouble_that_lasts_goes_with_its_partition_and_what_has_happened_stays() -> None:
    view = View()
    view.assigned([0, 3], 4)
    for kind in TROUBLES:
        for partition in (0, 3):
            view.trouble(kind, "orders", partition, moment_ms=5_000)
    view.assigned([3], 4)
    gone = {(kind, "orders", 0) for kind in ("partition_silent", "clock_ahead", "clock_behind")}
    assert set(view.snapshot().troubles) == {(kind, "orders", one) for kind in TROUBLES for one in (0, 3)} - gone
    assert view.snapshot().totals["trouble.clock_ahead"] == 2


def test_a_worker_that_is_cut_off_tells_of_no_partition_until_it_is_back() -> None:
    view = View()
    view.assigned([0, 2], 4)
    view.partition(2, counts={"records": 7}, watermark_ms=1, lag_records={})
    view.ready()
    view.judge_live()
    view.cut_off(True)
    seen = view.snapshot()
    assert (seen.phase, dict(seen.partitions), seen.judging, seen.totals["records"]) == ("starting", {}, False, 7)
    view.cut_off(False)
    seen = view.snapshot()
    assert (seen.phase, sorted(seen.partitions), seen.judging) == ("ready", [0, 2], True)


def test_a_snapshot_is_remembered_over_the_batches_that_follow() -> None:
    view = View()
    told(view, 0, records=10)
    view.snapshot_saved(0, moment_ms=9_000, size_bytes=77)
    told(view, 0, records=11)
    assert view.snapshot().partitions[0].snapshot_ms == 9_000
    assert view.snapshot().partitions[0].snapshot_bytes == 77


def test_the_latest_window_stands_and_its_revision_replaces_it() -> None:
    view = View()
    view.window(window(120_000))
    view.window(window(60_000, counters={"sessions": 1}))
    view.window(window(120_000, counters={"sessions": 5}, missing=(3,)))
    seen = view.snapshot()
    assert seen.window is not None
    assert (seen.window.end_ms, seen.window.counters, seen.window.missing) == (120_000, {"sessions": 5}, (3,))
    assert seen.totals["windows"] == 1


def test_cohorts_and_coarser_windows_leave_the_funnel_alone() -> None:
    view = View()
    view.window(window(300_000, length_ms=300_000, counters={"sessions": 999}))
    view.window(window(240_000, counters={"sessions": 4}))
    view.window(window(600_000, length_ms=300_000, counters={"sessions": 999}))
    view.window(window(300_000, kind="cohort", counters={"cohort.sessions@15m": 9}))
    seen = view.snapshot()
    assert seen.window is not None
    assert seen.window.counters == {"sessions": 4}


def test_an_older_verdict_never_replaces_a_newer_one() -> None:
    view = View()
    view.judged(Told((verdict(end_ms=120_000, value=0.5, score=2.0),)))
    view.judged(Told((verdict(end_ms=60_000),)))
    seen = view.snapshot()
    assert seen.verdicts["conversion_ratio", ()].score == 2.0
    assert seen.readings["conversion_ratio", ()].value == 0.5


IOS, PSP = (("device", "ios"),), (("payment_provider", "psp-1"),)


def shop_window(end_ms: int, *, ios: bool = True, **told: Any) -> Window:
    """The whole, a device that may be left out, and a payment provider."""
    counters = {"sessions": 40, "reached.paid": 3, "orders_placed": 9, "orders_paid": 6}
    segments = [(), IOS, PSP] if ios else [(), PSP]
    start_ms = end_ms - told.get("length_ms", 60_000)
    rows = {segment: Row("window", start_ms, end_ms, segment, None, counters, "f") for segment in segments}
    return Window(start_ms, end_ms, rows)


def judging_view() -> View:
    view = View()
    view.kpis(CATALOGUE, counters_of, {"device": "session", "payment_provider": "payment"})
    view.judge_live()
    return view


def test_every_kpi_is_read_in_each_segment_that_its_formula_may_be_split_by() -> None:
    view = judging_view()
    view.window(shop_window(60_000))
    readings = view.snapshot().readings
    assert readings["conversion_ratio", IOS].value == 3 / 40
    assert readings["orders", PSP].value == 6
    assert readings["payment_overall_ratio", IOS].trials == 9
    assert ("payment_overall_ratio", PSP) not in readings
    assert ("conversion_ratio", PSP) not in readings


def test_a_kpi_is_read_in_windows_that_are_long_enough_for_it() -> None:
    view, hour_ms = judging_view(), 3_600_000
    view.window(shop_window(hour_ms))
    assert ("cart_abandonment_settled_ratio", ()) not in view.snapshot().readings
    view.window(shop_window(hour_ms, length_ms=hour_ms - 1))
    assert ("cart_abandonment_settled_ratio", ()) not in view.snapshot().readings
    view.window(shop_window(hour_ms, length_ms=hour_ms))
    assert ("cart_abandonment_settled_ratio", ()) in view.snapshot().readings


def test_a_segment_without_a_row_has_a_volume_of_zero_and_no_ratio_and_is_forgotten_later() -> None:
    view, day_ms = judging_view(), 86_400_000
    view.window(shop_window(60_000))
    view.window(shop_window(120_000, ios=False))
    readings = view.snapshot().readings
    assert (readings["sessions", IOS].value, readings["sessions", IOS].end_ms) == (0.0, 120_000)
    assert (readings["conversion_ratio", IOS].value, readings["conversion_ratio", IOS].trials) == (None, 0)
    assert readings["sessions", ()].value == 40
    view.window(shop_window(60_000 + 2 * day_ms, ios=False))
    assert ("sessions", IOS) in view.snapshot().readings
    view.window(shop_window(120_000 + 2 * day_ms, ios=False))
    assert ("sessions", IOS) not in view.snapshot().readings


def test_a_judge_that_reads_its_past_forms_the_figures_of_the_latest_window_only() -> None:
    formed: list[int] = []

    def counting(row: Row, rows: dict[Segment, Row]) -> dict[str, float]:
        formed.append(row.end_ms)
        return counters_of(row, rows)

    view = View()
    view.kpis(CATALOGUE, counting)
    view.judge_rebuilding()
    for end_ms in (60_000, 120_000, 180_000):
        view.window(window(end_ms))
    assert not formed
    view.judge_live()
    assert formed == [180_000]
    assert view.snapshot().readings["sessions", ()].value == 211


def test_a_segment_that_has_not_been_told_for_two_days_is_forgotten_and_not_a_moment_earlier() -> None:
    view = View()
    day_ms, ios = 86_400_000, (("device", "ios"),)
    view.judged(Told((verdict(segment=ios, end_ms=60_000),)))
    view.judged(Told((verdict(end_ms=60_000 + 2 * day_ms),)))
    assert ("conversion_ratio", ios) in view.snapshot().verdicts
    view.judged(Told((verdict(end_ms=60_001 + 2 * day_ms),)))
    assert ("conversion_ratio", ios) not in view.snapshot().verdicts


def test_a_value_that_is_no_number_is_no_value() -> None:
    view = View()
    view.judged(Told((verdict(value=float("nan")),)))
    assert view.snapshot().readings["conversion_ratio", ()].value is None


def test_an_incident_is_open_until_it_has_recovered() -> None:
    view = View()
    view.judged(Told(incidents=(incident("drop"), incident("bots", kpis=("orders", "bounce_ratio")))))
    assert view.snapshot().incident_kpis == {
        ("drop", "conversion_ratio"): 1,
        ("bots", "orders"): 1,
        ("bots", "bounce_ratio"): 1,
    }
    view.judged(Told(incidents=(incident("drop", "recovered", ended_ms=180_000),)))
    seen = view.snapshot()
    assert set(seen.incidents) == {"bots-1"}
    assert [one.id for one in seen.recovered] == ["drop-1"]
    assert seen.incident_kpis["drop", "conversion_ratio"] == 0


def test_another_judge_takes_all_verdicts_with_it() -> None:
    view = View()
    view.kpis(KPIS)
    view.window(window(60_000))
    view.judged(Told((verdict(),), (incident(),)))
    view.judge_live()
    view.drop_judge()
    seen = view.snapshot()
    assert not seen.judging
    assert seen.window is None
    assert not (seen.readings)
    assert not (seen.verdicts)
    assert not (seen.incidents)
    assert not (seen.incident_kpis)


def test_a_look_at_the_view_does_not_change_while_the_shell_goes_on() -> None:
    view = View()
    told(view, 0, records=1)
    seen = view.snapshot()
    told(view, 0, records=9)
    told(view, 1, records=9)
    assert seen.totals == {"records": 1}
    assert set(seen.partitions) == {0}


def test_readers_on_other_threads_never_see_half_of_a_change() -> None:
    view, done, wrong = View(), threading.Event(), []

    def read() -> None:
        while not done.is_set():
            totals = view.snapshot().totals
            if totals.get("records", 0) != totals.get("late", 0):
                wrong.append(dict(totals))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for count in range(3_000):
        told(view, count % 7, records=count, late=count)
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
