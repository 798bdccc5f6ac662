"""Two findings with one cause: evidence of both added up, over the same stretch of time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detectors.bank import Bank
from detectors.base import VerdictKind
from detectors.reading import Reading
from detectors.scan import WINDOWS, Look

__all__ = ["Fused", "Pair", "fuse", "fuse_into"]

ADDER = 1.0
"""Nats more than a single series needs: there are more pairs to choose from."""

LEAST = 1.0
"""Nats that each part has to bring."""

SHARE = 0.3
"""Of the falling part's evidence that the rising part has to bring before the pair names the cause."""


class Pair(NamedTuple):
    """``falls`` down together with ``rises`` up is ``kind``; each a KPI of the whole, ``rises`` maybe a volume."""

    falls: str
    rises: str
    kind: VerdictKind


class Fused(NamedTuple):
    """The best window of a pair, its score, and whether it names the cause."""

    score: float
    window: int
    names: bool


def fuse(falls: tuple[Look, int], rises: tuple[Look, int], border: float) -> Fused | None:
    """Evidence that one series falls and another rises, summed over equal windows; None where one does neither."""
    down = np.where(falls[0].side[falls[1]] < 0, falls[0].evidence[falls[1]], 0.0)
    up = np.where(rises[0].side[rises[1]] > 0, rises[0].evidence[rises[1]], 0.0)
    both = np.where((down > LEAST) & (up > LEAST), down + up, 0.0)
    needed = np.maximum(border + ADDER - np.log(WINDOWS), 1.0)
    ratio = both / needed
    window = int(ratio.argmax())
    if ratio[window] <= 0:
        return None
    return Fused(float(ratio[window]), window, bool(up[window] >= SHARE * down[window]))


def fuse_into(
    pairs: tuple[Pair, ...], rates: tuple[Bank, Look, Reading], volumes: tuple[Bank, Look, Reading], border: float
) -> dict[int, VerdictKind]:
    """Raise the score of ratios that a pair explains better; which of them the pair names, and as what."""
    bank, look, reading = rates
    named: dict[int, VerdictKind] = {}
    for pair in pairs:
        i = bank.index.get((pair.falls, ()))
        other = rates if (pair.rises, ()) in bank.index else volumes
        j = other[0].index.get((pair.rises, ()))
        if i is None or j is None or other[2].other[j] * border < LEAST:
            continue
        found = fuse((look, i), (other[1], j), border)
        if found is None:
            continue
        if found.names:
            named.setdefault(i, pair.kind)
        if found.score > reading.score[i]:
            _replace(bank, look, reading, i, found)
    return named


def _replace(bank: Bank, look: Look, reading: Reading, i: int, found: Fused) -> None:
    window = found.window
    reading.score[i], reading.best[i] = found.score, window
    reading.since[i] = max(look.step - int(WINDOWS[window]), int(bank.scan.since[i]))
    reading.observed[i], reading.expected[i] = look.observed[i, window], look.expected[i, window]
    reading.exposure[i], reading.doubt[i] = look.exposures[i, window], look.doubt[i, window]
