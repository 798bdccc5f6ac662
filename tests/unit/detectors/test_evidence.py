from __future__ import annotations

import numpy as np
import pytest

from detectors.evidence import penalised_deviance


def brute(observed: float, expected: float, dispersion: float, doubt: float) -> float:
    """The minimum over a fine grid of wrong levels."""
    shift = np.linspace(-30, 30, 600_001)
    if dispersion < 0.97:
        rate = 1 - dispersion
        trials = expected / rate
        seen = min(observed, trials)
        centre = np.log(rate / dispersion)
        p, q = 1 / (1 + np.exp(-(centre + shift))), 1 / (1 + np.exp(centre + shift))
        hit = seen * np.log(np.maximum(seen, 1e-300) / (trials * p)) if seen else 0.0
        rest = trials - seen
        miss = rest * np.log(rest / (trials * q)) if rest > 1e-9 else 0.0
        return float(np.min(hit + miss + shift**2 / (2 * doubt / dispersion**2)))
    mean = expected * np.exp(shift)
    hit = observed * np.log(observed / mean) if observed else 0.0
    return float(np.min((hit - observed + mean) / dispersion + shift**2 / (2 * doubt)))


@pytest.mark.parametrize("dispersion", [0.05, 0.3, 0.8, 1.0, 2.5])
@pytest.mark.parametrize("doubt", [1e-4, 0.01, 0.3])
@pytest.mark.parametrize(("observed", "expected"), [(0, 40.0), (200, 400.0), (300, 400.0), (700, 400.0), (2, 30.0)])
def test_the_minimum_is_the_one_a_fine_grid_finds(observed: float, expected: float, dispersion: float, doubt: float):
    variance = dispersion * expected + doubt * expected**2
    if (observed - expected) ** 2 / (2 * variance) < 3:
        return
    found = penalised_deviance(*(np.array([float(v)]) for v in (observed, expected, dispersion, doubt)))[0]
    assert found == pytest.approx(brute(observed, expected, dispersion, doubt), rel=1e-3, abs=1e-2)


def test_nothing_expected_is_no_evidence():
    assert penalised_deviance(np.array([5.0]), np.array([0.0]), np.array([1.0]), np.array([0.1])).tolist() == [0.0]


def test_evidence_grows_with_the_size_of_the_shop_and_never_saturates():
    sizes = np.array([100.0, 1_000.0, 10_000.0, 100_000.0])
    evidence = penalised_deviance(0.5 * sizes, sizes, np.full(4, 1.0), np.full(4, 1e-4))
    assert (np.diff(evidence) > 0).all()


def test_a_model_in_doubt_is_surprised_less():
    doubts = np.array([1e-4, 1e-3, 1e-2, 1e-1])
    evidence = penalised_deviance(np.full(4, 300.0), np.full(4, 500.0), np.full(4, 1.0), doubts)
    assert (np.diff(evidence) < 0).all()
