from __future__ import annotations

import numpy as np
import pytest

from detectors.surge import AFTER, LASTING, UNTOLD, Surge


def after(*parts: tuple[int, float], expected: float | None = None, risen: float = 130.0) -> Surge:
    """A shop that was shown so many windows of so many sessions each."""
    surge = Surge()
    for windows, count in parts:
        for _ in range(windows):
            surge.learn(count, expected, sure=expected is not None, risen=count >= risen)
    return surge


def test_a_jump_is_a_crowd_before_anything_is_expected():
    assert after((60, 100.0), (4, 230.0)).active
    assert not after((60, 100.0), (10, 115.0)).felt


def test_a_crowd_that_swells_is_felt_where_it_is_certain_that_more_come_than_expected():
    swelling = [(3, 100.0 + step) for step in range(60)]
    assert not after((60, 100.0), *swelling).felt
    assert after((60, 100.0), *swelling, expected=100.0).active


def test_a_crowd_that_has_just_come_is_not_gone_because_none_was_there_before():
    surge = Surge()
    told = [(surge.learn(100.0 if window < 60 else 160.0, 100.0, sure=True), surge.active)[1] for window in range(90)]
    assert told.index(True) <= 65
    assert all(told[told.index(True) :])


def test_a_crowd_lasts_until_sessions_are_what_is_expected_however_long_that_takes():
    assert after((60, 100.0), (UNTOLD + 60, 250.0), expected=100.0).active
    assert not after((60, 100.0), (UNTOLD + 60, 250.0)).active
    left = after((60, 100.0), (UNTOLD + 60, 250.0), (15, 100.0), expected=100.0)
    assert (left.active, left.felt) == (False, True)
    assert not after((60, 100.0), (60, 250.0), (16 + AFTER, 100.0), expected=100.0).felt


def test_what_stays_for_a_day_is_the_new_normal_once():
    there, settled = (60, 100.0), 60 + LASTING
    surge, told = Surge(), []
    for window in range(settled + 300):
        surge.learn(100.0 if window < there[0] else 250.0, 100.0, sure=True, risen=window >= there[0] + 2)
        told.append(surge.settled)
    assert sum(told) == 1
    assert not surge.active


@pytest.mark.parametrize("size", [100.0, 5.0])
def test_a_crowd_that_stays_into_a_day_that_nobody_knows_leaves_when_sessions_fall(size: float):
    surge, rng = Surge(), np.random.default_rng(7)
    for window in range(1000):
        known = window < 400
        crowd = 2.5 if 100 <= window < 600 else 1.0
        # The unknown day has half as many again as the guess for it.
        count = float(rng.poisson(size * crowd * (1.0 if known else 1.5)))
        surge.learn(count, size, sure=known, risen=100 <= window < 600)
        if window in {110, 500, 595}:
            assert surge.active
    assert not surge.felt
