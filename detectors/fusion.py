"""Two findings with one cause: evidence of both added up, over the same stretch of time."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from detectors.bank import Bank
from detectors.base import VerdictKind
from detectors.reading import Reading
from detectors.scan import WINDOWS, Look

__all__ = ["Fused", "Pair", "fuse", "fuse_into"]

ADDER = 1.0
"""Nats more than a single series needs: there are more pairs to choose from."""

LEAST, PART = 3.0, 0.3
"""Nats that each part has to bring, and the share of the other's."""

ALIKE, ENOUGH = 0.5, math.log(1.5)
"""Either part has to be half of the other's size on the logarithm, or half as much again: a lag that is known badly
moves a neighbour too, but only a little."""

SAME = 0.7
"""How close sessions and rate have to move to each other, on the logarithm, to be bots."""


class Pair(NamedTuple):
    """``falls`` down together with ``rises`` up is ``kind``; each a KPI of the whole, ``rises`` maybe a volume."""

    falls: str
    rises: str
    kind: VerdictKind


class Fused(NamedTuple):
    """The best window of a pair, and its score."""

    score: float
    window: int


def fuse(falls: tuple[Look, int], rises: tuple[Look, int], border: float, kind: VerdictKind) -> Fused | None:
    """Evidence that one series falls and another rises, summed over equal windows.

    None where no window has both, or where the rise is too small to belong to the fall.
    """
    (down_look, i), (up_look, j) = falls, rises
    down = np.where(down_look.side[i] < 0, down_look.evidence[i], 0.0)
    up = np.where(up_look.side[j] > 0, up_look.evidence[j], 0.0)
    fall = np.log((down_look.observed[i] + 0.5) / (down_look.expected[i] + 0.5))
    rise = np.log((up_look.observed[j] + 0.5) / (up_look.expected[j] + 0.5))
    if kind == "bots":
        # Sessions that never buy thin a rate out by just what they add; a crowd buys, if less.
        alike = (rise >= SAME * -fall) & (-fall >= SAME * rise)
    else:
        alike = (rise >= np.minimum(ALIKE * -fall, ENOUGH)) & (-fall >= np.minimum(ALIKE * rise, ENOUGH))
    # The weaker part counts twice at most: a surge is no finding because some rate moves a little.
    strong = (np.minimum(up, down) > LEAST) & (np.minimum(up, down) > PART * np.maximum(up, down))
    both = np.where(strong & alike, down + np.minimum(up, down), 0.0)
    ratio = both / np.maximum(border + ADDER - np.log(WINDOWS), 1.0)
    window = int(ratio.argmax())
    return Fused(float(ratio[window]), window) if ratio[window] > 0 else None


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
        found = fuse((look, i), (other[1], j), border, pair.kind)
        if found is None:
            continue
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
