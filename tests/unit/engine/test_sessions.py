"""Sessions, stages, cohorts, bounces."""

from tests.support.stories import story
from tests.unit.engine.telling import moments, rows_of, totals, values_of


def test_a_silence_of_exactly_the_gap_still_joins() -> None:
    assert totals(rows_of(story("a: page+0s page+30m")))["sessions"] == 1


def test_a_silence_longer_than_the_gap_begins_a_new_session() -> None:
    assert totals(rows_of(story("a: page+0s page+30m1ms")))["sessions"] == 2


def test_a_session_ends_one_gap_after_its_last_extending_event() -> None:
    rows = rows_of(story("a: page+5s view+2m list+3m10s fail+20m"))
    assert moments(rows, "sessions_ended") == {33 * 60: 1}
    assert totals(rows)["ended_dwell_ms"] == 185_000


def test_an_order_opens_no_session_and_is_an_orphan() -> None:
    told = totals(rows_of(story("a: order+0s[order_id=o-1] page+1s")))
    assert (told["sessions"], told["orders_orphan"], told.get("reached.ordered")) == (1, 1, None)


def test_a_stage_that_was_skipped_is_implied_and_may_still_be_observed() -> None:
    told = totals(rows_of(story("a: page+0s checkout+1s cart+2s checkout+3s")))
    assert (told["implied.product"], told["implied.cart"], told["reached.checkout"], told["reached.cart"]) == (
        1,
        1,
        1,
        1,
    )


def test_one_page_and_one_product_are_a_bounce_and_a_second_page_is_none() -> None:
    assert totals(rows_of(story("a: page+0s view+1s")))["bounces"] == 1
    assert "bounces" not in totals(rows_of(story("a: page+0s page+1s")))
    assert "bounces" not in totals(rows_of(story("a: page+0s look+1s")))


def test_declared_events_count_as_page_views_and_no_others() -> None:
    told = totals(rows_of(story("a: page+0s view+1s list+2s"), page_view_events=("view", "product_view")))
    assert told["page_views"] == told["product_views"] == 1


def test_a_cohort_counts_what_is_reached_at_most_the_horizon_after_opening() -> None:
    inside = totals(rows_of(story("a: page+0s cart+15m")))
    outside = totals(rows_of(story("a: page+0s cart+15m1ms")))
    assert (inside["cohort.sessions@15m"], inside["cohort.product@15m"], inside["cohort.cart@15m"]) == (1, 1, 1)
    assert "cohort.cart@15m" not in outside


def test_a_cohort_row_stands_in_the_window_of_the_opening() -> None:
    rows = [
        row for row in rows_of(story("a: page+70s paid+10m"), cohort_horizons_ms=(3_600_000, 90_000)) if not row.segment
    ]
    cohorts = {row.horizon_ms: row for row in rows if row.kind == "cohort"}
    assert {row.start_ms % 3_600_000 for row in cohorts.values()} == {60_000}
    assert cohorts[3_600_000].counters["cohort.paid@1h"] == 1
    assert "cohort.paid@90s" not in cohorts[90_000].counters


def test_a_session_takes_each_value_from_the_first_event_that_has_it() -> None:
    rows = rows_of(story("a: page+0s page+1s[device=ios] fail+2s[channel=sem] page+3s[device=web,channel=seo]"))
    assert values_of(rows, "device", "page_views") == {"unknown": 1, "ios": 2}
    assert values_of(rows, "channel", "page_views") == {"unknown": 2, "sem": 1}
    assert values_of(rows, "channel", "sessions_ended") == {"sem": 1}


def test_an_outcome_does_not_extend_the_session() -> None:
    assert totals(rows_of(story("a: page+0s fail+20m page+31m")))["sessions"] == 2
