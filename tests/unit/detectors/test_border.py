from __future__ import annotations

import numpy as np
import pytest

from detectors.border import Border

WHOLE = np.array([False])


def after_days(loudest: list[float]) -> Border:
    border = Border(1.0)
    for day, nats in enumerate(loudest):
        border.learn(day, np.array([nats]))
    border.learn(len(loudest), np.array([0.0]))
    return border


def test_a_series_as_loud_as_expected_keeps_the_border():
    assert after_days([8.0] * 21).needed(WHOLE, 17).tolist() == [12.5]


def test_a_series_that_is_loud_every_day_gets_a_higher_one():
    assert after_days([18.0] * 21).needed(WHOLE, 17)[0] == pytest.approx(25.0)


def test_days_with_incidents_are_passed_over():
    assert after_days([8.0] * 15 + [400.0] * 6).needed(WHOLE, 17).tolist() == [12.5]


def test_the_first_loud_days_change_little():
    assert after_days([30.0] * 2).needed(WHOLE, 17)[0] == pytest.approx(12.5)


def test_ten_times_the_budget_is_a_little_over_two_nats():
    assert Border(1.0).base(17) - Border(10.0).base(17) == pytest.approx(2.3026, abs=1e-3)


def test_the_budget_is_shared():
    assert Border(1.0).base(170) - Border(1.0).base(17) == pytest.approx(2.3026, abs=1e-3)
    assert Border(1.0).base(3) == Border(1.0).base(17)


def test_a_series_that_comes_later_starts_with_the_usual_border():
    border = after_days([18.0] * 21)
    assert border.needed(np.array([False, False]), 17)[1] == 12.5
