"""What a scan is told of a series, and what it shows of a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.base import SegmentKey
from detectors.delay import NEXT_STEP, DelayLook

__all__ = ["Look", "SeriesSpec"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """One series: a ratio (``volume`` false) or a count; ``hurts`` is -1 (down), +1 (up); ``parent`` its whole.
    ``kernel`` is the delay of a ratio's successes behind its trials to begin with, ``SAME_WINDOW`` is none.
    ``binomial``: each success is one of its own window's trials, so the noise is known before it is learnt.
    ``compound``: a sum of amounts, in units of a usual one; noisier than any count.
    ``segment`` tells which events it feels, ``event`` by how much one moves it (a standard deviation of logarithms),
    ``delay_ms`` how much later that shows; ``steps`` of the funnel that it spans: each has a day of its own.
    """

    volume: bool = False
    kernel: int = NEXT_STEP
    hurts: int = -1
    parent: int = -1
    binomial: bool = False
    compound: bool = False
    segment: SegmentKey = ()
    event: float = 0.1
    delay_ms: int = 0
    steps: int = 1


class Look(NamedTuple):
    """What a window shows, [series] or [series, windows]; evidence in nats on the side that ``side`` tells (-1, +1).

    ``new`` is what the window adds to the sums, [7, series]; ``counts``, ``exposure`` and ``profile`` are rows of it.
    """

    step: int
    moment_ms: int
    new: Floats
    counts: Floats
    exposure: Floats
    profile: Floats
    upstream: Floats
    seen: Flags
    delays: DelayLook
    event: Flags
    level: Floats
    observed: Floats
    expected: Floats
    exposures: Floats
    doubt: Floats
    dispersion: Floats
    evidence: Floats
    side: NDArray[np.int8]
