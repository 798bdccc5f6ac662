from __future__ import annotations

import copy
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from detectors.delay import SAME_WINDOW
from detectors.scan import WINDOWS, Look, Scan, SeriesSpec
from detectors.seasonal import rate_basis, segment_basis, volume_basis

SEEN = np.ones(1, dtype=bool)


def ratio_scan(minutes: int, rate: float = 0.3, trials: int = 300) -> tuple[Scan, int]:
    """A scan of one ratio after calm binomial minutes, and the next step."""
    scan = Scan(rate_basis(ZoneInfo("UTC")))
    scan.add(SeriesSpec(kernel=SAME_WINDOW, binomial=True), step=1000)
    rng = np.random.default_rng(3)
    for step in range(1001, 1001 + minutes):
        scan.learn(look(scan, step, rng.binomial(trials, rate), trials))
    return scan, 1001 + minutes


def look(scan: Scan, step: int, successes: float, trials: float) -> Look:
    return scan.look(step, np.array([float(successes)]), np.array([float(trials)]), SEEN)


def test_the_expected_count_is_the_rate_times_the_trials():
    scan, step = ratio_scan(240)
    told = look(scan, step, 90, 600)
    assert told.expected[0, 0] == pytest.approx(180, rel=0.05)


def test_looking_leaves_no_trace():
    scan, step = ratio_scan(120)
    before = copy.deepcopy(scan.__dict__)
    look(scan, step, 0, 300)
    for name in ("sums", "total", "masked", "since"):
        assert np.array_equal(before[name], getattr(scan, name))
    assert np.array_equal(before["model"].mean, scan.model.mean)


def test_a_cliff_is_told_by_the_shortest_window_and_a_small_drop_by_a_long_one():
    scan, step = ratio_scan(600)
    cliff = look(scan, step, 5, 300)
    assert WINDOWS[cliff.evidence[0].argmax()] == 1
    rng = np.random.default_rng(5)
    for late in range(40):
        told = look(scan, step + late, rng.binomial(300, 0.25), 300)
        scan.learn(told)
    assert WINDOWS[told.evidence[0].argmax()] >= 12
    assert told.evidence[0].max() > 4.5


def test_windows_of_up_to_half_an_hour_are_judged_by_what_came_before_them():
    scan, step = ratio_scan(240)
    before = look(scan, step, 90, 300).expected[0, 0]
    for late in range(25):
        scan.learn(look(scan, step + late, 0, 300))
    assert look(scan, step + 25, 90, 300).expected[0, 0] == pytest.approx(before, rel=0.03)


def test_a_window_is_as_much_in_doubt_as_what_was_guessed_in_it():
    scan, step = ratio_scan(240)
    for late in range(19):
        scan.model.cov[0, 0, 0] = 0.09
        scan.learn(look(scan, step + late, 90, 300))
    scan.model.cov[0, 0, 0] = 1e-6
    doubt = dict(zip(WINDOWS.tolist(), look(scan, step + 19, 90, 300).doubt[0], strict=True))
    assert doubt[1] < 0.02
    assert doubt[20] > 0.05


def test_what_is_masked_is_not_learnt():
    scan, step = ratio_scan(240)
    for late in range(100):
        scan.learn(look(scan, step + late, 0, 300))
        scan.mask(slice(None), step + late - 1, step + late)
    assert look(scan, step + 100, 90, 300).expected[0, 0] == pytest.approx(90, rel=0.1)


def test_a_gap_of_hours_leaves_the_expectation_and_gives_no_evidence():
    scan, step = ratio_scan(240)
    told = look(scan, step + 500, 90, 300)
    scan.learn(told)
    assert told.evidence.max() < 3
    assert told.expected[0, 0] == pytest.approx(90, rel=0.1)


def test_accepting_a_level_makes_it_the_expected_one():
    scan, step = ratio_scan(240)
    for late in range(61):
        told = look(scan, step + late, 45, 300)
        scan.learn(told)
        scan.mask(slice(None), step + late - 1, step + late)
    scan.accept(0, 45 * 60, 90 * 60, 300 * 60)
    assert look(scan, step + 61, 45, 300).expected[0, 0] == pytest.approx(45, rel=0.15)


def test_a_segment_follows_its_whole_and_keeps_its_own_level():
    basis = rate_basis(ZoneInfo("UTC"))
    scan = Scan(basis)
    scan.add(SeriesSpec(kernel=SAME_WINDOW, binomial=True), step=0)
    scan.add(SeriesSpec(kernel=SAME_WINDOW, binomial=True, parent=0), segment_basis(basis), step=0)
    rng = np.random.default_rng(8)
    for step in range(1, 400):
        counts = rng.binomial([1000, 200], [0.5, 0.6]).astype(float)
        told = scan.look(step, counts, np.array([1000.0, 200.0]), np.ones(2, dtype=bool))
        scan.learn(told)
    assert told.expected[1, 0] == pytest.approx(120, rel=0.06)


def test_a_young_volume_is_in_doubt_about_the_hours_it_has_not_seen():
    scan = Scan(volume_basis(ZoneInfo("UTC")))
    scan.add(SeriesSpec(volume=True), step=0)
    rng = np.random.default_rng(9)
    for step in range(1, 121):
        scan.learn(look(scan, step, rng.poisson(500), 1))
    soon, later = look(scan, 121, 500, 1), look(scan, 121 + 360, 500, 1)
    assert later.doubt[0, 0] > 5 * soon.doubt[0, 0]


@pytest.mark.parametrize("noise", [2.0, 15.0, 40.0])
def test_amounts_are_as_noisy_as_they_were_seen_to_be(noise: float):
    scan = Scan(rate_basis(ZoneInfo("UTC")))
    scan.add(SeriesSpec(kernel=SAME_WINDOW, compound=True), step=1000)
    rng = np.random.default_rng(13)
    loudest = 0.0
    for step in range(1001, 1401):
        told = look(scan, step, noise * rng.gamma(300 / noise), 300)
        loudest = max(loudest, float(told.evidence.max()))
        scan.learn(told)
        if step == 1100:
            assert scan.model.phi1[0] == pytest.approx(max(noise, 4.0), rel=0.5)
    assert loudest < 10


def test_a_handful_of_failures_is_no_proof_even_where_nearly_all_succeed():
    scan, step = ratio_scan(240, rate=0.998, trials=40)
    few, many = (look(scan, step, successes, 40).evidence.max() for successes in (36, 20))
    assert few <= 3 * 4.2
    assert many > few
