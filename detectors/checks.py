"""The contract as checks that run on any detector: each raises ``ContractError`` with what it saw."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from detectors.base import Detector, Observation

__all__ = ["CHECKS", "ContractError", "calm_windows", "check", "window"]

Make = Callable[[], Detector]
Check = Callable[[Make], None]

MINUTE_MS = 60_000
START_MS = 1_760_000_040_000
HISTORY = 240
"""Calm windows that every check lets a detector learn first."""

TRIALS = 400
RATE = 0.8


class ContractError(AssertionError):
    """A detector breaks the contract; the message tells how."""


def window(number: int, successes: float, trials: float = TRIALS) -> Observation:
    """The observation of a minute, counted from an arbitrary start."""
    start = START_MS + number * MINUTE_MS
    value = successes / trials if trials else None
    return Observation("payment_success_ratio", (), start, start + MINUTE_MS, value, successes, trials)


def calm_windows(count: int, seed: int = 5) -> Iterator[Observation]:
    """Binomial minutes with a steady rate; the same for the same seed."""
    rng = np.random.default_rng(seed)
    for number, successes in enumerate(rng.binomial(TRIALS, RATE, size=count)):
        yield window(number, float(successes))


def check(make: Make) -> list[str]:
    """Run every check; the names of those that passed. The first that fails raises ``ContractError``."""
    for each in CHECKS:
        each(make)
    return [each.__name__ for each in CHECKS]


def scores_are_numbers_from_zero_up(make: Make) -> None:
    """Finite, and 0 or more, on any usable input: one trial, no success, all successes, huge counts."""
    detector = _taught(make)
    odd = [(0, 1), (1, 1), (0, 10), (TRIALS, TRIALS), (0, 1e7), (1e7, 1e7)]
    for number, (successes, trials) in enumerate(odd):
        score = detector.score_one(window(HISTORY + number, successes, trials)).score
        _demand(math.isfinite(score) and score >= 0, f"score {score} of {successes} in {trials}")


def looking_changes_nothing(make: Make) -> None:
    """Asking twice gives one answer, and a detector that was asked goes on like one that was not."""
    asked, silent = make(), make()
    for each in calm_windows(HISTORY):
        first, second = asked.score_one(each), asked.score_one(each)
        _demand(first == second, f"first {first}, then {second}")
        asked.score_one(each._replace(successes=0.0, value=0.0))
        asked.learn_one(each)
        silent.learn_one(each)
    _same(asked, silent, "after looking")


def learning_is_deterministic(make: Make) -> None:
    """Two of a kind that saw the same say the same."""
    _same(_taught(make), _taught(make), "of a twin")


def copies_and_pickles_go_on_alike(make: Make) -> None:
    """A deep copy and a pickle carry the whole state."""
    detector = _taught(make)
    _same(copy.deepcopy(detector), detector, "of a copy")
    _same(pickle.loads(pickle.dumps(detector)), detector, "of a pickle")  # noqa: S301 - our own bytes


def a_clone_starts_afresh(make: Make) -> None:
    """``clone`` keeps the settings and none of the learning."""
    clone = _taught(make).clone()
    for each in calm_windows(HISTORY):
        clone.learn_one(each)
    _same(clone, _taught(make), "of a clone taught anew")


def what_is_no_number_leaves_no_trace(make: Make) -> None:
    """NaN, infinity and an unknown value are neither scored nor learnt."""
    poisoned, clean = _taught(make), _taught(make)
    for number, bad in enumerate((math.nan, math.inf, -math.inf, None)):
        successes = 1.0 if bad is None else bad
        poison = window(HISTORY + number, 1.0)._replace(value=bad, successes=successes)
        score = poisoned.score_one(poison).score
        _demand(score == 0, f"score {score} of the value {bad}")
        poisoned.learn_one(poison)
    _same(poisoned, clean, "after values that are no numbers")


def repeated_and_older_windows_leave_no_trace(make: Make) -> None:
    """A window counts once, in order."""
    repeated, clean = _taught(make), _taught(make)
    for number in (HISTORY - 1, 3):
        repeated.learn_one(window(number, 0.0))
    _same(repeated, clean, "after repeated windows")


def a_gap_harms_nothing(make: Make) -> None:
    """After a day without windows calm ones are calm again."""
    detector = _taught(make)
    rng = np.random.default_rng(11)
    for number in range(60):
        each = window(HISTORY + 1440 + number, float(rng.binomial(TRIALS, RATE)))
        score = detector.score_one(each).score
        _demand(math.isfinite(score) and score < 1, f"score {score}, {number} windows after a gap")
        detector.learn_one(each)


def no_score_before_the_warm_up(make: Make) -> None:
    """Before anything was learnt there is nothing to be surprised at."""
    detector = make()
    for number in range(10):
        score = detector.score_one(window(number, 0.0)).score
        _demand(score == 0, f"score {score} of window {number}")
        detector.learn_one(window(number, 0.0 if number % 2 else 300.0))


def calm_is_calm(make: Make) -> None:
    """Under one window in two hundred passes the border on a steady series."""
    detector = make()
    loud = 0
    for each in calm_windows(2 * HISTORY, seed=17):
        loud += detector.score_one(each).score >= 1
        detector.learn_one(each)
    _demand(loud <= 2 * HISTORY / 200, f"{loud} of {2 * HISTORY} calm windows are over the border")


def a_stop_is_found(make: Make) -> None:
    """No success in hundreds of trials is over the border at once."""
    score = _taught(make).score_one(window(HISTORY, 0.0)).score
    _demand(score >= 1, f"score {score} of a stop")


def deeper_is_worse_without_end(make: Make) -> None:
    """The score goes on growing with the drop: what saturates cannot rank."""
    detector = _taught(make)
    rates = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)
    scores = [detector.score_one(window(HISTORY, rate * TRIALS)).score for rate in rates]
    _demand(all(a <= b for a, b in pairwise(scores)), f"not monotone: {scores}")
    tail = [score for score in scores if score >= 1]
    _demand(len(set(tail)) == len(tail) > 2, f"saturates: {scores}")


def the_harmless_side_is_calm(make: Make) -> None:
    """A rise of what hurts by falling is no finding."""
    score = _taught(make).score_one(window(HISTORY, float(TRIALS))).score
    _demand(score < 1, f"score {score} of a rise")


def a_constant_series_is_calm(make: Make) -> None:
    """No spread at all is no reason to divide by it."""
    detector = make()
    for number in range(HISTORY):
        detector.learn_one(window(number, 320.0))
    for successes in (320.0, 319.0):
        score = detector.score_one(window(HISTORY, successes)).score
        _demand(math.isfinite(score) and score < 1, f"score {score} of {successes} after 320 for ever")


CHECKS: tuple[Check, ...] = (
    scores_are_numbers_from_zero_up,
    looking_changes_nothing,
    learning_is_deterministic,
    copies_and_pickles_go_on_alike,
    a_clone_starts_afresh,
    what_is_no_number_leaves_no_trace,
    repeated_and_older_windows_leave_no_trace,
    a_gap_harms_nothing,
    no_score_before_the_warm_up,
    calm_is_calm,
    a_stop_is_found,
    deeper_is_worse_without_end,
    the_harmless_side_is_calm,
    a_constant_series_is_calm,
)


def _taught(make: Make) -> Detector:
    detector = make()
    for each in calm_windows(HISTORY):
        detector.learn_one(each)
    return detector


def _same(one: Detector, other: Detector, when: str) -> None:
    for rate in (0.8, 0.5, 0.0):
        each = window(HISTORY + 5, rate * TRIALS)
        left, right = one.score_one(each), other.score_one(each)
        _demand(left == right, f"{left} {when}, {right} without")


def _demand(holds: bool, told: str) -> None:
    if not holds:
        raise ContractError(told)
