"""Labelled series of the kinds that public anomaly benchmarks hold: made from a seed, none of their data is used.

What each family looks like (intervals, lengths, noise, how odd the odd stretches are) follows the published
descriptions and pictures of the Numenta Anomaly Benchmark; windows are set by its rule: a tenth of the series, shared
by its anomalies, each in the middle of its share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.plain_machines import MACHINES
from benchmarks.plain_shapes import (
    DAY,
    HOUR,
    MINUTE,
    START,
    Floats,
    Made,
    Make,
    Rng,
    clock,
    hour_of,
    is_weekend,
    places_of,
    wander,
)

__all__ = ["FAMILIES", "Series", "corpus"]


class Series(NamedTuple):
    """Values at seconds since 1970, and the windows in which a detection is right, ``[first, last]`` by position."""

    name: str
    seconds: Floats
    values: Floats
    windows: tuple[tuple[int, int], ...]


def corpus(seed: int) -> list[Series]:
    """One series of each family."""
    told: list[Series] = []
    for number, (name, make) in enumerate(FAMILIES.items()):
        seconds, values, anomalies = make(np.random.default_rng([seed, number]))
        told.append(Series(name, seconds, values, _windows(len(values), anomalies)))
    return told


def _windows(count: int, anomalies: Sequence[int]) -> tuple[tuple[int, int], ...]:
    half = count // 20 // max(len(anomalies), 1)
    told: list[tuple[int, int]] = []
    for middle in sorted(anomalies):
        first = max(middle - half, told[-1][1] + 1 if told else 0)
        told.append((first, min(middle + half, count - 1)))
    return tuple(told)


def _square(rng: Rng, count: int = 4032, noise: float = 8.0) -> tuple[Floats, Floats]:
    seconds = clock(count)
    hour = hour_of(seconds)
    high = (hour >= 9) & (hour < 18)
    return seconds, np.where(high, 80.0, 20.0) + rng.uniform(0, 1, count) * noise


def _quiet_square(noise: float) -> Make:
    return lambda rng: (*_square(rng, noise=noise), [])


def _smooth_day(rng: Rng) -> Made:
    seconds = clock(4032)
    return seconds, 50 - 30 * np.cos(2 * math.pi * hour_of(seconds) / 24) + rng.uniform(0, 2, 4032), []


def _constant(rng: Rng) -> Made:
    return clock(4032), np.full(4032, 45.0), []


def _only_noise(rng: Rng) -> Made:
    return clock(4032), rng.uniform(17, 23, 4032), []


def _odd_square(kind: str) -> Make:
    def make(rng: Rng) -> Made:
        seconds, values = _square(rng)
        first = 288 * int(rng.integers(8, 12)) + 9 * 12
        day = slice(first, first + 9 * 12)
        if kind == "flat middle":
            values[first - 24 : first + 9 * 12 + 24] = 20 + rng.uniform(0, 2, 9 * 12 + 48)
        elif kind == "jump":
            values[day] += 60
        elif kind == "fall":
            values[day] -= 40
        else:
            values[day] -= 60
        return seconds, values, [first]

    return make


def _spike_density(rng: Rng) -> Made:
    values = rng.uniform(20, 24, 4032)
    values[rng.random(4032) < 0.015] += 60
    (first,) = places_of(rng, 4032, 1, 0.4)
    values[first : first + 150][rng.random(150) < 0.3] = 82
    return clock(4032), values, [first]


def _load_balancer(rng: Rng) -> Made:
    values = rng.exponential(0.05, 4032)
    values[rng.random(4032) < 0.01] += rng.exponential(0.7)
    (first,) = places_of(rng, 4032, 1, 0.4)
    values[first : first + 200] += rng.exponential(1.0, 200) * (rng.random(200) < 0.4)
    return clock(4032), values, [first]


def _taxi(rng: Rng) -> Made:
    """Half-hours of a city: a day and a week, five odd days."""
    count, seconds = 7000, clock(7000, 30 * MINUTE)
    hour, free = hour_of(seconds), is_weekend(seconds)
    weekday = 15_000 - 9000 * np.cos(2 * math.pi * (hour - 4) / 24) + 4000 * np.exp(-(((hour - 19) / 2) ** 2))
    weekend = 15_500 - 7000 * np.cos(2 * math.pi * (hour - 6.5) / 24)
    # Saturday begins by and by, as does Monday.
    share = np.convolve(free, np.ones(12) / 12, "same")
    values = (share * weekend + (1 - share) * weekday) * np.exp(
        wander(rng, count, 40, 0.06) + rng.normal(0, 0.025, count)
    )
    places = places_of(rng, count, 5)
    for place, factor in zip(places, rng.permutation([0.45, 0.55, 0.2, 0.6, 1.6]), strict=True):
        length = int(rng.integers(24, 48)) if factor < 1 else 6
        values[place : place + length] *= factor
    return seconds, np.round(values), places


def _tweets(level: float, bursts: int) -> Make:
    """Mentions a five minutes: a day, many small bursts that fade, a few large ones that are the anomalies."""

    def make(rng: Rng) -> Made:
        count = 8000
        seconds = clock(count, shift=173)
        rate = level * np.exp(0.6 * np.cos(2 * math.pi * (hour_of(seconds) - 17) / 24) - 0.3 * is_weekend(seconds))
        rate *= np.exp(wander(rng, count, 60, 0.25))
        for place in rng.integers(0, count, 90):
            _burst(rate, int(place), level * rng.pareto(2.0) * 1.0, rng.uniform(2, 8))
        places = places_of(rng, count, bursts)
        for place in places:
            _burst(rate, place, level * rng.uniform(12, 40), rng.uniform(6, 40))
        return seconds, rng.poisson(rng.gamma(8.0, rate / 8)).astype(float), places

    return make


def _burst(rate: Floats, place: int, height: float, fade: float) -> None:
    length = min(len(rate) - place, int(8 * fade))
    rate[place : place + length] += height * np.exp(-np.arange(length) / fade)


def _clicks(spread: float) -> Make:
    """Cost of a click by the hour: a day, noise of so many per cent; hours that cost many times the usual."""

    def make(rng: Rng) -> Made:
        count, seconds = 1600, clock(1600, HOUR, 1.0)
        usual = 0.2 * np.exp(0.55 * np.cos(2 * math.pi * (hour_of(seconds) - 12) / 24) + wander(rng, count, 60, 0.1))
        values = usual * np.exp(rng.normal(0, spread, count))
        places = places_of(rng, count, 2)
        values[places[0] : places[0] + 2] *= rng.uniform(4, 8)
        values[places[1] : places[1] + 30] *= np.exp(rng.normal(0, 4 * spread, 30))
        values[places[1]] *= 0.15
        return seconds, values, places

    return make


def _key_hold(rng: Rng) -> Made:
    """How long keys are held, hours of work only; then somebody else types."""
    seconds = clock(9000)
    hour = hour_of(seconds)
    seconds = seconds[(hour > 7) & (hour < 20) & (rng.random(9000) < 0.45)][:1900]
    count = len(seconds)
    values = 0.08 * np.exp(rng.normal(0, 0.25, count))
    values[rng.random(count) < 0.02] *= rng.uniform(1.5, 2.5)
    places = places_of(rng, count, 2)
    values[places[0] : places[0] + 60] *= 1.9
    values[places[1] : places[1] + 3] = rng.uniform(0.7, 1.2)
    return seconds, values, places


def _thinned(rng: Rng, step: float, count: int) -> Floats:
    """Irregular moments: sensors that fall silent at night."""
    seconds = clock(4 * count, step)
    hour = hour_of(seconds)
    awake = np.where((hour > 6) & (hour < 21), 0.6, 0.1)
    told: Floats = seconds[rng.random(len(seconds)) < awake][:count] + rng.integers(0, 3, count) * MINUTE
    return told


def _travel(rng: Rng) -> Made:
    """Seconds for a road: rush hours that differ from day to day, rare absurd values; jams that last."""
    count = 2500
    seconds = _thinned(rng, 10 * MINUTE, count)
    hour = hour_of(seconds)
    days = ((seconds - START) // DAY).astype(int)
    rush = rng.gamma(2.0, 0.5, days[-1] + 1)[days] * np.exp(-(((hour - 17) / 1.6) ** 2)) * ~is_weekend(seconds)
    values = 180 * np.exp(0.9 * rush + rng.normal(0, 0.13, count) + wander(rng, count, 8, 0.15))
    places = places_of(rng, count, 2)
    values[places[0] : places[0] + 3] = rng.uniform(3500, 5000)
    values[places[1] : places[1] + 40] *= 4.5
    return seconds, np.round(values), places


def _speed(rng: Rng) -> Made:
    count = 2500
    seconds = _thinned(rng, 5 * MINUTE, count)
    slow = 12 * np.exp(-(((hour_of(seconds) - 17.5) / 1.2) ** 2)) * ~is_weekend(seconds)
    values = 68 - slow + rng.normal(0, 2.5, count) + wander(rng, count, 20, 1.5)
    places = places_of(rng, count, 2)
    values[places[0] : places[0] + 8] = rng.uniform(8, 25)
    values[places[1] : places[1] + 25] -= 25
    return seconds, np.round(values), places


def _rogue(rng: Rng) -> Made:
    """A client that mostly idles, with work now and then; then it works without end."""
    count = 4600
    values = rng.gamma(0.5, 0.4, count)
    for place in rng.integers(0, count, 45):
        values[place : place + int(rng.integers(1, 7))] += rng.uniform(3, 14)
    (first,) = places_of(rng, count, 1, 0.4)
    values[first : first + 120] += rng.uniform(9, 13, 120)
    return clock(count), values, [first]


def _memory(rng: Rng) -> Made:
    """Rises by and by and is let go; then it runs over."""
    count = 4032
    steps = np.cumsum(rng.gamma(2.0, 0.02, count))
    values = 30 + steps % 20 + rng.normal(0, 0.2, count)
    (first,) = places_of(rng, count, 1, 0.4)
    values[first : first + 90] = np.linspace(values[first], 92, 90)
    return clock(count), values, [first]


def _conversion(rng: Rng) -> Made:
    """A ratio of the shop with few trials at night; a third lost for an hour, half lost for ten minutes."""
    count, seconds = 4320, clock(4320)
    trials = rng.poisson(150 * np.exp(1.1 * np.cos(2 * math.pi * (hour_of(seconds) - 20) / 24)))
    rate = np.clip(0.9 + wander(rng, count, 60, 0.008), 0, 0.99)
    places = places_of(rng, count, 2)
    rate[places[0] : places[0] + 12] *= 0.7
    rate[places[1] : places[1] + 3] *= 0.5
    values = rng.binomial(trials, rate) / np.maximum(trials, 1)
    return seconds[trials > 0], values[trials > 0], [int((trials[:place] > 0).sum()) for place in places]


def _orders(rng: Rng) -> Made:
    """Counts of a shop that sleeps at night: an evening without orders, then four times as many."""
    count, seconds = 5000, clock(5000)
    hour = hour_of(seconds)
    rate = 25 * np.exp(1.5 * np.cos(2 * math.pi * (hour - 19) / 24) - 0.8 + 0.25 * is_weekend(seconds))
    rate = np.where((hour > 2) & (hour < 5), 0.2, rate) * np.exp(wander(rng, count, 30, 0.1))
    days = places_of(rng, count, 2)
    places = [day // 288 * 288 + 18 * 12 for day in days]
    rate[places[0] : places[0] + 12] = 0.0
    rate[places[1] : places[1] + 6] *= 4
    return seconds, rng.poisson(rate).astype(float), places


FAMILIES: dict[str, Make] = {
    "square, no noise": _quiet_square(0.0),
    "square, noise": _quiet_square(8.0),
    "smooth day": _smooth_day,
    "constant": _constant,
    "only noise": _only_noise,
    "square, flat middle": _odd_square("flat middle"),
    "square, jump": _odd_square("jump"),
    "square, fall": _odd_square("fall"),
    "square, missing jump": _odd_square("missing"),
    "spike density": _spike_density,
    "load balancer": _load_balancer,
    "taxi": _taxi,
    "tweets, many": _tweets(60.0, 4),
    "tweets, some": _tweets(15.0, 3),
    "tweets, few": _tweets(3.0, 2),
    **MACHINES,
    "cost per click, calm": _clicks(0.12),
    "cost per click, wild": _clicks(0.3),
    "key hold": _key_hold,
    "travel time": _travel,
    "road speed": _speed,
    "rogue client": _rogue,
    "memory": _memory,
    "conversion ratio": _conversion,
    "orders": _orders,
}
