from __future__ import annotations

import numpy as np
import pytest

from detectors.base import Observation
from detectors.long import LongDetector

HOUR, DAY = 3_600_000, 86_400_000
MONDAY = 1_767_571_200_000


def hours(count: int, rate: float, seed: int, trials: int = 400, worse: int | None = None) -> list[Observation]:
    """A ratio with a day's shape; from the hour ``worse`` on a third more."""
    rng, told = np.random.default_rng(seed), []
    for n in range(count):
        usual = rate * (1 + 0.1 * np.sin(2 * np.pi * n / 24)) * (4 / 3 if worse is not None and n >= worse else 1)
        u = int(rng.poisson(trials * (1.2 + np.cos(2 * np.pi * n / 24))))
        x = int(rng.binomial(u, usual))
        told.append(Observation("k", (), MONDAY + n * HOUR, MONDAY + (n + 1) * HOUR, x / u if u else None, x, u))
    return told


def scores(detector: LongDetector, told: list[Observation]) -> list[float]:
    result = []
    for one in told:
        result.append(detector.score_one(one).score)
        detector.learn_one(one)
    return result


@pytest.mark.parametrize("seed", range(3))
def test_two_calm_weeks_of_hours_have_no_finding_and_a_third_more_is_found_within_hours(seed: int) -> None:
    calm = scores(LongDetector(hurts="up"), hours(336, 0.3, seed))
    assert max(calm[24:]) < 1
    told = scores(LongDetector(hurts="up"), hours(230, 0.3, seed, worse=200))
    assert max(told[24:200]) < 1 < max(told[200:206])


def test_the_side_that_does_not_hurt_is_no_finding() -> None:
    told = scores(LongDetector(hurts="down"), hours(230, 0.3, 1, worse=200))
    assert max(told[24:]) < 1


def test_days_know_their_weekday_after_some_weeks() -> None:
    rng, detector, told = np.random.default_rng(4), LongDetector(DAY, hurts="down"), []
    for n in range(42):
        usual = 5_000 * (0.6 if n % 7 >= 5 else 1.0) * (0.5 if n == 41 else 1.0)
        count = int(rng.normal(usual, 0.03 * usual))
        told.append(Observation("orders", (), MONDAY + n * DAY, MONDAY + (n + 1) * DAY, count, count, None))
    result = scores(detector, told)
    assert max(result[14:41]) < 1 < result[41]


def test_a_window_without_trials_says_nothing() -> None:
    detector = LongDetector()
    for one in hours(30, 0.3, 1):
        detector.learn_one(one)
    empty = Observation("k", (), MONDAY + 30 * HOUR, MONDAY + 31 * HOUR, None, 0, 0)
    before = repr(detector.mean)
    assert detector.score_one(empty).score == 0
    detector.learn_one(empty)
    assert repr(detector.mean) == before


def test_what_is_expected_comes_in_the_unit_of_the_value() -> None:
    detector = LongDetector()
    told = hours(100, 0.3, 2)
    scores(detector, told[:-1])
    score = detector.score_one(told[-1])
    assert score.lower < 0.3 * 0.9 < score.expected < 0.3 * 1.15 < score.upper
