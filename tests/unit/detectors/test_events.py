from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from detectors.events import EventClock
from detectors.seasonal import Note, rate_basis

HOUR = 3_600_000
SEM, SEO = (("channel", "sem"),), (("channel", "seo"),)


def clock() -> EventClock:
    told = EventClock(60_000)
    for segment in ((), SEM, SEO):
        told.add(segment)
    return told


@pytest.mark.parametrize("kind", ["campaign", "holiday"])
def test_what_is_announced_for_a_segment_is_felt_there_and_by_the_whole(kind: str) -> None:
    basis = rate_basis(ZoneInfo("UTC"), (Note(kind, 10 * HOUR, 12 * HOUR, "sale", SEM),))
    assert clock().flags(basis, 11 * HOUR).tolist() == [True, True, False]
    assert clock().flags(basis, 10 * HOUR - 1).tolist() == [False, False, False]
    assert clock().flags(basis, 14 * HOUR).tolist() == [False, False, False]


def test_a_campaign_of_the_shop_is_felt_everywhere() -> None:
    basis = rate_basis(ZoneInfo("UTC"), (Note("campaign", 10 * HOUR, 12 * HOUR),))
    assert clock().flags(basis, 11 * HOUR).tolist() == [True, True, True]


def test_a_holiday_of_a_segment_is_no_sunday_of_the_shop() -> None:
    whole, part = (rate_basis(ZoneInfo("UTC"), (Note("holiday", 0, 24 * HOUR, "", scope),)) for scope in ((), SEM))
    usual = rate_basis(ZoneInfo("UTC"))
    assert part.at(12 * HOUR).tolist() == usual.at(12 * HOUR).tolist()
    assert whole.at(12 * HOUR).tolist() != usual.at(12 * HOUR).tolist()
    assert not clock().flags(whole, 12 * HOUR).any()
