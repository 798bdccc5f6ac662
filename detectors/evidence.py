"""Evidence in nats that a count is not what was expected, after granting the model its own doubt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["BEFORE", "penalised_deviance", "sudden_evidence"]

Floats = NDArray[np.float64]

BINOMIAL_BELOW = 0.97
"""Variance per mean under which a count is a share of trials; above it a scaled Poisson fits better."""

CHEAP_BELOW = 3.0
"""Nats of the normal approximation under which the exact minimum, at most twice as much, reaches no border."""

CLOSE = 1e-7

NEWTON_STEPS = 9

BEFORE, SUDDEN = 15, 0.15
"""Windows before a stretch that it is compared with; the standard deviation of what a shop moves in that time."""


def penalised_deviance(observed: Floats, expected: Floats, dispersion: Floats, doubt: Floats) -> Floats:
    """How surprising each count is: the least of ``deviance(d) + d^2 / (2 doubt)`` over a wrong level ``d``.

    A model that may itself be wrong by a factor ``exp(d)``, ``d`` normal with variance ``doubt``, is given the best
    excuse it has; what is left is evidence. With ``dispersion`` (variance per mean) below one the count is a
    binomial of matched variance, on the logit scale; else a Poisson scaled by it. The result does not saturate.

    Parameters
    ----------
    observed, expected
        Counts, 0 or more; arrays of one shape. Where nothing is expected there is no evidence.
    dispersion
        Variance of the count around its mean, as a multiple of the mean, more than 0.
    doubt
        Variance of the logarithm of the expected count, more than 0.

    Examples
    --------
    >>> one = np.ones(3)
    >>> penalised_deviance(np.array([100.0, 50.0, 0.0]), 100 * one, one, 0.01 * one).round(1)
    array([ 0. ,  8.8, 72.8])
    """
    variance = dispersion * expected + doubt * expected * expected
    with np.errstate(divide="ignore", invalid="ignore"):
        cheap = np.square(observed - expected) / (2 * variance)
    evidence: Floats = np.where(np.isfinite(cheap) & (expected > 0), cheap, 0.0)
    worth = evidence > CHEAP_BELOW
    if not worth.any():
        return evidence
    binomial = worth & (dispersion < BINOMIAL_BELOW)
    poisson = worth & ~binomial
    if binomial.any():
        evidence[binomial] = _binomial(observed[binomial], expected[binomial], dispersion[binomial], doubt[binomial])
    if poisson.any():
        evidence[poisson] = _poisson(observed[poisson], expected[poisson], dispersion[poisson], doubt[poisson])
    return evidence


def sudden_evidence(observed: Floats, lengths: Floats, dispersion: Floats, before: Floats) -> Floats:
    """Evidence that stretches hold less, or more, than the windows right before them, beyond what an hour's slope does.

    Parameters
    ----------
    observed, lengths, dispersion
        Counts of the stretches, how many windows they are, and their variance per mean.
    before
        The counts of the ``BEFORE`` windows before each stretch.
    """
    usual = (before + 0.5) * lengths / BEFORE
    doubt = (SUDDEN * np.maximum(lengths / BEFORE, 1.0)) ** 2 + dispersion / np.maximum(before, 0.5)
    return penalised_deviance(observed, usual, dispersion, doubt)


def _poisson(observed: Floats, expected: Floats, dispersion: Floats, doubt: Floats) -> Floats:
    """Newton from the right of the root: the derivative is convex, so the steps never pass it."""
    gap = np.log(np.maximum(observed, 1e-9) / expected)
    shift = np.maximum(gap, 0.0)
    for _ in range(NEWTON_STEPS):
        mean = expected * np.exp(shift)
        step = ((mean - observed) / dispersion + shift / doubt) / (mean / dispersion + 1 / doubt)
        shift = shift - step
        if np.abs(step).max() < CLOSE:
            break
    shift = np.minimum(np.maximum(shift, np.minimum(gap, 0.0)), np.maximum(gap, 0.0))
    mean = expected * np.exp(shift)
    log_ratio = np.where(observed > 0, observed * np.log(np.maximum(observed, 1e-300) / mean), 0.0)
    result: Floats = (log_ratio - observed + mean) / dispersion + shift * shift / (2 * doubt)
    return result


def _binomial(observed: Floats, expected: Floats, dispersion: Floats, doubt: Floats) -> Floats:
    """Bracketed Newton on the logit; ``dispersion = 1 - p`` fixes the rate, the expected count then the trials."""
    rate = 1.0 - dispersion
    trials = expected / rate
    observed = np.minimum(observed, trials)
    centre = np.log(rate / dispersion)
    doubt = doubt / (dispersion * dispersion)
    share = np.minimum(np.maximum(observed / trials, 1e-12), 1 - 1e-12)
    gap = np.log(share / (1 - share)) - centre
    low, high = np.minimum(gap, 0.0), np.maximum(gap, 0.0)
    shift, sure = np.zeros_like(gap), 1 / doubt
    for _ in range(2 * NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(centre + shift)))
        hits = trials * p
        slope = hits - observed + shift / doubt
        np.copyto(low, shift, where=slope < 0)
        np.copyto(high, shift, where=slope > 0)
        step = shift - np.minimum(np.maximum(slope / (hits * (1 - p) + sure), -2.0), 2.0)
        before, shift = shift, np.where((step >= low) & (step <= high), step, (low + high) / 2)
        if np.abs(shift - before).max() < CLOSE:
            break
    p = np.maximum(1 / (1 + np.exp(-(centre + shift))), 1e-300)
    rest, q = trials - observed, np.maximum(1 / (1 + np.exp(centre + shift)), 1e-300)
    hit = np.where(observed > 0, observed * np.log(np.maximum(observed, 1e-300) / (trials * p)), 0.0)
    miss = np.where(rest > 0, rest * np.log(np.maximum(rest, 1e-300) / (trials * q)), 0.0)
    result: Floats = np.maximum(hit + miss, 0.0) + shift * shift / (2 * doubt)
    return result
