from __future__ import annotations

from zoneinfo import ZoneInfo

from detectors.seasonal import Note, rate_basis, volume_basis

DAY_MS = 86_400_000
MONDAY_MS = 1_767_571_200_000


def test_the_day_repeats_and_the_weekend_differs():
    basis = volume_basis(ZoneInfo("UTC"))
    monday, tuesday, saturday = (basis.at(MONDAY_MS + n * DAY_MS) for n in (0, 1, 5))
    assert monday[1:17].tolist() == tuesday[1:17].tolist() == saturday[1:17].tolist()
    assert monday[17] == tuesday[17] == 0.0
    assert saturday[17] == 1.0


def test_the_shape_follows_the_shops_clock_and_not_utc():
    shanghai, utc = rate_basis(ZoneInfo("Asia/Shanghai")), rate_basis(ZoneInfo("UTC"))
    assert shanghai.at(MONDAY_MS).tolist() == utc.at(MONDAY_MS + 8 * 3_600_000).tolist()
    assert shanghai.slot(MONDAY_MS) == 32


def test_a_holiday_is_a_sunday():
    note = Note("holiday", MONDAY_MS, MONDAY_MS + DAY_MS)
    basis = volume_basis(ZoneInfo("UTC"), (note,))
    assert basis.at(MONDAY_MS).tolist() == basis.at(MONDAY_MS + 6 * DAY_MS).tolist()
    assert basis.at(MONDAY_MS + DAY_MS)[17] == 0.0


def test_a_campaign_counts_until_twenty_minutes_behind_its_end():
    note = Note("campaign", MONDAY_MS, MONDAY_MS + 3_600_000)
    basis = rate_basis(ZoneInfo("UTC"), (note,))
    told = [basis.at(MONDAY_MS + minute * 60_000)[-2] for minute in (-1, 0, 59, 60, 79, 80)]
    assert told == [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]


def test_every_regressor_has_a_prior():
    for basis in (rate_basis(ZoneInfo("UTC")), volume_basis(ZoneInfo("UTC"))):
        assert len(basis.at(0)) == basis.size == len(basis.prior)
