"""What the view remembers, forgets and never counts twice."""

import threading

from streams.telemetry.view import View
from tests.support.prometheus import KPIS, Told, incident, verdict, window


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
