"""What is usual in the labelled weeks: a week with sharp edges, and rates that wander on several time scales."""

from __future__ import annotations

import math
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

__all__ = ["MINUTE_MS", "LocalTime", "bursts", "conversion_shape", "job_shape", "traffic_shape", "wander"]

Floats = NDArray[np.float64]

MINUTE_MS = 60_000

WORKDAY = (35, 20, 12, 9, 8, 12, 25, 50, 80, 100, 110, 115, 115, 110, 105, 105, 110, 115, 125, 132, 135, 130, 105, 65)
FREE_DAY = (55, 38, 24, 14, 10, 9, 12, 22, 45, 80, 115, 135, 140, 140, 138, 135, 130, 125, 125, 125, 125, 118, 98, 70)
"""Sessions by the hour, in per cent of a usual hour: a working day, and Saturday and Sunday, which begin later."""

WEEKDAYS = (1.0, 0.97, 0.95, 0.98, 1.08, 1.2, 1.12)
"""Monday to Sunday."""

BUYING = (88, 84, 82, 80, 82, 86, 92, 96, 100, 102, 103, 102, 100, 101, 102, 101, 100, 100, 102, 106, 108, 108, 104, 96)
"""Conversion by the hour, in per cent of the usual, over all steps."""


class LocalTime:
    """Minute of the local day, and weekday (Monday is 0), of each minute from ``start_ms`` on.

    >>> LocalTime(1_774_659_600_000, 3, ZoneInfo("Europe/Berlin")).minute.tolist()
    [120, 121, 122]
    """

    def __init__(self, start_ms: int, minutes: int, zone: ZoneInfo) -> None:
        utc = start_ms // MINUTE_MS + np.arange(minutes)
        quarters = utc // 15
        first, last = int(quarters[0]), int(quarters[-1])
        offset = np.array([_offset(quarter * 15, zone) for quarter in range(first, last + 1)])
        local = utc + offset[quarters - first]
        self.minute = local % 1440
        self.weekday = (local // 1440 + 3) % 7
        self.free = self.weekday >= 5


def traffic_shape(time: LocalTime) -> Floats:
    """Sessions over the mean of the week: weekdays, lunch and prime time with sharp edges, a mail every morning."""
    hours = np.where(time.free, _by_hour(FREE_DAY, time.minute), _by_hour(WORKDAY, time.minute))
    shape = hours / 100 * np.array(WEEKDAYS)[time.weekday]
    shape *= 1 + np.where(time.free, 0.08, 0.28) * _between(time.minute, 720, 780, 3)
    shape *= 1 + 0.35 * _between(time.minute, 1200, 1335, 5)
    mail = np.where(time.minute >= 600, np.exp(-(time.minute - 600) / 18.0), 0.0)
    shape *= 1 + np.where(time.free, 0.0, 0.4) * mail
    return shape / 0.97


def conversion_shape(time: LocalTime) -> Floats:
    """Rates over their mean: a day, a weekend, and a lunch break in which people look more than they buy."""
    shape = _by_hour(BUYING, time.minute) / 100
    shape = shape * np.where(time.free, 1.05, 1.0)
    shape *= 1 - np.where(time.free, 0.02, 0.08) * _between(time.minute, 720, 780, 2)
    result: Floats = shape * (1 + 0.04 * _between(time.minute, 1200, 1335, 4))
    return result


def job_shape(time: LocalTime, depth: float) -> Floats:
    """A nightly job that slows the site down from 3:00 to 3:25, by this share."""
    return 1 - depth * _between(time.minute, 180, 205, 1)


def wander(rng: np.random.Generator, minutes: int, scales: tuple[tuple[float, float], ...], series: int) -> Floats:
    """Logarithms that wander around nought: the sum of one process for each ``(memory in minutes, deviation)``."""
    told = np.zeros((series, minutes))
    for memory, deviation in scales:
        rho = math.exp(-1 / memory)
        level = rng.normal(0, deviation, series)
        steps = rng.normal(0, deviation * math.sqrt(1 - rho * rho), (minutes, series))
        for minute in range(minutes):
            level = rho * level + steps[minute]
            told[:, minute] += level
    return told


def bursts(rng: np.random.Generator, minutes: int, deviation: float, length: int) -> Floats:
    """Factors of mean 1 that hold for ``length`` minutes: what makes traffic rougher than chance."""
    shape = 1 / deviation**2
    blocks = rng.gamma(shape, 1 / shape, minutes // length + 1)
    return np.repeat(blocks, length)[:minutes]


def _offset(utc_minute: int, zone: ZoneInfo) -> int:
    shift = datetime.fromtimestamp(utc_minute * 60, zone).utcoffset()
    return 0 if shift is None else int(shift.total_seconds()) // 60


def _by_hour(knots: tuple[int, ...], minute: NDArray[np.int64]) -> Floats:
    """Straight lines between the middles of the hours."""
    places = np.arange(-1, 25) * 60 + 30
    result: Floats = np.interp(minute, places, [knots[-1], *knots, knots[0]])
    return result


def _between(minute: NDArray[np.int64], begin: int, end: int, edge: int) -> Floats:
    """One inside, nought outside, with straight edges of so many minutes."""
    result: Floats = np.clip(np.minimum(minute - begin + 1, end - minute) / edge, 0.0, 1.0)
    return result
