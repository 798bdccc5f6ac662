from __future__ import annotations

import numpy as np
import pytest

from detectors.delay import NEXT_STEP, SAME_WINDOW, DelayBank
from tests.detection.library import Shop

ALL = np.ones(1, dtype=bool)
NO_PARENT = np.array([-1])


def taught(lag: int, minutes: int = 1500) -> DelayBank:
    """A bank that saw counts follow a restless upstream by so many minutes."""
    bank = DelayBank(60_000)
    bank.add(NEXT_STEP)
    rng = np.random.default_rng(2)
    upstream = rng.poisson(400 * np.exp(0.8 * np.sin(np.arange(minutes) / 7)))
    for minute in range(minutes):
        count = rng.binomial(upstream[max(0, minute - lag)], 0.4)
        look = bank.look(np.array([float(upstream[minute])]))
        bank.learn(look, np.array([float(count)]), ALL)
        if minute % 240 == 239:
            bank.choose(NO_PARENT)
    return bank


def test_counts_of_the_same_minute_choose_no_delay():
    assert taught(0).kernel[0] == SAME_WINDOW


def test_counts_that_come_later_choose_a_longer_kernel():
    kernels = [int(taught(lag).kernel[0]) for lag in (1, 4)]
    assert kernels[0] != SAME_WINDOW
    assert kernels[0] < kernels[1]


def test_a_steady_stream_is_its_own_average_under_every_kernel():
    bank = DelayBank(60_000)
    bank.add(NEXT_STEP)
    for _ in range(5):
        bank.learn(bank.look(np.array([70.0])), np.array([7.0]), ALL)
    look = bank.look(np.array([70.0]))
    assert look.told[0] == pytest.approx(np.full(17, 70.0))


def test_a_series_without_delay_is_never_given_one():
    bank = DelayBank(60_000)
    bank.add(SAME_WINDOW)
    rng = np.random.default_rng(4)
    for _ in range(500):
        bank.learn(bank.look(rng.poisson(50, 1).astype(float)), rng.poisson(20, 1).astype(float), ALL)
    bank.choose(NO_PARENT)
    assert bank.kernel[0] == SAME_WINDOW


def test_a_segment_takes_the_kernel_of_its_whole():
    bank = taught(4)
    bank.add(NEXT_STEP)
    bank.choose(np.array([-1, 0]))
    assert bank.kernel[1] == bank.kernel[0]


@pytest.mark.parametrize("seed", [1, 3, 6])
def test_a_rate_that_wanders_for_hours_is_not_taken_for_a_long_lag(seed: int):
    bank = DelayBank(60_000)
    bank.add(NEXT_STEP)
    windows = Shop(1000, 242, seed=seed, start_minute=540).windows()
    for counters in (window.rows[()].counters for window in windows):
        look = bank.look(np.array([float(counters["reached.product"])]))
        bank.learn(look, np.array([float(counters.get("reached.cart", 0))]), ALL)
    bank.choose(NO_PARENT)
    assert bank.kernel[0] == NEXT_STEP


def test_what_ends_late_is_in_doubt_for_as_long_as_a_long_visit_behind_a_jump_and_no_longer():
    bank = DelayBank(60_000)
    bank.add(SAME_WINDOW, late=True)
    slips = []
    for minute in range(200):
        look = bank.look(np.array([1000.0 if minute < 100 else 1500.0]))
        bank.learn(look, np.array([450.0]), ALL)
        bank.choose(NO_PARENT)
        slips.append(float(look.slip[0]) / 1500)
    assert max(slips[:100]) == 0.0
    assert min(slips[102:108]) > 0.15
    assert max(slips[160:]) < 0.02
