"""What could be found at all: a test that knows the true rates, and each incident's place and size, but not when.

For every kind of incident the log likelihood ratio of "this incident" over "as usual" is added up minute by minute and
never falls below nought (Page's CUSUM), with the expectation that the simulation itself drew the counts from: wandering
rates, bursts and campaigns included. One limit for all kinds is set on tuning seeds, at one false page a week.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.detection.cases import DAY, SIZES, TUNING, Case, make_case
from tests.detection.labels import Label
from tests.detection.rough import RoughShop, SiteCounts, site_of
from tests.detection.scoring import ECHO, Page, Run, Tally, score

__all__ = ["best_possible"]

Floats = NDArray[np.float64]

MOST = 40.0
"""Nats at which the sum stops to grow, so that an incident that is over is forgotten in time."""

LIMITS = np.arange(4.0, 16.1, 0.25)


def best_possible(cases: Sequence[Case], budget: float = 1.0, seeds: int = 2) -> dict[str, tuple[float, Tally]]:
    """By size of the shop: the limit in nats, and what the test finds in the cases."""
    told = {}
    for size in SIZES:
        mine = [case for case in cases if case.size == size]
        if not mine:
            continue
        tuned = [(case, _sums(case)) for case in (make_case("notes", size, seed) for seed in TUNING[:seeds])]
        limit = next(
            (each for each in LIMITS if score(_run(*one, each) for one in tuned).false_a_week <= budget), LIMITS[-1]
        )
        told[size] = float(limit), score(_run(case, _sums(case), limit) for case in mine)
    return told


def _sums(case: Case) -> Floats:
    """The sum of each kind of incident at each minute, [kind, minute]."""
    shop: RoughShop = case.shop()
    labels = [label for label in case.labels if label.must_page]
    ratios = np.stack([_ratio(label, shop.sites[site_of(label)]) for label in labels])
    forget = {label.end + ECHO for label in labels}
    sums, level = np.zeros_like(ratios), np.zeros(len(ratios))
    for minute in range(case.minutes):
        if minute in forget:
            level[:] = 0.0
        level = np.clip(level + ratios[:, minute], 0.0, MOST)
        sums[:, minute] = level
    return sums


def _ratio(label: Label, site: SiteCounts) -> Floats:
    """Log likelihood of the incident over that of the usual, minute by minute."""
    seen, usual = site.seen, site.expected
    if label.kind == "bots":
        return seen * np.log1p(label.size) - label.size * usual
    # A slope is looked for at half of what it comes to; total loss leaves a little room for a straggler.
    size = min(label.size / 2 if label.ramp > 20 else label.size, 0.97)
    if site.chance == 0.0:
        return seen * np.log1p(-size) + size * usual
    trials = usual / site.chance
    failed = np.log((1 - site.chance * (1 - size)) / (1 - site.chance))
    return seen * np.log1p(-size) + np.maximum(trials - seen, 0.0) * failed


def _run(case: Case, sums: Floats, limit: float) -> Run:
    over = (sums >= limit).any(axis=0)
    first = np.flatnonzero(over & ~np.concatenate([[False], over[:-1]]))
    return Run(case, [Page(int(minute) + 1, "", (), "") for minute in first if minute >= case.history - DAY])
