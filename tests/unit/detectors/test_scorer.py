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


TUESDAY = 1_396_310_400


def opening_hours(rng: np.random.Generator, days: int) -> np.ndarray:
    """Twenty at night, eighty from nine to six, every day of the week."""
    hour = np.arange(288 * days) % 288 / 12
    return np.where((hour >= 9) & (hour < 18), 80.0, 20.0) + rng.uniform(0, 8, 288 * days)


def scored(values: np.ndarray, step: int = 300) -> np.ndarray:
    detector = make_detector()
    return np.array([detector.score_one(TUESDAY + step * n, value) for n, value in enumerate(values)])


def test_the_first_weekend_begins_as_what_weekdays_know():
    scores = scored(opening_hours(np.random.default_rng(5), 6))
    assert (scores[288 * 4 :] > 0.5).sum() <= 3


@pytest.mark.parametrize("move", [-40, -60, 60])
def test_a_day_that_is_another_is_told_in_its_first_hour(move: float):
    values = opening_hours(np.random.default_rng(6), 11)
    begin = 288 * 10 + 9 * 12
    values[begin : begin + 9 * 12] += move
    scores = scored(values)
    assert scores[begin : begin + 12].max() > max(0.5, scores[604:begin].max())


def test_a_step_is_told_once_and_not_at_every_value_after_it():
    rng = np.random.default_rng(7)
    values = rng.normal(100, 5, 2500)
    values[1500:] += 80
    scores = scored(values)
    assert scores[1500] > 0.5
    assert (scores[1500:] > 0.5).sum() <= 2


def test_spikes_that_come_all_the_time_become_usual_and_one_above_them_all_is_not():
    rng = np.random.default_rng(8)
    values = rng.uniform(20, 28, 3000)
    values[rng.random(3000) < 0.015] += 60
    values[2500] = 300
    scores = scored(values)
    assert (scores[600:2500] > 0.5).sum() <= 6
    assert scores[2500] > max(0.5, scores[600:2500].max())


def test_an_hourly_job_becomes_usual_and_its_absence_does_not():
    rng = np.random.default_rng(9)
    values = 100 + rng.normal(0, 2, 2400)
    values[11::12] += 900
    values[2183] -= 900
    scores = scored(values)
    assert (scores[600:2183] > 0.5).sum() <= 3
    assert scores[2183] > max(0.5, scores[600:2183].max())


def test_a_line_that_goes_flat_is_noticed():
    rng = np.random.default_rng(10)
    values = rng.normal(50, 8, 2500)
    values[2000:] = 50.0
    scores = scored(values)
    assert scores[2000:2200].max() > np.sort(scores[604:2000])[-3]


def test_an_outage_at_noon_is_told_where_every_night_is_nought_and_the_series_began_with_one():
    rng = np.random.default_rng(11)
    hour = np.arange(288 * 8) % 288 / 12
    values = np.where(hour < 5, 0, rng.poisson(60 * (1 + 0.5 * np.sin((hour - 9) / 24 * 2 * math.pi)))).astype(float)
    values[288 * 7 + 150 : 288 * 7 + 162] = 0
    scores = scored(values)
    assert (scores[604 : 288 * 7] > 0.5).sum() <= 6
    assert scores[288 * 7 + 150] > 0.5


def test_evidence_however_great_never_reaches_one_and_stays_apart():
    detector, _ = taught("steady")
    scores = [copy.deepcopy(detector).score_one(300 * 2500, 10.0**power) for power in (3, 6, 12, 100, 300)]
    assert scores == sorted(scores)
    assert len(set(scores)) == 5
    assert scores[-1] < 1


def test_scores_do_not_depend_on_the_unit():
    rng = np.random.default_rng(12)
    values = rng.gamma(4.0, 5.0, 900)
    assert scored(values * 1e6) == pytest.approx(scored(values), abs=1e-6)
