"""Others on the same rows: static thresholds, three sigma, and River's stock detectors, as they come and at our budget.

Each judges six headline KPIs of the whole. Scores are shares of a limit; "as it comes" pages at the limit that the
method brings along, "budget" at the one that gives one false page a week on tuning seeds: what somebody would get who
tuned it on labelled weeks of this very shop. River's detectors run behind our guard, from the registry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import Pool
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.base import Observation
from detectors.registry import create
from streams.engine.rows import WHOLE
from streams.kpis import CATALOGUE, Kpi, counters_of
from tests.detection.cases import SIZES, TUNING, Case, make_case
from tests.detection.scoring import Page, Run, Tally, score

__all__ = ["KPIS", "METHODS", "compare"]

Floats = NDArray[np.float64]

KPIS: tuple[Kpi, ...] = tuple(
    kpi
    for kpi in CATALOGUE
    if kpi.name
    in {"sessions", "orders", "add_to_cart_ratio", "checkout_ratio", "payment_success_ratio", "payment_answer_ratio"}
)
METHODS = ("static", "3-sigma", "river.gaussian", "river.adwin", "river.predictive", "river.half_space_trees")
LIMITS = np.geomspace(0.2, 400, 120)
FIVE, HOUR = 5, 60
LOUDEST = 0.05
"""Share of the quiet time that alerts may stand in."""

LEAST, ENOUGH = 1e-3, 20
"""Share of the mean under which a static threshold is not set, since what is nought now and then says nothing by being
nought; and trials of a ratio under which it is not looked at."""


class Peer(NamedTuple):
    """A method at a limit on a size of shop, and what it found."""

    method: str
    limit: str
    size: str
    tally: Tally


def compare(
    cases: Sequence[Case], jobs: int = 1, tuning_seeds: int = 1, methods: Sequence[str] = METHODS
) -> list[Peer]:
    """Every method on every size, at its own limit and at the one for the budget."""
    told = []
    sizes = [size for size in SIZES if any(case.size == size for case in cases)]
    tuned = {size: [make_case("notes", size, seed) for seed in TUNING[:tuning_seeds]] for size in sizes}
    wanted = [*cases, *(case for each in tuned.values() for case in each)]
    with Pool(jobs) as pool:
        all_scores = pool.map(partial(_all_scores, methods), wanted, 1)
    scores = dict(zip([(case.size, case.seed) for case in wanted], all_scores, strict=True))
    for method in methods:
        for size in sizes:
            judge = partial(_paged, method, scores)
            limit = _limit(judge, tuned[size])
            mine = [case for case in cases if case.size == size]
            if method != "static":
                told.append(Peer(method, "as it comes", size, score(judge(case, 1.0) for case in mine)))
            told.append(Peer(method, "budget", size, score(judge(case, limit) for case in mine)))
    return told


def _limit(judge: Callable[[Case, float], Run], cases: Sequence[Case], budget: float = 1.0) -> float:
    """The lowest limit from which on all keep the budget on the tuning seeds; none where no limit does."""
    kept = math.inf
    for limit in LIMITS[::-1]:
        tally = score(judge(case, float(limit)) for case in cases)
        # An alert that always stands pages once and is no alert.
        if tally.false_a_week > budget or tally.loud > LOUDEST * tally.quiet:
            break
        kept = float(limit)
    return kept


def _paged(method: str, scores: dict[tuple[str, int], dict[str, Floats]], case: Case, limit: float) -> Run:
    over = (scores[case.size, case.seed][method] >= limit).any(axis=0)
    # An alert stands for as long as any score was over the limit within five minutes.
    stands = np.convolve(over, np.ones(FIVE), mode="full")[: len(over)] > 0
    first = np.flatnonzero(stands & ~np.concatenate([[False], stands[:-1]]))
    ends = np.flatnonzero(~stands & np.concatenate([[False], stands[:-1]]))
    pages = [Page(int(minute) + 1, "", (), "") for minute in first]
    return Run(case, pages, list(zip(first.tolist(), [*ends.tolist(), case.minutes][: len(first)], strict=True)))


def _all_scores(methods: Sequence[str], case: Case) -> dict[str, Floats]:
    """Scores of every method, [KPI, minute]."""
    rows = _observations(case)
    return {method: np.stack([_scores(method, seen, case) for seen in rows]) for method in methods}


def _scores(method: str, seen: Sequence[Observation], case: Case) -> Floats:
    if method == "static":
        return _static(seen, case)
    return _three_sigma(seen) if method == "3-sigma" else np.array(_river(method, seen))


def _observations(case: Case) -> list[list[Observation]]:
    told: list[list[Observation]] = [[] for _ in KPIS]
    for window in case.shop().windows():
        counters = counters_of(window.rows[WHOLE], window.rows, ())
        for number, kpi in enumerate(KPIS):
            good, base = kpi.counts(counters)
            value = kpi.value(counters)
            told[number].append(Observation(kpi.name, WHOLE, window.start_ms, window.end_ms, value, good, base))
    return told


def _river(method: str, seen: Sequence[Observation]) -> list[float]:
    detector, told = create(method, warm_up=HOUR, hurts="down"), []
    for observation in seen:
        told.append(detector.score_one(observation).score)
        detector.learn_one(observation)
    return told


def _static(seen: Sequence[Observation], case: Case) -> Floats:
    """The lowest usual value of five minutes over that of these five: 1.0 at the lowest of the week of history."""
    good = np.array([one.successes for one in seen], dtype=float)
    base = np.array([1.0 if one.trials is None else one.trials for one in seen], dtype=float)
    five = np.convolve(good, np.ones(FIVE))[: len(good)], np.convolve(base, np.ones(FIVE))[: len(base)]
    value = five[0] / np.maximum(five[1], 1e-9)
    enough = five[1] >= (ENOUGH if seen[0].trials is not None else FIVE)
    enough[:FIVE] = False
    usual = value[: case.history][enough[: case.history]]
    lowest = float(np.quantile(usual, 0.001)) if len(usual) else 0.0
    if lowest < LEAST * float(value.mean()):
        return np.zeros(len(value))
    told: Floats = np.where(enough, lowest / np.maximum(value, lowest / 1000), 0.0)
    return told


def _three_sigma(seen: Sequence[Observation]) -> Floats:
    """Distance below the mean of the hour before over three of its standard deviations."""
    told = np.zeros(len(seen))
    there = np.flatnonzero([one.value is not None for one in seen])
    values = np.array([seen[place].value for place in there], dtype=float)
    if len(values) <= HOUR:
        return told
    hours = np.lib.stride_tricks.sliding_window_view(values, HOUR)[:-1]
    spread = hours.std(axis=1)
    gap = np.maximum(hours.mean(axis=1) - values[HOUR:], 0.0)
    told[there[HOUR:]] = np.where(spread > 0, gap / np.maximum(3 * spread, 1e-12), 0.0)
    return told
