from __future__ import annotations

import copy
import math
import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from detectors.scorer import OnlineScorer, make_detector

SHAPES = {
    "steady": lambda rng, n: rng.normal(100, 5),
    "daily counts": lambda rng, n: rng.poisson(200 * math.exp(0.8 * math.sin(n / 288 * 2 * math.pi))),
    "around zero": lambda rng, n: rng.normal(0, 1),
    "a ratio": lambda rng, n: rng.binomial(300, 0.9) / 300,
    "constant": lambda rng, n: 5.0,
}


def taught(shape: str, count: int = 2500) -> tuple[OnlineScorer, list[float]]:
    detector, rng = make_detector(), np.random.default_rng(1)
    return detector, [detector.score_one(300 * n, SHAPES[shape](rng, n)) for n in range(count)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_calm_series_stays_under_the_border_and_within_the_unit_interval(shape: str):
    _, scores = taught(shape)
    assert all(0 <= score < 1 for score in scores)
    assert sum(score > 0.5 for score in scores) <= 3


@pytest.mark.parametrize(
    ("shape", "value"), [("steady", 40), ("daily counts", 0), ("around zero", -12), ("a ratio", 0.5), ("constant", 3)]
)
def test_a_cliff_is_over_the_border(shape: str, value: float):
    detector, _ = taught(shape)
    assert detector.score_one(300 * 2500, value) > 0.5


def test_a_deeper_cliff_scores_higher():
    detector, _ = taught("steady")
    scores = [copy.deepcopy(detector).score_one(300 * 2500, value) for value in (100, 60, 40, 20, 0)]
    assert scores == sorted(scores)
    assert len(set(scores)) == 5


def test_a_small_shift_is_found_after_several_values():
    detector, _ = taught("steady")
    scores = [detector.score_one(300 * (2500 + n), 84) for n in range(6)]
    assert scores[0] < 0.5 < max(scores)


def square(rng: np.random.Generator, n: int) -> float:
    return (100 if n % 288 < 96 else 40) + rng.normal(0, 2)


def walk(values: list[float], rng: np.random.Generator) -> float:
    return 0.97 * (values[-1] if values else 0.0) + rng.normal(0, 5)


def test_edges_that_come_every_day_become_usual():
    detector, rng = make_detector(), np.random.default_rng(3)
    scores = [detector.score_one(300 * n, square(rng, n)) for n in range(288 * 14)]
    assert sum(score > 0.5 for score in scores[288 * 10 :]) <= 15
    assert detector.score_one(300 * 288 * 14, 0) > 0.5


def test_a_level_that_wanders_is_followed_and_a_jump_out_of_it_is_not():
    detector, rng, values = make_detector(), np.random.default_rng(4), []
    scores = []
    for n in range(3000):
        values.append(walk(values, rng))
        scores.append(detector.score_one(300 * n, 200 + values[-1]))
    assert sum(score > 0.5 for score in scores) <= 20
    assert detector.score_one(300 * 3000, 200 + values[-1] - 60) > 0.5


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
def test_what_is_no_number_scores_nothing_and_leaves_no_trace(bad: float | None):
    detector, _ = taught("steady", 200)
    twin = copy.deepcopy(detector)
    assert detector.score_one(300 * 200, bad) == 0.0
    assert detector.score_one(300 * 201, 70) == twin.score_one(300 * 201, 70)


def test_every_way_to_write_a_moment_means_the_same():
    start = datetime(2026, 3, 1, tzinfo=UTC)
    moments = [start + timedelta(minutes=5 * n) for n in range(100)]
    ways = [
        moments,
        [moment.isoformat() for moment in moments],
        [moment.timestamp() for moment in moments],
        [round(moment.timestamp() * 1000) for moment in moments],
    ]
    rng = np.random.default_rng(2)
    values = rng.normal(10, 1, 100)
    scores = []
    for way in ways:
        detector = make_detector()
        scores.append([detector.score_one(moment, value) for moment, value in zip(way, values, strict=True)])
    assert scores[0] == scores[1]
    for other in scores[2:]:
        assert other == pytest.approx(scores[0])


def test_a_pickled_scorer_goes_on_alike():
    detector, _ = taught("steady", 300)
    twin = pickle.loads(pickle.dumps(detector))
    assert detector.score_one(300 * 300, 90) == twin.score_one(300 * 300, 90)


def test_a_gap_of_a_day_is_no_finding():
    detector, _ = taught("steady")
    assert detector.score_one(300 * 2500 + 86_400, 101) < 0.5
