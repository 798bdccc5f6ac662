"""Sessions, stages, cohorts, bounces."""

from streams.engine import WHOLE
from streams.engine.sketch import estimate_visitors
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


def test_a_session_of_many_pages_tells_them_all_when_it_ends() -> None:
    for pages in (15, 16, 17, 40):
        told = totals(rows_of(story("a: " + " ".join(f"page+{second}s" for second in range(pages)))))
        assert (told["ended_page_views"], told["sessions_ended"], told.get("bounces")) == (pages, 1, None)


def test_each_visitor_of_a_session_is_seen_in_each_window() -> None:
    one = "page+1s[visitor_id=v] page+2s[visitor_id=w] page+3s[visitor_id=v] page+4s[visitor_id=]"
    one += " list+70s[visitor_id=w] page+71s[visitor_id=]"
    row, later = (row for row in rows_of(story("a: " + one)) if row.segment == WHOLE and row.sketch is not None)
    assert [round(estimate_visitors(told.sketch or b"")) for told in (row, later)] == [2, 2]


def test_who_tells_no_visitor_is_the_first_one_of_the_session_else_the_session() -> None:
    stories = {"a: page+1s page+2s view+3s": 1, "a: page+1s page+2s[visitor_id=v] page+3s": 2}
    stories["a: page+1s[visitor_id=v] cart+2s page+3s | b: page+4s"] = 2
    for told, visitors in stories.items():
        events = story(told)
        for event in events:
            event["visitor_id"] = "v" if event["visitor_id"] == "v" else ""
        whole = next(row for row in rows_of(events) if row.segment == WHOLE and row.sketch is not None)
        assert round(estimate_visitors(whole.sketch or b"")) == visitors


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
