from __future__ import annotations

import pytest

from detectors.attribution import Cell, attribute, mix_and_rate
from detectors.base import Blame

A, B, C = ((("provider", name),) for name in "abc")
IOS, ANDROID = ((("device", name),) for name in ("ios", "android"))


def test_the_segment_that_broke_comes_first_with_its_share():
    told = attribute(Cell((), 500, 1000), [Cell(A, 100, 600), Cell(B, 300, 300), Cell(IOS, 240, 500)])
    assert told[0] == Blame(A, 1.0, "rate")


def test_a_change_that_is_everywhere_is_put_on_nobody():
    cells = [Cell(A, 300, 600), Cell(B, 150, 300), Cell(C, 50, 100), Cell(IOS, 250, 500), Cell(ANDROID, 250, 500)]
    assert attribute(Cell((), 500, 1000), cells) == ()


def test_a_tiny_segment_that_fell_to_nothing_does_not_explain_a_large_change():
    told = attribute(Cell((), 500, 1000), [Cell(A, 103, 600), Cell(C, 0, 3)])
    assert [blame.segment for blame in told] == [A]


def test_a_segment_that_did_better_explains_no_drop():
    assert attribute(Cell((), 900, 1000), [Cell(A, 500, 400)]) == ()


def test_no_change_has_no_place():
    assert attribute(Cell((), 1000, 1000), [Cell(A, 500, 600)]) == ()


def test_more_of_a_weak_segment_is_mix_and_a_worse_segment_is_rate():
    rates = {IOS: 0.1, ANDROID: 0.05}
    mix = mix_and_rate([Cell(IOS, 10, 0, 100, 500), Cell(ANDROID, 25, 0, 500, 100)], rates)
    rate = mix_and_rate([Cell(IOS, 25, 0, 500, 500), Cell(ANDROID, 5, 0, 100, 100)], rates)
    assert mix.rate == pytest.approx(0)
    assert mix.mix < -0.02
    assert rate.mix == pytest.approx(0)
    assert rate.rate < -0.02
