from __future__ import annotations

import math

import pytest

from detectors.base import Detector, Observation, Score
from detectors.checks import window
from detectors.guard import Guard


class Recorder(Detector):
    """Remembers what it was taught and scores whatever it is told to."""

    def __init__(self, answer: float = 0.7) -> None:
        self.answer = answer
        self.taught: list[Observation] = []

    def score_one(self, observation: Observation) -> Score:
        return Score(self.answer)

    def learn_one(self, observation: Observation) -> None:
        self.taught.append(observation)


def test_warm_up_ends_with_the_last_window_it_needs():
    guard = Guard(Recorder(), warm_up=2)
    guard.learn_one(window(0, 1))
    assert guard.readiness(window(1, 1)) == "warming_up"
    guard.learn_one(window(1, 1))
    assert guard.readiness(window(2, 1)) == "ready"
    assert guard.score_one(window(2, 1)).score == 0.7


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_number_waits_and_is_not_learnt(bad: float | None):
    guard = Guard(Recorder(), warm_up=0)
    observation = window(0, 1)._replace(value=bad)
    guard.learn_one(observation)
    assert guard.readiness(observation) == "waiting"
    assert guard.detector.taught == []


def test_a_window_counts_once_and_in_order():
    guard = Guard(Recorder(), warm_up=0)
    for number in (3, 3, 2, 4):
        guard.learn_one(window(number, number))
    assert [one.successes for one in guard.detector.taught] == [3, 4]


def test_after_a_gap_the_first_window_is_waited_for():
    guard = Guard(Recorder(), warm_up=1, gap_ms=600_000)
    guard.learn_one(window(0, 1))
    assert guard.readiness(window(10, 1)) == "ready"
    assert guard.readiness(window(11, 1)) == "waiting"
    guard.learn_one(window(11, 1))
    assert guard.readiness(window(12, 1)) == "ready"


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -0.5])
def test_a_score_that_is_no_score_is_silence(nonsense: float):
    assert Guard(Recorder(nonsense), warm_up=0).score_one(window(0, 1)).score == 0.0


def test_a_window_that_must_not_be_learnt_still_moves_time():
    guard = Guard(Recorder(), warm_up=0)
    guard.skip_one(window(5, 1))
    guard.learn_one(window(5, 1))
    assert guard.detector.taught == []
