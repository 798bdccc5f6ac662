"""Adtributor, for comparison: root causes of a derived measure in one dimension at a time.

R. Bhagwan, R. Kumar, R. Ramjee et al., "Adtributor: Revenue Debugging in Advertising Systems", NSDI 2014. The element
of a dimension has explanatory power (its part of the change, by partial derivatives of the ratio) and surprise
(Jensen-Shannon divergence of its part of numerator and denominator). A dimension's elements are taken by surprise until
they explain enough; the dimension that is most surprising with the fewest elements is the answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.base import SegmentKey
from tests.support.cubes import Cube

__all__ = ["adtribute"]

Floats = NDArray[np.float64]

EXPLAINED = 0.67
"""Share of the change that the elements of an answer have to explain together (T_EP of the paper)."""

EACH = 0.10
"""Share that each of them has to explain (T_EEP)."""


def adtribute(cube: Cube) -> list[SegmentKey]:
    """The elements of the most surprising dimension that explains the change of the ratio; none where none does."""
    scale = cube.trials.sum() / max(cube.usual_trials.sum(), 1)
    forecast = (cube.usual_successes * scale, cube.usual_trials * scale)
    told: list[tuple[float, list[SegmentKey]]] = []
    for row, dimension in enumerate(cube.dimensions):
        size = len(cube.values[row])
        actual = [np.bincount(cube.codes[row], one, size) for one in (cube.successes, cube.trials)]
        fair = [np.bincount(cube.codes[row], one, size) for one in forecast]
        power = _power(actual, fair)
        surprise = _surprise(actual[0], fair[0]) + _surprise(actual[1], fair[1])
        explained, shock, chosen = 0.0, 0.0, []
        for element in np.argsort(-surprise, kind="stable").tolist():
            if power[element] > EACH:
                chosen.append(((dimension, cube.values[row][element]),))
                explained, shock = explained + power[element], shock + surprise[element]
            if explained > EXPLAINED:
                told.append((shock, chosen))
                break
    # The paper: the most surprise, the fewest elements first (Occam).
    told.sort(key=lambda one: -one[0])
    return told[0][1] if told else []


def _power(actual: list[Floats], fair: list[Floats]) -> Floats:
    """Explanatory power of each element for the ratio of two measures, its parts adding up to one."""
    top, base = float(fair[0].sum()), float(fair[1].sum())
    moved_top, moved_base = actual[0] - fair[0], actual[1] - fair[1]
    parts = (moved_top * base - moved_base * top) / (base * (base + moved_base))
    result: Floats = parts / parts.sum() if parts.sum() else np.zeros(len(parts))
    return result


def _surprise(actual: Floats, fair: Floats) -> Floats:
    """Each element's part of the Jensen-Shannon divergence of the two distributions over elements."""
    after, before = actual / max(actual.sum(), 1e-9), fair / max(fair.sum(), 1e-9)
    middle = np.maximum((after + before) / 2, 1e-300)
    told = [np.where(one > 0, one * np.log(np.maximum(one, 1e-300) / middle), 0.0) for one in (before, after)]
    result: Floats = 0.5 * (told[0] + told[1])
    return result
