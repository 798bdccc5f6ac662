"""What is expected by hour of day and day of week: a smooth basis in local time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from detectors.base import SegmentKey

__all__ = ["Basis", "Note", "rate_basis", "segment_basis", "volume_basis"]

Floats = NDArray[np.float64]

SLOTS = 96
"""Quarters of an hour in a day: the table of sharp daily features that the harmonics miss."""

EVENT_TAIL_MS = 20 * 60_000
"""Shoppers of a campaign still buy after its end."""


class Note(NamedTuple):
    """An announced time of the calendar, ``[start_ms, end_ms)``: a holiday counts as a Sunday, a campaign widens."""

    kind: Literal["campaign", "holiday"]
    start_ms: int
    end_ms: int
    name: str = ""
    scope: SegmentKey = ()
    """The segment that it is for; empty: the whole shop."""


@dataclass(frozen=True)
class Basis:
    """The regressors of one kind of series: intercept, day, weekend, weekdays, event, level (in this order).

    ``prior`` holds the variance of each coefficient before anything is learnt: its size is what a young model is
    allowed to be wrong by, and so what keeps it quiet.
    """

    day: int
    weekend: int
    weekdays: bool
    prior: Floats
    zone: ZoneInfo
    notes: tuple[Note, ...] = ()

    @property
    def size(self) -> int:
        """Number of coefficients, the event and the level included."""
        return len(self.prior)

    def at(self, moment_ms: int) -> Floats:
        """The regressors at a moment; the level's is 1.

        >>> basis = rate_basis(ZoneInfo("UTC"))
        >>> basis.at(0).round(2).tolist()[:5], basis.size
        ([1.0, 1.0, 0.0, 1.0, 0.0], 16)
        """
        minute, today = _local(moment_ms, self.zone)
        angle = 2 * math.pi * minute / 1440
        holiday = self.noted("holiday", moment_ms)
        free = today >= 5 or holiday
        told = [1.0, *_waves(angle, self.day)]
        told += [1.0, *_waves(angle, self.weekend)] if free else [0.0] * (1 + 2 * self.weekend)
        if self.weekdays:
            weekday = 6 if holiday else today
            told += [float(day == weekday) for day in range(7)]
        told += [float(self.noted("campaign", moment_ms, EVENT_TAIL_MS)), 1.0]
        return np.array(told)

    def slot(self, moment_ms: int) -> int:
        """The quarter of the local day, 0..95."""
        return int(_local(moment_ms, self.zone)[0]) // 15

    def noted(self, kind: str, moment_ms: int, tail_ms: int = 0) -> bool:
        """Whether a note of this kind covers the moment, or ended less than ``tail_ms`` before it.

        A holiday of one segment is none of the shop.
        """
        return bool(self.notes) and any(
            note.kind == kind
            and note.start_ms <= moment_ms < note.end_ms + tail_ms
            and not (kind == "holiday" and note.scope)
            for note in self.notes
        )


def rate_basis(zone: ZoneInfo, notes: tuple[Note, ...] = ()) -> Basis:
    """For a ratio: four harmonics of the day, two more for weekends."""
    prior = [1.0**2, *_falling(0.15, 4), 0.07**2, *_falling(0.04, 2), 0.1**2, 0.0]
    return Basis(4, 2, False, np.array(prior), zone, notes)


def segment_basis(basis: Basis) -> Floats:
    """Prior of a segment's ratio around its whole: an own intercept and a little of the first harmonic."""
    prior = np.zeros(basis.size)
    prior[:3] = 0.1**2, 0.03**2, 0.03**2
    return prior


def volume_basis(zone: ZoneInfo, notes: tuple[Note, ...] = ()) -> Basis:
    """For a count: eight harmonics of the day, eight for weekends, and a level for each weekday."""
    prior = [3.0**2, *_falling(1.0, 8, 1.5), 0.4**2, *_falling(0.5, 8, 1.5), *[0.08**2] * 7, 0.3**2, 0.0]
    return Basis(8, 8, True, np.array(prior), zone, notes)


@lru_cache(maxsize=64)
def _local(moment_ms: int, zone: ZoneInfo) -> tuple[float, int]:
    """Minute of the local day, and the day of the week."""
    local = datetime.fromtimestamp(moment_ms / 1000, zone)
    return local.hour * 60 + local.minute + local.second / 60, local.weekday()


def _waves(angle: float, harmonics: int) -> list[float]:
    told: list[float] = []
    for k in range(1, harmonics + 1):
        told += [math.cos(k * angle), math.sin(k * angle)]
    return told


def _falling(deviation: float, harmonics: int, power: float = 1.0) -> Sequence[float]:
    return [(deviation / k**power) ** 2 for k in range(1, harmonics + 1) for _ in range(2)]
