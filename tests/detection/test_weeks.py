"""The labelled library is what it says, the monitor never looks ahead, and floors under what it finds in it."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest

from detectors.seasonal import Note
from streams.engine.rows import WHOLE
from streams.monitor import Monitor
from tests.detection.cases import CASES, DAY, REPORTING, TUNING, Case, make_case
from tests.detection.climate import MINUTE_MS
from tests.detection.labels import Label
from tests.detection.rough import START_MS, RoughShop, Traits, site_of
from tests.detection.scoring import run_monitor, score


def first_day(size: str, seed: int) -> Case:
    """Five incidents in a day that begins at any hour, after three hours of history."""
    case = make_case("cold", size, seed)
    early = tuple(
        replace(label, start=start, end=start + label.end - label.start)
        for start, label in zip((200, 430, 660, 900, 1150), case.labels, strict=True)
        if start + label.end - label.start < DAY
    )
    return replace(case, days=1, labels=early)


@pytest.mark.parametrize("name", CASES)
def test_labels_keep_apart_and_lie_inside_the_run(name: str):
    for seed in (*TUNING[:3], *REPORTING[:3]):
        case = make_case(name, "small", seed)
        labels = sorted((each for each in case.labels if each.kind != "level"), key=lambda each: each.start)
        assert all(before.end <= after.start for before, after in pairwise(labels))
        assert all(0 <= each.start < each.end <= case.minutes for each in case.labels)


def test_settings_are_never_chosen_on_seeds_that_are_reported():
    assert not set(TUNING) & set(REPORTING)


def test_weeks_without_notes_are_those_with_notes_for_as_long_as_they_last():
    told, untold = make_case("notes", "small", 2), make_case("silent", "small", 2)
    assert (len(told.spec().notes), untold.spec().notes) == (6, ())
    assert [each.start for each in untold.labels] == [each.start for each in told.labels if each.end <= 14 * DAY - 120]


def test_what_was_to_be_expected_is_what_is_counted_where_nothing_happens():
    label = Label("step", 600, 700, 0.5, step="cart", device="ios")
    shop = RoughShop(500, DAY, 3, (label,))
    site = shop.sites[site_of(label)]
    calm = np.r_[60:600, 760:DAY]
    assert site.seen[calm].sum() == pytest.approx(site.expected[calm].sum(), rel=0.02)
    assert site.seen[625:700].sum() == pytest.approx(0.5 * site.expected[625:700].sum(), rel=0.08)


def test_segments_add_up_to_the_whole_and_a_lost_partition_shows():
    traits = Traits(lost=((3, 5),), halved=((7, 8),))
    windows = list(RoughShop(300, 20, 4, (), traits).windows())
    assert len(windows) == 18
    for window in windows[:3]:
        parts = [row.counters.get("sessions", 0) for segment, row in window.rows.items() if dict(segment).get("device")]
        assert sum(parts) == window.rows[WHOLE].counters["sessions"]
    assert [window.missing for window in windows if window.missing] == [(2,)]


def test_a_stream_that_is_cut_gives_the_same_alerts_up_to_the_cut():
    label = Label("payment", 220, 260, 0.9)
    note = Note("campaign", START_MS + 250 * MINUTE_MS, START_MS + 290 * MINUTE_MS)
    windows = list(RoughShop(300, 300, 6, (label,)).windows())
    spec = replace(Case("cut", "medium", 6, 1, 0).spec(), notes=(note,))
    long, other, cut = Monitor(spec), Monitor(spec), 245
    told = [long.observe(window).records() for window in windows]
    stopped = [other.observe(window).records() for window in islice(windows, cut)]
    assert any(b"payment_success" in value for records in stopped[220:] for _, value in records)
    assert stopped == told[:cut]
    # And reading on with other windows than those that came changes nothing of what was told.
    for window in windows[cut:]:
        other.observe(window._replace(rows={WHOLE: window.rows[WHOLE]._replace(counters={})}))
    assert stopped == told[:cut]


FLOORS = [("busy", 3, 0.8, 30), ("medium", 3, 0.6, 30)]


@pytest.mark.parametrize(("size", "seed", "recall", "median"), FLOORS, ids=["busy", "medium"])
def test_the_first_day_of_a_shop_keeps_its_floors(size: str, seed: int, recall: float, median: int):
    told = score([run_monitor(first_day(size, seed))])
    assert told.there >= 3
    assert told.recall >= recall, told.missed
    assert told.delay() <= median
    assert len(told.false) <= 1, told.false
