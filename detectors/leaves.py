"""Where a change sits among combinations: values and pairs, one cause after the other, mix told from rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.attribution import PRICE
from detectors.base import Blame, BlameKind, SegmentKey

__all__ = ["REST", "Leaves", "locate"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Likelihood = Callable[[Floats, Floats, Floats], Floats]

EVERYWHERE = 4.0
"""Nats that "the rest changed as well, by one factor" costs: a change that is everywhere is put on nobody."""

LEAST = 0.08
"""Share of a loss below which a candidate is not told."""

MIXED = 0.2
"""Share of a loss that other weights must have before it is asked whose."""

TRAFFIC_NOISE = 2.0
"""Visits come in crowds: their counts vary this many times as much as chance alone would have it."""

SMALLEST = 0.06
"""Fall of a segment against the rest below which it is no finding, however certain: rates wander without a cause."""

REST = "other"
"""What did not fit into a dimension or a cube; nobody can be sent there."""

POISSON_FROM = 0.97
"""Dispersion from which successes are no share of a number of chances (see ``detectors.evidence``)."""


class Leaves(NamedTuple):
    """Combinations of dimension values with what they counted.

    ``codes`` has a row a dimension and a column a leaf: places in ``values`` of that dimension. ``usual`` are the usual
    successes of a trial or, where ``trials`` is None, the usual counts on any scale; so are ``usual_trials``.
    """

    dimensions: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    codes: Places
    successes: Floats
    usual: Floats
    trials: Floats | None = None
    usual_trials: Floats | None = None


def locate(
    leaves: Leaves, expected: float, hurts: int = -1, dispersion: float | None = None, most: int = 5
) -> tuple[Blame, ...]:
    """The values and pairs of values in which a loss sits, the largest share first.

    A candidate says: these leaves changed by a factor of their own, the rest did not, or all of it by one other factor.
    Its worth is the likelihood gained (binomial where successes are shares of trials, else Poisson), less a price for
    the number of candidates and of dimensions. What the best one explains is taken away before the next is sought,
    so that several causes are told, and a pair wins over its values only where it says more than they do.

    What remains of a ratio's loss when each leaf has its usual rate is mix: it is sought in the same way among the
    trials, and measured by the loss that would not be there had the candidate come as often as usual.

    Parameters
    ----------
    expected
        What was expected of the whole: of a ratio its value, of a count its sum.
    hurts
        The side that is a loss: -1 down, +1 up.
    dispersion
        Variance of the whole's successes over their mean; None: what pure chance makes it.

    Examples
    --------
    >>> codes = np.array([[0, 0, 1, 1], [0, 1, 0, 1]])
    >>> pay = Leaves(("device", "method"), (("ios", "web"), ("alipay", "card")), codes,
    ...     np.array([60.0, 91.0, 178.0, 93.0]), np.full(4, 0.9), np.array([200.0, 100.0, 200.0, 100.0]))
    >>> locate(pay, 0.9)
    (Blame(segment=(('device', 'ios'), ('method', 'alipay')), share=1.0, kind='rate'),)
    """
    cands = _Candidates(leaves)
    if leaves.trials is None:
        return _ranked(_by_count(cands, leaves, expected, hurts, dispersion, most), most)
    trials, total = leaves.trials, float(leaves.trials.sum())
    usual_trials = trials if leaves.usual_trials is None else leaves.usual_trials
    usual_rate = float(np.average(leaves.usual, weights=usual_trials)) if usual_trials.sum() > 0 else 0.0
    loss = -hurts * (expected * total - float(leaves.successes.sum()))
    if not (loss > 0 and usual_rate > 0):
        return ()
    rates = leaves.usual * (expected / usual_rate)
    fair = trials * rates
    by_rate = -hurts * (float(fair.sum()) - float(leaves.successes.sum()))
    told: list[Blame] = []
    if by_rate > LEAST * loss:
        likelihood = _Fit(expected, 1 - expected if dispersion is None else dispersion).gained
        told += _fallen(cands, (leaves.successes, fair, trials), likelihood, -hurts * loss, "rate", most)
    if loss - by_rate > MIXED * loss and usual_trials is not trials:
        told += _mixed(cands, trials, usual_trials, rates, -hurts * loss, most)
    return _ranked(told, most)


class _Candidates:
    """All values and pairs of values that occur, as sets of leaves."""

    def __init__(self, leaves: Leaves) -> None:
        self._leaves = leaves
        places = range(len(leaves.dimensions))
        self._axes: list[tuple[tuple[int, ...], Places]] = []
        self._groups: list[Places] = []
        """For each axis the number of the candidate that a leaf belongs to, and one leaf of each candidate."""
        prices, valid = [], []
        for width in (1, 2):
            axes = [self._axis(axis) for axis in combinations(places, width)]
            number = sum(len(first) for _, first, _ in axes)
            for axis, first, group in axes:
                self._axes.append((axis, first))
                self._groups.append(group)
                prices.append(np.full(len(first), PRICE * width + math.log(max(number, 1))))
                rest = [np.array(leaves.values[place])[leaves.codes[place, first]] == REST for place in axis]
                valid.append(~np.logical_or.reduce(rest))
        self.price: Floats = np.concatenate(prices)
        self.valid: NDArray[np.bool_] = np.concatenate(valid)
        self._starts = np.cumsum([0, *(len(first) for _, first in self._axes)])

    def sums(self, weights: Floats) -> Floats:
        """The sum over the leaves of each candidate."""
        sizes = np.diff(self._starts)
        return np.concatenate(
            [np.bincount(group, weights, size) for group, size in zip(self._groups, sizes, strict=True)]
        )

    def members(self, candidate: int) -> NDArray[np.bool_]:
        """Which leaves belong to a candidate."""
        axis = int(np.searchsorted(self._starts, candidate, "right")) - 1
        result: NDArray[np.bool_] = self._groups[axis] == candidate - self._starts[axis]
        return result

    def segment(self, candidate: int) -> SegmentKey:
        """Its dimensions and values, in order of their names."""
        axis = int(np.searchsorted(self._starts, candidate, "right")) - 1
        places, first = self._axes[axis]
        leaf, leaves = int(first[candidate - self._starts[axis]]), self._leaves
        return tuple(
            sorted((leaves.dimensions[place], leaves.values[place][leaves.codes[place, leaf]]) for place in places)
        )

    def _axis(self, places: tuple[int, ...]) -> tuple[tuple[int, ...], Places, Places]:
        codes = self._leaves.codes
        flat = codes[places[0]]
        for place in places[1:]:
            flat = flat * len(self._leaves.values[place]) + codes[place]
        _, first, group = np.unique(flat, return_index=True, return_inverse=True)
        return places, first, group.reshape(-1)


class _Fit(NamedTuple):
    """How surprising sums of successes are, given the whole's value and dispersion."""

    value: float
    dispersion: float

    def gained(self, observed: Floats, expected: Floats, trials: Floats) -> Floats:
        """Log likelihood of an own factor over none, in nats."""
        mean = np.maximum(expected, 1e-9)
        if self.dispersion >= POISSON_FROM:
            told = _xlogy(observed, observed / mean) - observed + mean
            return np.maximum(told, 0.0) / self.dispersion
        # The whole's dispersion fits its own rate; a part that succeeds more seldom varies more.
        rate = np.clip(expected / np.maximum(trials, 1e-9), 0.0, 1.0)
        spread = np.clip(self.dispersion * (1 - rate) / max(1 - self.value, 1e-3), 0.02, POISSON_FROM)
        chances = mean / (1 - spread)
        hits = np.minimum(observed, chances)
        misses = chances - hits
        told = _xlogy(hits, hits / mean) + _xlogy(misses, misses / np.maximum(chances - mean, 1e-9))
        return np.maximum(told, 0.0)


def _by_count(
    cands: _Candidates, leaves: Leaves, expected: float, hurts: int, dispersion: float | None, most: int
) -> list[Blame]:
    total = float(leaves.usual.sum())
    loss = -hurts * (expected - float(leaves.successes.sum()))
    if not (loss > 0 and total > 0):
        return []
    fair = leaves.usual * (expected / total)
    likelihood = _Fit(1.0, max(1.0, dispersion or 1.0)).gained
    return _fallen(cands, (leaves.successes, fair, fair), likelihood, -hurts * loss, "volume", most)


def _fallen(
    cands: _Candidates,
    counted: tuple[Floats, Floats, Floats],
    likelihood: Likelihood,
    loss: float,
    kind: BlameKind,
    most: int,
) -> list[Blame]:
    """Candidates that lost more than their part; ``counted`` are observed and expected successes, and trials.

    ``loss`` is expected less observed, and so below zero where a rise hurts.
    """

    def worth(sums: Floats, whole: Floats) -> Floats:
        share: Floats = (sums[1] - sums[0]) / loss
        own, rest = (
            np.maximum(one, 0.0) / np.maximum(other, 1e-9) for one, other in (sums[:2], whole[:2, None] - sums[:2])
        )
        fallen = (rest - own) * np.sign(loss) >= SMALLEST * rest
        return np.where(fallen, share, 0.0)

    return _greedy(cands, np.stack(counted), likelihood, worth, kind, most)


def _mixed(
    cands: _Candidates, trials: Floats, usual_trials: Floats, rates: Floats, loss: float, most: int
) -> list[Blame]:
    """Candidates that came more or less often than usual, and moved the whole's ratio by it; ``loss`` has its sign."""
    fair = usual_trials * (trials.sum() / usual_trials.sum())

    def worth(sums: Floats, whole: Floats) -> Floats:
        others = np.maximum(whole[0] - sums[0], 1e-9)
        gap = (whole[2] - sums[2]) / others - sums[2] / np.maximum(sums[0], 1e-9)
        shift = sums[0] / max(whole[0], 1e-9) - sums[1] / max(whole[1], 1e-9)
        share: Floats = whole[0] * shift * gap / loss
        return share

    def likelihood(observed: Floats, expected: Floats, _: Floats) -> Floats:
        return _Fit(1.0, TRAFFIC_NOISE).gained(observed, expected, expected)

    return _greedy(cands, np.stack((trials, fair, trials * rates)), likelihood, worth, "mix", most)


def _greedy(
    cands: _Candidates,
    counted: Floats,
    likelihood: Likelihood,
    worth: Callable[[Floats, Floats], Floats],
    kind: BlameKind,
    most: int,
) -> list[Blame]:
    """The best candidate, again and again without the leaves of those before.

    ``counted`` has a row each for observed, expected and a third sum; ``worth`` is told these by candidate and of all
    leaves that are left, and answers with shares of the loss.
    """
    told: list[Blame] = []
    for _ in range(most):
        sums = np.stack([cands.sums(row) for row in counted])
        whole = counted.sum(axis=1)
        rest = np.maximum(whole[:, None] - sums, 0.0)
        share = worth(sums, whole)
        everywhere = float(likelihood(*whole[:, None])[0])
        gained = likelihood(*sums) + np.maximum(likelihood(*rest) - EVERYWHERE, 0.0)
        gained -= max(0.0, everywhere - EVERYWHERE) + cands.price
        gained[~cands.valid | (share < LEAST)] = -math.inf
        best = int(gained.argmax())
        if gained[best] <= 0:
            break
        told.append(Blame(cands.segment(best), round(min(1.0, float(share[best])), 3), kind))
        counted = np.where(cands.members(best), 0.0, counted)
    return told


def _ranked(told: Sequence[Blame], most: int) -> tuple[Blame, ...]:
    return tuple(sorted(told, key=lambda one: (-one.share, len(one.segment), one.segment))[:most])


def _xlogy(amount: Floats, ratio: Floats) -> Floats:
    result: Floats = amount * np.log(np.maximum(ratio, 1e-300))
    return result
