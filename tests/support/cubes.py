"""Generated cubes of ratio KPIs with a known cause: what happened, and what a judge is told of it."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.base import SegmentKey
from detectors.leaves import REST, Leaves
from detectors.usual import usual_rates
from streams.engine.cubing import fold

__all__ = ["CAUSES", "SIZES", "Cube", "Drawn", "draw_cube", "leaves_of"]

Floats = NDArray[np.float64]

SIZES = {"busy": 20_000, "medium": 2_000, "small": 300}
"""Trials of the stretch in which a loss is located, by size of the shop."""

CAUSES = ("value", "pair", "two causes", "mix")
RATES = (0.93, 0.6, 0.12)
"""Payments that succeed, carts that go to the checkout, visits that become carts."""

USUAL = 60
"""The usual is known from so many times the trials of the stretch: an hour's worth for each minute."""

LEAVES = 400
"""Combinations that are told apart, as a worker would; what does not fit is folded to ``other``."""

WANDER = 0.03
"""Standard deviation by which the rate of each combination differs from its usual one for no reason."""


class Cube(NamedTuple):
    """Trials and successes of the combinations, now and as usual; ``expected`` is the whole's ratio as judged."""

    dimensions: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    codes: NDArray[np.int64]
    trials: Floats
    successes: Floats
    usual_trials: Floats
    usual_successes: Floats
    expected: float


class Drawn(NamedTuple):
    """A cube and the segments that are the cause of its loss."""

    cube: Cube
    truth: frozenset[SegmentKey]


def draw_cube(seed: int, size: str, cause: str) -> Drawn:
    """A shop of three to five dimensions with unequal values and leaves, one of them (or two) in trouble.

    A cause converts less by a third to nine tenths; of a mix, a segment that converts less than the others comes three
    to six times as often. Every cause costs at least a tenth of the whole, or nobody would have asked.

    Parameters
    ----------
    seed
        Another shop, another cause.
    size
        One of ``SIZES``.
    cause
        One of ``CAUSES``.
    """
    rng = np.random.default_rng([seed, list(SIZES).index(size), CAUSES.index(cause)])
    while True:
        drawn = _draw(rng, SIZES[size], cause)
        if drawn is not None:
            return drawn


def leaves_of(cube: Cube) -> Leaves:
    """The cube as the search for causes is told it."""
    rates = usual_rates(cube.codes, cube.usual_successes, cube.usual_trials)
    return Leaves(cube.dimensions, cube.values, cube.codes, cube.successes, rates, cube.trials, cube.usual_trials)


def _draw(rng: np.random.Generator, size: int, cause: str) -> Drawn | None:
    counts = rng.permutation([3, 4, 6, 10, 16])[: rng.integers(3, 6)].tolist()
    dimensions = tuple(f"d{place}" for place in range(len(counts)))
    values = tuple(tuple(f"v{value}" for value in range(count)) for count in counts)
    codes = np.array(list(product(*map(range, counts))), dtype=np.int64).T
    weights = np.ones(codes.shape[1])
    effects = np.zeros(codes.shape[1])
    for row, count in enumerate(counts):
        weights *= (1 / np.arange(1, count + 1) ** rng.uniform(0.5, 1.3))[codes[row]]
        effects += rng.normal(0, 0.2, count)[codes[row]]
    weights *= rng.lognormal(0, 0.5, len(weights))
    weights /= weights.sum()
    base = float(rng.choice(RATES))
    rates = _logistic(np.log(base / (1 - base)) + effects)
    found = _trouble(rng, cause, codes, weights, rates)
    if found is None:
        return None
    truth, now_weights, rates, now_rates = found
    now_rates = np.minimum(now_rates * rng.lognormal(0, WANDER, len(rates)), 1.0)
    usual_rate = float(weights @ rates)
    if usual_rate - float(now_weights @ now_rates) < 0.1 * usual_rate:
        return None
    usual_trials = rng.poisson(USUAL * size * weights)
    trials = rng.poisson(size * now_weights)
    counted = (trials, rng.binomial(trials, now_rates), usual_trials, rng.binomial(usual_trials, rates))
    sizes = [count + 1 for count in counts]
    group, kept = fold(codes, sizes, counts, usual_trials, LEAVES)
    trials, successes, usual_trials, usual_successes = (np.bincount(group, one, kept.shape[1]) for one in counted)
    named = tuple((*told, REST) for told in values)
    expected = usual_rate * float(rng.normal(1, 0.005))
    cube = Cube(dimensions, named, kept, trials, successes, usual_trials, usual_successes, expected)
    return Drawn(cube, frozenset(_segment(one, dimensions, values) for one in truth))


def _trouble(
    rng: np.random.Generator, cause: str, codes: NDArray[np.int64], weights: Floats, rates: Floats
) -> tuple[list[dict[int, int]], Floats, Floats, Floats] | None:
    """The cause (values by dimension), weights under it, usual rates and rates under it; None where none fits."""
    if cause == "mix":
        one = _pick(rng, codes, 1)
        inside = _members(codes, one)
        inner, outer = (float(np.average(rates[part], weights=weights[part])) for part in (inside, ~inside))
        if inner > 0.8 * outer:
            # A segment that is no weaker dilutes nothing: let it be one.
            rates = np.where(inside, rates * 0.5, rates)
        moved = np.where(inside, weights * rng.uniform(3, 6), weights)
        return [one], moved / moved.sum(), rates, rates
    widths = {"value": [1], "pair": [2], "two causes": [int(rng.integers(1, 3)), 2]}[cause]
    chosen = [_pick(rng, codes, width) for width in widths]
    hurt, before = rates.copy(), np.zeros(len(rates), dtype=bool)
    for one in chosen:
        inside = _members(codes, one)
        lost = float(weights[inside] @ rates[inside])
        if not 0.04 < weights[inside].sum() < 0.7 or (inside & before).any():
            return None
        hurt = np.where(inside, rates * rng.uniform(0.1, 0.67), hurt)
        if lost - float(weights[inside] @ hurt[inside]) < 0.05 * float(weights @ rates):
            return None
        before |= inside
    return chosen, weights, rates, hurt


def _pick(rng: np.random.Generator, codes: NDArray[np.int64], width: int) -> dict[int, int]:
    rows = rng.choice(len(codes), width, replace=False).tolist()
    return {row: int(rng.integers(0, codes[row].max() + 1)) for row in sorted(rows)}


def _members(codes: NDArray[np.int64], one: dict[int, int]) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = np.all([codes[row] == value for row, value in one.items()], axis=0)
    return result


def _segment(one: dict[int, int], dimensions: tuple[str, ...], values: Any) -> SegmentKey:
    return tuple((dimensions[row], values[row][value]) for row, value in sorted(one.items()))


def _logistic(odds: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-odds))
    return result
