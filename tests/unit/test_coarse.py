"""Longer windows: counters added, visitors united, days of the shop's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.coarse import Coarser, bucket, zone_of
from streams.engine.rows import WHOLE, Row
from streams.engine.spec import DAY_MS, HOUR_MS
from streams.errors import ConfigError
from streams.merge import MergedWindow

MINUTE = 60_000


def window(n: int, sessions: int, revision: int = 0, missing: tuple[int, ...] = ()) -> MergedWindow:
    start, end = n * MINUTE, (n + 1) * MINUTE
    row = Row("window", start, end, WHOLE, None, {"sessions": sessions}, "f", revision)
    return MergedWindow(start, end, {WHOLE: row}, missing, revision, revision == 0)


def ms(*moment: int) -> int:
    return round(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


def test_a_longer_window_is_told_when_a_window_behind_it_comes() -> None:
    five = Coarser(5 * MINUTE)
    for n in range(5):
        assert five.push(window(n, 10 + n)) == []
    (done,) = five.push(window(5, 1))
    assert (done.start_ms, done.end_ms, done.rows[WHOLE].counters, done.judge) == (0, 300_000, {"sessions": 60}, True)


def test_a_revision_before_the_end_replaces_what_was_added() -> None:
    five = Coarser(5 * MINUTE)
    five.push(window(0, 10))
    five.push(window(0, 13, revision=1))
    assert five.push(window(5, 1))[0].rows[WHOLE].counters == {"sessions": 13}


def test_a_revision_after_the_end_is_told_again_unjudged() -> None:
    five = Coarser(5 * MINUTE)
    five.push(window(0, 10, missing=(1,)))
    (first,) = five.push(window(5, 1))
    (again,) = five.push(window(0, 13, revision=1))
    assert (first.missing, again.missing) == ((1,), ())
    assert (again.rows[WHOLE].counters, again.revision, again.judge) == ({"sessions": 13}, 1, False)


def test_what_is_left_at_the_end_is_told_unjudged() -> None:
    five = Coarser(5 * MINUTE)
    five.push(window(7, 10))
    assert [(done.start_ms, done.judge) for done in five.flush()] == [(300_000, False)]
    assert five.flush() == []


def test_a_day_is_the_day_of_the_shop() -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    assert bucket(ms(2026, 3, 1, 15, 59), DAY_MS, shanghai) == (ms(2026, 2, 28, 16), ms(2026, 3, 1, 16))
    assert bucket(ms(2026, 3, 1, 16), DAY_MS, shanghai)[0] == ms(2026, 3, 1, 16)


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29, 12), 23), ((2026, 10, 25, 12), 25), ((2026, 5, 5, 12), 24)])
def test_a_day_is_as_long_as_the_clock_makes_it(day: tuple[int, ...], hours: int) -> None:
    start, end = bucket(ms(*day), DAY_MS, ZoneInfo("Europe/Berlin"))
    assert (end - start) == hours * HOUR_MS


def test_an_hour_is_an_hour_of_the_shop() -> None:
    assert bucket(ms(2026, 3, 1, 12, 29), HOUR_MS, ZoneInfo("Asia/Kolkata")) == (
        ms(2026, 3, 1, 11, 30),
        ms(2026, 3, 1, 12, 30),
    )


@given(
    st.integers(ms(2020, 1, 1), ms(2030, 1, 1)),
    st.sampled_from([5 * MINUTE, 15 * MINUTE, HOUR_MS, DAY_MS]),
    st.sampled_from(["UTC", "Asia/Shanghai", "Asia/Kolkata", "Europe/Berlin", "America/New_York"]),
)
def test_every_moment_lies_in_its_window_and_so_does_the_start(moment: int, size: int, zone: str) -> None:
    start, end = bucket(moment, size, ZoneInfo(zone))
    assert start <= moment < end
    assert bucket(start, size, ZoneInfo(zone)) == (start, end)


def test_a_time_zone_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="IANA"):
        zone_of("Peking/Time")
