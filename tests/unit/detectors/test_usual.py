from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from detectors import usual as module
from detectors.usual import LAG, MOST, RECENT, Usual

MINUTE = 60_000
IOS, WEB = ("ios", "new"), ("web", "new")


def watched(windows: int, hits=(90, 80), tries=(100, 100)) -> Usual:
    usual = Usual(("device", "customer"), ("hits", "tries"), MINUTE)
    for minute in range(1, windows + 1):
        usual.take(minute * MINUTE, [IOS, WEB], {"hits": hits, "tries": tries})
    return usual


def asked(usual: Usual, since: int, **more):
    return usual.leaves(since * MINUTE, ("hits",), ("tries",), **more)


def test_a_window_is_usual_only_once_it_is_some_windows_old():
    assert asked(watched(LAG), LAG - 1) is None
    assert asked(watched(LAG + 1), LAG) is not None


def test_what_came_since_an_onset_is_never_usual():
    usual = watched(40)
    for minute in range(41, 41 + 2 * LAG):
        usual.take(minute * MINUTE, [IOS, WEB], {"hits": (0, 80), "tries": (100, 100)})
        usual.mask(40 * MINUTE)
    leaves = asked(usual, 41)
    assert leaves is not None
    assert leaves.usual.round(2).tolist() == [0.9, 0.8]
    assert leaves.successes[0] == 0


def test_what_is_usual_fades_over_a_day():
    usual = watched(200)
    for minute in range(201, 201 + 3 * 1440):
        usual.take(minute * MINUTE, [IOS, WEB], {"hits": (50, 80), "tries": (100, 100)})
    leaves = asked(usual, 4000)
    assert leaves is not None
    assert abs(leaves.usual[0] - 0.5) < 0.01


def test_only_the_windows_since_the_moment_are_counted_and_only_the_recent_ones():
    usual = watched(200)
    assert asked(usual, 197).trials.tolist() == [300, 300]
    assert asked(usual, 0).trials.tolist() == [100 * RECENT] * 2
    assert (usual.windows(197 * MINUTE), usual.windows(0)) == (3, RECENT)


def test_within_a_segment_its_combinations_are_asked_by_the_other_dimensions():
    leaves = asked(watched(100), 90, within=(("device", "web"),))
    assert leaves.dimensions == ("customer",)
    assert leaves.successes.tolist() == [800]


def test_dimensions_that_may_not_be_told_are_left_out():
    leaves = asked(watched(100), 90, dimensions=("device",))
    assert leaves.dimensions == ("device",)
    assert leaves.values == (("ios", "web"),)


def test_a_count_has_usual_counts_and_no_trials():
    leaves = watched(100).leaves(95 * MINUTE, ("hits",))
    assert leaves.trials is None
    assert leaves.usual[0] / leaves.usual[1] == pytest.approx(90 / 80)


def test_a_counter_with_a_minus_is_taken_off():
    leaves = watched(100).leaves(95 * MINUTE, ("tries", "-hits"), ("tries",))
    assert leaves.successes.tolist() == [50, 100]


def test_combinations_beyond_the_most_are_forgotten_the_small_ones_first():
    usual = watched(100)
    for minute in range(101, 104):
        fresh = [(f"{minute}-{n}", "new") for n in range(MOST // 2)]
        usual.take(minute * MINUTE, [IOS, *fresh], {"hits": [90] + [1] * len(fresh), "tries": [100] + [1] * len(fresh)})
    leaves = asked(usual, 100)
    assert len(leaves.successes) <= MOST
    assert leaves.successes.sum() == 3 * (90 + MOST // 2)
    at = leaves.values[0].index("ios")
    assert leaves.successes[leaves.codes[0] == at].sum() == 270
    assert (leaves.usual[leaves.codes[0] == at].round(2) == 0.9).all()


def test_a_copy_goes_on_as_the_original_does():
    usual = watched(100)
    copies = [copy.deepcopy(usual), pickle.loads(pickle.dumps(usual))]
    for one in (usual, *copies):
        one.take(101 * MINUTE, [("tv", "new"), IOS], {"hits": (1, 90), "tries": (10, 100)})
    told = [repr(asked(one, 99)) for one in (usual, *copies)]
    assert told[0] == told[1] == told[2]


def test_a_rate_of_few_trials_is_drawn_to_what_its_values_make_likely():
    codes = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
    rates = module.usual_rates(codes, np.array([900.0, 500.0, 450.0, 0.0]), np.array([1000.0, 1000.0, 1000.0, 1.0]))
    assert 0.2 < rates[3] < 0.35
