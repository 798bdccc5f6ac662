from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from detectors.delay import SAME_WINDOW
from detectors.events import EventClock
from detectors.scan import Look, Scan, SeriesSpec
from detectors.seasonal import Note, rate_basis

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
IOS, WEB = (("device", "ios"),), (("device", "web"),)
UTC = ZoneInfo("UTC")


def clock(*delays: int) -> EventClock:
    told = EventClock(MINUTE_MS)
    for segment, delay in zip(((), IOS, WEB), (*delays, 0, 0, 0), strict=False):
        told.add(segment, delay)
    return told


def test_a_campaign_for_a_segment_is_felt_there_and_in_the_whole():
    basis = rate_basis(UTC, (Note("campaign", 0, HOUR_MS, scope=IOS),))
    assert clock().flags(basis, 0).tolist() == [True, True, False]
    assert clock().flags(rate_basis(UTC, (Note("campaign", 0, HOUR_MS),)), 0).all()


def test_what_tells_later_feels_a_campaign_longer():
    basis = rate_basis(UTC, (Note("campaign", 0, HOUR_MS),))
    told = clock(30 * MINUTE_MS)
    assert told.flags(basis, HOUR_MS + 10 * MINUTE_MS).tolist() == [True, True, True]
    assert told.flags(basis, HOUR_MS + 50 * MINUTE_MS).tolist() == [True, False, False]


def test_windows_of_a_crowd_become_one_crowd():
    told = clock()
    for minute in (10, 11, 12, 300):
        told.crowd(minute * MINUTE_MS, (minute + 1) * MINUTE_MS)
    assert told.crowds == [(10 * MINUTE_MS, 13 * MINUTE_MS), (300 * MINUTE_MS, 301 * MINUTE_MS)]


def ratio(notes: tuple[Note, ...], minutes: int, rate: float = 0.3, size: float = 1.0) -> tuple[Scan, Look]:
    """A ratio that campaigns move by a factor, and the look of its last minute."""
    scan = Scan(rate_basis(UTC, notes))
    scan.add(SeriesSpec(kernel=SAME_WINDOW, binomial=True), step=0)
    rng = np.random.default_rng(5)
    for step in range(1, minutes + 1):
        inside = any(note.start_ms < step * MINUTE_MS <= note.end_ms for note in notes)
        successes = rng.binomial(1000, rate * (size if inside else 1.0))
        told = scan.look(step, np.array([float(successes)]), np.array([1000.0]), np.ones(1, dtype=bool))
        scan.learn(told)
    return scan, told


def test_a_campaign_that_moves_a_rate_is_less_of_a_finding_than_the_same_without_a_note():
    note = Note("campaign", 300 * MINUTE_MS, 400 * MINUTE_MS)
    _, noted = ratio((note,), 330, size=0.8)
    far = Note("campaign", 9000 * MINUTE_MS, 9100 * MINUTE_MS)
    scan, _ = ratio((far,), 300)
    rng = np.random.default_rng(6)
    for step in range(301, 331):
        told = scan.look(step, np.array([float(rng.binomial(1000, 0.24))]), np.array([1000.0]), np.ones(1, dtype=bool))
        scan.learn(told)
    assert noted.evidence.max() < 0.4 * told.evidence.max()


@pytest.mark.parametrize(("size", "grows"), [(0.6, True), (1.0, False)])
def test_how_much_campaigns_do_is_learnt_from_each(size: float, *, grows: bool):
    notes = tuple(Note("campaign", hour * HOUR_MS, (hour + 2) * HOUR_MS) for hour in (4, 8))
    scan, _ = ratio(notes, 12 * 60, size=size)
    fresh = Scan(rate_basis(UTC))
    fresh.add(SeriesSpec(kernel=SAME_WINDOW, binomial=True), step=0)
    assert (scan.model.event_var[0] > fresh.model.event_var[0]) == grows
