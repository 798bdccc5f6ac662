"""Where a change sits, of single values alone: ranked by the likelihood they explain, and mix told from rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from detectors.base import Blame, SegmentKey

__all__ = ["PRICE", "Cell", "Split", "attribute", "by_step", "mix_and_rate"]

PRICE = 2.0
"""Nats that each dimension of a candidate costs, beside the logarithm of their number: chance favours the many."""


class Cell(NamedTuple):
    """A segment's observed and expected successes, and its trials now and as usual."""

    segment: SegmentKey
    observed: float
    expected: float
    trials: float = 0.0
    usual_trials: float = 0.0


class Split(NamedTuple):
    """A change in a ratio: by other weights of the segments, and by other rates in them."""

    mix: float
    rate: float


def attribute(whole: Cell, cells: Sequence[Cell], most: int = 5) -> tuple[Blame, ...]:
    """Segments that explain a change, best first, with their share of it; for single values without a cube.

    A candidate says: this segment changed by a factor of its own, the rest of the whole by another. Its score is the
    Poisson likelihood gained over one factor for all, less a price for size; volume counts, so a leaf with three
    trials cannot win. A segment whose share of the change is only its share of the whole explains nothing.

    Parameters
    ----------
    whole, cells
        The whole, and the segments that were judged; expected counts are those of the model before the change.
    most
        How many to return.

    Examples
    --------
    >>> a, b, x = (("provider", "a"),), (("provider", "b"),), (("device", "x"),)
    >>> cells = [Cell(a, 20, 60), Cell(b, 41, 40), Cell(x, 30, 50)]
    >>> [(blame.segment, blame.share) for blame in attribute(Cell((), 61, 100), cells)]
    [((('provider', 'a'),), 1.0)]
    """
    missing = whole.expected - whole.observed
    told: list[tuple[float, SegmentKey, float]] = []
    for cell in cells:
        if cell.expected <= 0 or missing == 0:
            continue
        share = (cell.expected - cell.observed) / missing
        gained = _gain(whole, cell) - PRICE * max(1, len(cell.segment)) - math.log(len(cells))
        usual = cell.expected / max(whole.expected, 1e-9)
        if gained > 0 and share > usual:
            told.append((gained, cell.segment, min(1.0, share)))
    told.sort(key=lambda one: (-one[0], one[1]))
    return tuple(Blame(segment, round(share, 3)) for _, segment, share in told[:most])


def mix_and_rate(cells: Sequence[Cell], rates: Mapping[SegmentKey, float]) -> Split:
    """How much of a ratio's change comes from other weights (mix) and from other rates.

    Parameters
    ----------
    cells
        Segments of one dimension, which add up to the whole.
    rates
        Usual rate of each segment.

    Examples
    --------
    >>> a, b = (("channel", "a"),), (("channel", "b"),)
    >>> split = mix_and_rate([Cell(a, 10, 0, 100, 50), Cell(b, 5, 0, 10, 50)], {a: 0.1, b: 0.5})
    >>> round(split.mix, 3), round(split.rate, 3)
    (-0.164, 0.0)
    """
    now, usual = sum(cell.trials for cell in cells), sum(cell.usual_trials for cell in cells)
    if now <= 0 or usual <= 0:
        return Split(0.0, 0.0)
    mix = rate = 0.0
    for cell in cells:
        known = rates[cell.segment]
        mix += (cell.trials / now - cell.usual_trials / usual) * known
        if cell.trials > 0:
            rate += cell.trials / now * (cell.observed / cell.trials - known)
    return Split(mix, rate)


def by_step(now: Sequence[float], usual: Sequence[float]) -> list[float]:
    """The share of each step in the change of a ratio over several steps.

    Parameters
    ----------
    now, usual
        How many reached each stage, the first stage first; the usual ones on any scale.

    Returns
    -------
    list of float
        One fewer than stages, adding up to one: parts of the logarithm of the change. Empty where nothing changed, or
        a stage is usually not reached.

    Examples
    --------
    >>> [round(share, 2) for share in by_step([1000, 400, 100], [10_000, 5_000, 2_000])]
    [0.32, 0.68]
    """
    if min(usual, default=0.0) <= 0 or now[0] <= 0:
        return []
    # Half a success keeps the logarithm of none within bounds.
    parts = [
        math.log((later + 0.5) / (early + 0.5)) - math.log(usual_later / usual_early)
        for (early, later), (usual_early, usual_later) in zip(pairwise(now), pairwise(usual), strict=True)
    ]
    whole = sum(parts)
    return [part / whole for part in parts] if abs(whole) > 1e-9 else []


def _gain(whole: Cell, cell: Cell) -> float:
    """Log likelihood of two factors, the segment's and the rest's, over one for all."""
    rest_observed = max(0.0, whole.observed - cell.observed)
    rest_expected = max(1e-9, whole.expected - cell.expected)
    both = _fit(cell.observed, cell.expected) + _fit(rest_observed, rest_expected)
    return both - _fit(cell.observed + rest_observed, cell.expected + rest_expected)


def _fit(observed: float, expected: float) -> float:
    return observed * math.log(observed / expected) if observed > 0 else 0.0
