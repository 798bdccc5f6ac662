"""What the labelled series are made of: moments, times of day, places of anomalies, levels that wander."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "START",
    "Floats",
    "Made",
    "Make",
    "Rng",
    "clock",
    "hour_of",
    "is_weekend",
    "places_of",
    "wander",
]

Floats = NDArray[np.float64]
Rng = np.random.Generator

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
START = 1_396_310_400.0
"""A Tuesday, 2014-04-01 UTC."""

Made = tuple[Floats, Floats, Sequence[int]]
"""Seconds since 1970, values, and where anomalies begin."""

Make = Callable[[Rng], Made]


def clock(count: int, step: float = 5 * MINUTE, shift: float = 0.0) -> Floats:
    return START + shift + step * np.arange(count)


def hour_of(seconds: Floats) -> Floats:
    told: Floats = seconds % DAY / HOUR
    return told


def is_weekend(seconds: Floats) -> NDArray[np.bool_]:
    return (seconds // DAY + 3).astype(int) % 7 >= 5


def places_of(rng: Rng, count: int, number: int, first: float = 0.3) -> list[int]:
    """Where anomalies begin: apart from each other and from the ends."""
    edges = np.linspace(first * count, 0.97 * count, number + 1)
    return [int(rng.uniform(a + 0.1 * (b - a), b - 0.1 * (b - a))) for a, b in itertools.pairwise(edges)]


def wander(rng: Rng, count: int, memory: float, size: float = 1.0) -> Floats:
    """A level that wanders around nought and comes back within so many values."""
    keep = math.exp(-1 / memory)
    steps = rng.normal(0, size * math.sqrt(1 - keep * keep), count)
    told, level = np.empty(count), rng.normal(0, size)
    for place, step in enumerate(steps):
        level = keep * level + step
        told[place] = level
    return told
