from __future__ import annotations

import numpy as np
import pytest

from detectors.evidence import penalised_deviance
from detectors.visible import smallest_change


def smallest(expected: float, dispersion: float = 1.0, doubt: float = 0.002, hurts: int = -1) -> float:
    one = np.ones(1)
    return float(smallest_change(expected * one, dispersion * one, doubt * one, 10 * one, np.array([hurts]))[0])


@pytest.mark.parametrize("hurts", [-1, 1])
@pytest.mark.parametrize(("expected", "dispersion"), [(200.0, 1.0), (5000.0, 1.5), (400.0, 0.4), (3000.0, 0.08)])
def test_what_is_said_to_be_visible_brings_about_the_borders_evidence(expected: float, dispersion: float, hurts: int):
    doubt = 0.002 if dispersion > 0.1 else 1e-5
    share = smallest(expected, dispersion, doubt, hurts)
    if hurts > 0 and dispersion < 0.97:
        share = min(share, dispersion / (1 - dispersion))
    one = np.ones(1)
    observed = expected * (1 + hurts * share)
    found = penalised_deviance(observed * one, expected * one, dispersion * one, doubt * one)
    assert 6 < found[0] < 16


def test_more_counts_show_smaller_drops_down_to_what_the_model_doubts():
    told = [smallest(expected) for expected in (5, 50, 500, 5e4, 5e8)]
    assert told == sorted(told, reverse=True)
    assert told[0] == 1.0
    assert told[-1] == pytest.approx(1 - np.exp(-np.sqrt(2 * 10 * 0.002)), abs=0.02)
