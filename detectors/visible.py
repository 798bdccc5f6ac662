"""How small a change would be seen now: what the counts, their noise and the model's doubt leave room for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.evidence import BINOMIAL_BELOW

__all__ = ["WITHIN", "smallest_change"]

Floats = NDArray[np.float64]

WITHIN = 10
"""Windows within which the change has to be seen."""

_SIZES = np.array([0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4, 0.55, 0.75, 1.0, 1.4, 2.0, 3.0, 5.0])
"""Logarithms of the factors that are tried."""

_CHANGES = np.stack([-_SIZES, _SIZES])
_KEPT = np.exp(_CHANGES)
"""Falls and rises: their logarithms, and the factors."""


def smallest_change(
    expected: Floats, dispersion: Floats, doubt: Floats, border: Floats, hurts: NDArray[np.int8]
) -> Floats:
    """The least share by which each count has to change, in the direction that hurts, to bring the border's evidence.

    A change that begins now and stays as it is, judged over the stretch that ``expected`` is for. 1.0 where it takes
    all of the count, or more.

    Parameters
    ----------
    expected, dispersion, doubt
        Expected count of the stretch, variance per mean, and variance of the expectation's logarithm.
    border
        Nats that the stretch has to bring.
    hurts
        -1 where a fall counts, +1 where a rise does.

    Examples
    --------
    >>> one = np.ones(3)
    >>> smallest_change(np.array([10.0, 1000.0, 1e5]), one, 0.002 * one, 11 * one, np.array([-1, -1, -1])).round(2)
    array([1.  , 0.23, 0.19])
    """
    rises = (hurts > 0).astype(np.intp)
    change, kept = _CHANGES[rises], _KEPT[rises]
    poisson = expected[:, None] * (kept * (change - 1) + 1) / dispersion[:, None]
    rate = np.clip(1 - dispersion, 0.02, 0.999)[:, None]
    share = np.clip(rate * kept, 1e-9, 1 - 1e-9)
    misses = (1 - share) * np.log((1 - share) / (1 - rate))
    binomial = expected[:, None] / rate * (share * np.log(share / rate) + misses)
    deviance = np.where(dispersion[:, None] < BINOMIAL_BELOW, binomial, poisson)
    # Noise and doubt share the change between them as two springs in a row would.
    evidence = 1 / (2 * doubt[:, None] / _SIZES**2 + 1 / np.maximum(deviance, 1e-12))
    reached = np.maximum.accumulate(evidence, axis=1) >= border[:, None]
    first = reached.argmax(axis=1)
    rows, before = np.arange(len(first)), np.maximum(first - 1, 0)
    low, high = evidence[rows, before], evidence[rows, first]
    part = np.where(first > 0, (border - low) / np.maximum(high - low, 1e-12), 1.0)
    size = _SIZES[before] + np.clip(part, 0.0, 1.0) * (_SIZES[first] - _SIZES[before])
    told = np.where(hurts < 0, 1 - np.exp(-size), np.exp(size) - 1)
    result: Floats = np.where(reached.any(axis=1), np.minimum(told, 1.0), 1.0)
    return result
