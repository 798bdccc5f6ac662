"""Floors of the plain scorer on a few series of its benchmark, and the rule that scores it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.plain_scorer import METHODS, PROFILES, judge, run
from benchmarks.plain_series import FAMILIES, Series, corpus

SEED = 101
FLOORS = {"square, flat middle": (1, 3), "disk bytes": (2, 6), "conversion ratio": (2, 6), "road speed": (2, 4)}
"""Windows that are found with the border as the threshold, and the most false detections."""


@pytest.fixture(scope="module")
def series() -> dict[str, Series]:
    return {one.name: one for one in corpus(SEED)}


@pytest.mark.parametrize("family", FLOORS)
def test_the_border_finds_the_windows_with_a_handful_of_false_detections(family: str, series: dict[str, Series]):
    one, (found, false) = series[family], FLOORS[family]
    (scores,) = run(METHODS["plain scorer"], [one])
    rest = np.arange(len(scores)) >= 0.15 * len(scores)
    hits = 0
    for first, last in one.windows:
        hits += bool((scores[first : last + 1] > 0.5).any())
        rest[first : last + 1] = False
    assert hits >= found
    assert int((scores[rest] > 0.5).sum()) <= false


def test_every_family_is_there_and_its_windows_lie_behind_the_probation(series: dict[str, Series]):
    assert set(series) == set(FAMILIES)
    for one in series.values():
        assert len(one.seconds) == len(one.values)
        assert np.isfinite(one.values).all()
        assert all(0.15 * len(one.values) < first < last < len(one.values) for first, last in one.windows)


def test_silence_is_nought_and_the_first_value_of_every_window_a_hundred(series: dict[str, Series]):
    some = [series["taxi"], series["latency"]]
    silent = judge("null", some, [np.full(len(one.values), 0.5) for one in some])
    right = [np.isin(np.arange(len(one.values)), [first for first, _ in one.windows]).astype(float) for one in some]
    perfect = judge("perfect", some, right)
    assert silent.scores == dict.fromkeys(PROFILES, 0.0)
    assert perfect.scores == pytest.approx(dict.fromkeys(PROFILES, 100.0))
    assert perfect.false == 0


def test_a_detection_in_the_middle_of_a_window_earns_most_of_it_and_one_outside_costs(series: dict[str, Series]):
    one = series["square, jump"]
    first, last = one.windows[0]
    scores = np.zeros(len(one.values))
    scores[(first + last) // 2] = 0.9
    alone = judge("middle", [one], [scores])
    scores[first - 500] = 0.95
    beside = judge("one false", [one], [scores])
    assert 90 < alone.scores["standard"] < 95
    assert beside.scores["standard"] == pytest.approx(alone.scores["standard"] - 100 * 0.11 / 2)
