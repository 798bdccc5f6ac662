from __future__ import annotations

import math
import random

import pytest

from detectors import checks, registry
from detectors.base import Detector, Observation, Score
from detectors.guard import Guard

SETTINGS = {"threshold": {"limit": 0.65}}


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", registry.names())
def test_every_registered_detector_keeps_the_contract(name: str, check: checks.Check):
    check(lambda: registry.create(name, **SETTINGS.get(name, {})))


class Honest(Detector):
    """Keeps the contract with nothing but a mean: the base of those that break it."""

    def __init__(self) -> None:
        self.n, self.mean = 0, 0.0

    def score_one(self, observation: Observation) -> Score:
        if not self.n or observation.value is None:
            return Score(0.0)
        return Score(max(0.0, (self.mean - observation.value) / 0.1))

    def learn_one(self, observation: Observation) -> None:
        self.n += 1
        self.mean += (observation.value - self.mean) / self.n


class Saturating(Honest):
    def score_one(self, observation: Observation) -> Score:
        return Score(min(1.0, super().score_one(observation).score))


class LearnsWhileLooking(Honest):
    def score_one(self, observation: Observation) -> Score:
        told = super().score_one(observation)
        if observation.value is not None and self.n:
            self.mean += 0.001
        return told


class Moody(Honest):
    def score_one(self, observation: Observation) -> Score:
        return Score(super().score_one(observation).score * random.random())


class Greedy(Honest):
    """Learns what is no number, which it then never forgets."""

    def learn_one(self, observation: Observation) -> None:
        value = math.nan if observation.value is None else observation.value
        self.n += 1
        self.mean += (value - self.mean) / self.n


class Hasty(Honest):
    def score_one(self, observation: Observation) -> Score:
        return Score(3.0) if self.n < 5 else super().score_one(observation)


class Blind(Honest):
    def score_one(self, observation: Observation) -> Score:
        return Score(0.0)


class Jumpy(Honest):
    def score_one(self, observation: Observation) -> Score:
        return Score(super().score_one(observation).score * 40)


class TwoSided(Honest):
    def score_one(self, observation: Observation) -> Score:
        return Score(abs(self.mean - (observation.value or 0.0)) / 0.1 if self.n else 0.0)


class Unclonable(Honest):
    def clone(self, new_params=None, include_attributes=False):
        return self


class Unpicklable(Honest):
    def __init__(self) -> None:
        super().__init__()
        self.trap = lambda: None


BAD = {
    Saturating: checks.deeper_is_worse_without_end,
    LearnsWhileLooking: checks.looking_changes_nothing,
    Moody: checks.learning_is_deterministic,
    Greedy: checks.what_is_no_number_leaves_no_trace,
    Hasty: checks.no_score_before_the_warm_up,
    Blind: checks.a_stop_is_found,
    Jumpy: checks.calm_is_calm,
    TwoSided: checks.the_harmless_side_is_calm,
    Unclonable: checks.a_clone_starts_afresh,
}


def test_an_honest_detector_behind_the_guard_keeps_the_contract():
    assert len(checks.check(lambda: Guard(Honest()))) == len(checks.CHECKS)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.__name__)
def test_a_detector_that_breaks_a_rule_is_found_by_its_check(bad: type[Detector]):
    with pytest.raises(checks.ContractError):
        BAD[bad](bad)


def test_a_detector_that_cannot_be_stored_is_found():
    with pytest.raises(Exception, match=r"pickle|lambda|local"):
        checks.copies_and_pickles_go_on_alike(Unpicklable)


def test_without_the_guard_repeated_windows_are_learnt_twice():
    with pytest.raises(checks.ContractError):
        checks.repeated_and_older_windows_leave_no_trace(Honest)
