"""Comparison with earlier periods: the same clock, and the counts beside the change."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from streams.compare import change, earlier
from streams.kpis import CATALOGUE

BERLIN = ZoneInfo("Europe/Berlin")
SUCCESS = next(kpi for kpi in CATALOGUE if kpi.name == "payment_success_ratio")


def ms(*moment: int) -> int:
    return round(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


def test_the_previous_period_is_as_long_and_ends_where_this_one_begins() -> None:
    assert earlier(100, 130, "previous", BERLIN) == (70, 100)


def test_yesterday_is_the_same_time_of_the_clock_also_where_it_was_changed() -> None:
    # 29 March 2026, 12:00 to 13:00 in Berlin is 10:00Z; the day before it was 11:00Z.
    assert earlier(ms(2026, 3, 29, 10), ms(2026, 3, 29, 11), "yesterday", BERLIN) == (
        ms(2026, 3, 28, 11),
        ms(2026, 3, 28, 12),
    )


def test_last_week_is_seven_days_of_the_clock_before() -> None:
    assert earlier(ms(2026, 5, 8, 9), ms(2026, 5, 8, 10), "last_week", BERLIN) == (
        ms(2026, 5, 1, 9),
        ms(2026, 5, 1, 10),
    )


def test_last_year_of_a_leap_day_is_the_day_before() -> None:
    assert earlier(ms(2028, 2, 29, 9), ms(2028, 2, 29, 10), "last_year", ZoneInfo("UTC")) == (
        ms(2027, 2, 28, 9),
        ms(2027, 2, 28, 10),
    )


def test_the_counts_of_both_periods_travel_with_the_change() -> None:
    told = change(SUCCESS, {"payments_succeeded": 8, "payments_declined_hard": 2}, {"payments_succeeded": 4})
    assert (told.counts, told.counts_before) == ((8, 10), (4, 4))
    assert (told.value, told.before) == (0.8, 1.0)


def test_without_a_value_there_is_no_change() -> None:
    told = change(SUCCESS, {"payments_succeeded": 8}, {})
    assert (told.value, told.before, told.difference, told.share) == (1.0, None, None, None)


def test_a_change_from_nothing_has_no_share() -> None:
    orders = next(kpi for kpi in CATALOGUE if kpi.name == "orders")
    told = change(orders, {"orders_paid": 3}, {})
    assert (told.difference, told.share) == (3, None)
