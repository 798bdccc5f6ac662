"""Labelled series of the kinds that public anomaly benchmarks hold: made from a seed, none of their data is used.

What each family looks like (intervals, lengths, noise, how odd the odd stretches are) follows the published
descriptions and pictures of the Numenta Anomaly Benchmark; windows are set by its rule: a tenth of the series, shared
by its anomalies, each in the middle of its share.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAMILIES", "Series", "corpus"]

Floats = NDArray[np.float64]
Rng = np.random.Generator

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
START = 1_396_310_400.0
"""A Tuesday, 2014-04-01 UTC."""


class Series(NamedTuple):
    """Values at seconds since 1970, and the windows in which a detection is right, ``[first, last]`` by position."""

    name: str
    seconds: Floats
    values: Floats
    windows: tuple[tuple[int, int], ...]


def corpus(seed: int) -> list[Series]:
    """One series of each family."""
    told = []
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


Made = tuple[Floats, Floats, Sequence[int]]
Make = Callable[[Rng], Made]


def _clock(count: int, step: float = 5 * MINUTE, shift: float = 0.0) -> Floats:
    return START + shift + step * np.arange(count)


def _hour(seconds: Floats) -> Floats:
    told: Floats = seconds % DAY / HOUR
    return told


def _weekend(seconds: Floats) -> NDArray[np.bool_]:
    return (seconds // DAY + 3).astype(int) % 7 >= 5


def _places(rng: Rng, count: int, number: int, first: float = 0.3) -> list[int]:
    """Where anomalies begin: apart from each other and from the ends."""
    edges = np.linspace(first * count, 0.97 * count, number + 1)
    return [int(rng.uniform(a + 0.1 * (b - a), b - 0.1 * (b - a))) for a, b in itertools.pairwise(edges)]


def _wander(rng: Rng, count: int, memory: float, size: float = 1.0) -> Floats:
    """A level that wanders around nought and comes back within so many values."""
    keep = math.exp(-1 / memory)
    steps = rng.normal(0, size * math.sqrt(1 - keep * keep), count)
    told, level = np.empty(count), rng.normal(0, size)
    for place, step in enumerate(steps):
        level = keep * level + step
        told[place] = level
    return told


def _square(rng: Rng, count: int = 4032, noise: float = 8.0) -> tuple[Floats, Floats]:
    seconds = _clock(count)
    hour = _hour(seconds)
    high = (hour >= 9) & (hour < 18)
    return seconds, np.where(high, 80.0, 20.0) + rng.uniform(0, 1, count) * noise


def _quiet_square(noise: float) -> Make:
    return lambda rng: (*_square(rng, noise=noise), [])


def _smooth_day(rng: Rng) -> Made:
    seconds = _clock(4032)
    return seconds, 50 - 30 * np.cos(2 * math.pi * _hour(seconds) / 24) + rng.uniform(0, 2, 4032), []


def _constant(rng: Rng) -> Made:
    return _clock(4032), np.full(4032, 45.0), []


def _only_noise(rng: Rng) -> Made:
    return _clock(4032), rng.uniform(17, 23, 4032), []


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
    (first,) = _places(rng, 4032, 1, 0.4)
    values[first : first + 150][rng.random(150) < 0.3] = 82
    return _clock(4032), values, [first]


def _load_balancer(rng: Rng) -> Made:
    values = rng.exponential(0.05, 4032)
    values[rng.random(4032) < 0.01] += rng.exponential(0.7)
    (first,) = _places(rng, 4032, 1, 0.4)
    values[first : first + 200] += rng.exponential(1.0, 200) * (rng.random(200) < 0.4)
    return _clock(4032), values, [first]


def _taxi(rng: Rng) -> Made:
    """Half-hours of a city: a day and a week, five odd days."""
    count, seconds = 7000, _clock(7000, 30 * MINUTE)
    hour, free = _hour(seconds), _weekend(seconds)
    weekday = 15_000 - 9000 * np.cos(2 * math.pi * (hour - 4) / 24) + 4000 * np.exp(-(((hour - 19) / 2) ** 2))
    weekend = 15_500 - 7000 * np.cos(2 * math.pi * (hour - 6.5) / 24)
    values = np.where(free, weekend, weekday) * np.exp(_wander(rng, count, 40, 0.06) + rng.normal(0, 0.025, count))
    places = _places(rng, count, 5)
    for place, factor in zip(places, rng.permutation([0.45, 0.55, 0.2, 0.6, 1.6]), strict=True):
        length = int(rng.integers(24, 48)) if factor < 1 else 6
        values[place : place + length] *= factor
    return seconds, np.round(values), places


def _tweets(level: float, bursts: int) -> Make:
    """Mentions a five minutes: a day, many small bursts that fade, a few large ones that are the anomalies."""

    def make(rng: Rng) -> Made:
        count = 8000
        seconds = _clock(count, shift=173)
        rate = level * np.exp(0.6 * np.cos(2 * math.pi * (_hour(seconds) - 17) / 24) - 0.3 * _weekend(seconds))
        rate *= np.exp(_wander(rng, count, 60, 0.25))
        for place in rng.integers(0, count, 90):
            _burst(rate, int(place), level * rng.pareto(2.0) * 1.0, rng.uniform(2, 8))
        places = _places(rng, count, bursts)
        for place in places:
            _burst(rate, place, level * rng.uniform(12, 40), rng.uniform(6, 40))
        return seconds, rng.poisson(rng.gamma(8.0, rate / 8)).astype(float), places

    return make


def _burst(rate: Floats, place: int, height: float, fade: float) -> None:
    length = min(len(rate) - place, int(8 * fade))
    rate[place : place + length] += height * np.exp(-np.arange(length) / fade)


def _idle_cpu(rng: Rng) -> Made:
    """Two or three values and hardly more, with small spikes; then a large spike, then another level."""
    values = rng.choice([0.066, 0.132, 0.134], 4032, p=[0.2, 0.4, 0.4])
    values[rng.random(4032) < 0.004] = rng.uniform(0.3, 0.6)
    places = _places(rng, 4032, 2)
    values[places[0] : places[0] + 3] = rng.uniform(1.8, 2.5)
    values[places[1] : places[1] + 60] += 0.4
    return _clock(4032, shift=280), values, places


def _busy_cpu(rng: Rng) -> Made:
    values = 45 + _wander(rng, 4032, 80, 2.5) + rng.normal(0, 1.5, 4032)
    values[rng.random(4032) < 0.006] += rng.uniform(6, 14)
    places = _places(rng, 4032, 2)
    values[places[0] : places[0] + 8] += rng.uniform(18, 30)
    values[places[1] :] += rng.choice([-12, 14])
    return _clock(4032), values, places


def _low_cpu(rng: Rng) -> Made:
    """A level near two with jobs every six hours; one job runs on, then a fall to nearly nothing."""
    values = 1.8 + rng.gamma(2.0, 0.05, 4032)
    for first in range(20, 4032, 72):
        values[first : first + 2] += rng.uniform(0.5, 1.2)
    places = _places(rng, 4032, 2)
    values[places[0] : places[0] + 40] += 1.1
    values[places[1] : places[1] + 30] = 0.05
    return _clock(4032, shift=130), values, places


def _stuck_cpu(rng: Rng) -> Made:
    """Full of noise, then a flat line."""
    values = np.clip(30 + _wander(rng, 4032, 20, 8) + rng.normal(0, 6, 4032), 0, 100)
    (first,) = _places(rng, 4032, 1, 0.4)
    values[first : first + 220] = values[first]
    return _clock(4032), values, [first]


def _pegged_cpu(rng: Rng) -> Made:
    """Bursts between nothing and half; then it stays at a hundred."""
    on = np.repeat(rng.random(500) < 0.35, rng.integers(4, 14, 500))[:4000]
    values = np.where(on, rng.normal(45, 6, 4000), rng.gamma(1.5, 1.0, 4000))
    (first,) = _places(rng, 4000, 1, 0.4)
    values[first : first + 80] = rng.uniform(97, 100, 80)
    return _clock(4000), values, [first]


def _step_cpu(rng: Rng) -> Made:
    """Five to seven, spikes of noon and midnight; a jump to fifteen that stays, and a spike above all."""
    values = 6 + rng.normal(0, 0.35, 4032)
    for first in range(50, 4032, 144):
        values[first : first + 3] += rng.uniform(2, 5)
    places = _places(rng, 4032, 2)
    values[places[0] :] += 8
    values[places[1] : places[1] + 4] += 25
    return _clock(4032, shift=30), values, places


def _network(rng: Rng) -> Made:
    """Bytes with an hourly transfer ten times the usual; the odd one is thirty times, the other a long one."""
    count = 4032
    values = 240_000 * np.exp(rng.normal(0, 0.05, count))
    values[11::12] = 3.2e6 * np.exp(rng.normal(0, 0.01, len(values[11::12])))
    values[1::12] = 3.2e6 * np.exp(rng.normal(0, 0.01, len(values[1::12])))
    late = rng.random(count) < 0.01
    values[late] *= np.exp(rng.uniform(0.3, 2.0, late.sum()))
    places = _places(rng, count, 2)
    values[places[0] : places[0] + 3] = rng.uniform(7e6, 2e7)
    values[places[1] : places[1] + 40] += 3e6
    return _clock(count, shift=240), values, places


def _disk(rng: Rng) -> Made:
    """Bytes over decades, often nothing; bursts above all that was, and one that lasts."""
    count = 4032
    values = np.where(rng.random(count) < 0.4, 0.0, np.exp(rng.normal(11, 1.6, count)))
    places = _places(rng, count, 2)
    values[places[0] : places[0] + 4] = rng.uniform(2e8, 8e8)
    values[places[1] : places[1] + 60] = np.exp(rng.normal(15.5, 0.8, 60))
    return _clock(count), np.round(values), places


def _balancer_requests(rng: Rng) -> Made:
    """Requests of few clients: nearly exponential, a weak day; one high spike, one long busy stretch."""
    count, seconds = 4032, _clock(4032, shift=240)
    level = 60 * np.exp(0.4 * np.cos(2 * math.pi * (_hour(seconds) - 15) / 24))
    places = _places(rng, count, 2)
    level[places[1] : places[1] + 40] *= 3.5
    values = np.round(rng.exponential(level))
    values[places[0]] = rng.uniform(620, 900)
    return seconds, values, places


def _latency(rng: Rng) -> Made:
    count = 4032
    values = 45 + _wander(rng, count, 30, 0.8) + rng.normal(0, 1.0, count)
    values[rng.random(count) < 0.004] += rng.uniform(3, 8)
    places = _places(rng, count, 3)
    values[places[0] : places[0] + 12] += 14
    values[places[1] : places[1] + 60] += np.linspace(0, 12, 60)
    values[places[2] : places[2] + 2] = rng.uniform(80, 100)
    return _clock(count), values, places


def _group_load(rng: Rng) -> Made:
    """Machines of a group: smooth work days, then to nought and back."""
    count, seconds = 4600, _clock(4600)
    values = 30 + 4 * np.cos(2 * math.pi * (_hour(seconds) - 15) / 24) + _wander(rng, count, 50, 1.5)
    values += rng.normal(0, 0.8, count)
    places = _places(rng, count, 3)
    for place in places[:2]:
        values[place : place + int(rng.integers(3, 15))] = rng.uniform(0, 2)
    values[places[2] : places[2] + 90] -= 12
    return seconds, np.clip(values, 0, None), places


def _room(rng: Rng) -> Made:
    """Hourly temperatures of a room: seasons, a weak day, gaps; a fault in winter, one in spring."""
    count = 6000
    seconds = _clock(count, HOUR)
    values = 71 + _wander(rng, count, 400, 3.0) + _wander(rng, count, 8, 0.9) + 1.2 * np.cos(_hour(seconds) / 3.82)
    places = _places(rng, count, 2)
    values[places[0] : places[0] + 30] -= np.concatenate([np.linspace(0, 9, 10), np.linspace(9, 0, 20)])
    values[places[1] : places[1] + 40] += 7.5
    kept = np.sort(rng.permutation(count)[: int(0.96 * count)])
    return seconds[kept], values[kept], [int(np.searchsorted(kept, place)) for place in places]


def _machine(rng: Rng) -> Made:
    """Temperature inside a machine: long memory, a planned stop (down and up), warning signs, a breakdown."""
    count = 12_000
    values = 88 + _wander(rng, count, 300, 5) + _wander(rng, count, 12, 0.8) + rng.normal(0, 0.3, count)
    places = _places(rng, count, 3)
    for place, depth, length in zip(places, (60, 25, 75), (130, 80, 160), strict=True):
        third = length // 3
        dip = [np.linspace(0, depth, third), np.full(third, depth), np.linspace(depth, 0, third)]
        values[place : place + 3 * third] -= np.concatenate(dip)
    return _clock(count), values, places


def _clicks(spread: float) -> Make:
    """Cost of a click by the hour: a day, noise of so many per cent; hours that cost many times the usual."""

    def make(rng: Rng) -> Made:
        count, seconds = 1600, _clock(1600, HOUR, 1.0)
        usual = 0.2 * np.exp(0.55 * np.cos(2 * math.pi * (_hour(seconds) - 12) / 24) + _wander(rng, count, 60, 0.1))
        values = usual * np.exp(rng.normal(0, spread, count))
        places = _places(rng, count, 2)
        values[places[0] : places[0] + 2] *= rng.uniform(4, 8)
        values[places[1] : places[1] + 30] *= np.exp(rng.normal(0, 4 * spread, 30))
        values[places[1]] *= 0.15
        return seconds, values, places

    return make


def _key_hold(rng: Rng) -> Made:
    """How long keys are held, hours of work only; then somebody else types."""
    seconds = _clock(9000)
    hour = _hour(seconds)
    seconds = seconds[(hour > 7) & (hour < 20) & (rng.random(9000) < 0.45)][:1900]
    count = len(seconds)
    values = 0.08 * np.exp(rng.normal(0, 0.25, count))
    values[rng.random(count) < 0.02] *= rng.uniform(1.5, 2.5)
    places = _places(rng, count, 2)
    values[places[0] : places[0] + 60] *= 1.9
    values[places[1] : places[1] + 3] = rng.uniform(0.7, 1.2)
    return seconds, values, places


def _thinned(rng: Rng, step: float, count: int) -> Floats:
    """Irregular moments: sensors that fall silent at night."""
    seconds = _clock(4 * count, step)
    hour = _hour(seconds)
    awake = np.where((hour > 6) & (hour < 21), 0.6, 0.1)
    told: Floats = seconds[rng.random(len(seconds)) < awake][:count] + rng.integers(0, 3, count) * MINUTE
    return told


def _travel(rng: Rng) -> Made:
    """Seconds for a road: rush hours that differ from day to day, rare absurd values; jams that last."""
    count = 2500
    seconds = _thinned(rng, 10 * MINUTE, count)
    hour = _hour(seconds)
    days = ((seconds - START) // DAY).astype(int)
    rush = rng.gamma(2.0, 0.5, days[-1] + 1)[days] * np.exp(-(((hour - 17) / 1.6) ** 2)) * ~_weekend(seconds)
    values = 180 * np.exp(0.9 * rush + rng.normal(0, 0.13, count) + _wander(rng, count, 8, 0.15))
    places = _places(rng, count, 2)
    values[places[0] : places[0] + 3] = rng.uniform(3500, 5000)
    values[places[1] : places[1] + 40] *= 4.5
    return seconds, np.round(values), places


def _speed(rng: Rng) -> Made:
    count = 2500
    seconds = _thinned(rng, 5 * MINUTE, count)
    slow = 12 * np.exp(-(((_hour(seconds) - 17.5) / 1.2) ** 2)) * ~_weekend(seconds)
    values = 68 - slow + rng.normal(0, 2.5, count) + _wander(rng, count, 20, 1.5)
    places = _places(rng, count, 2)
    values[places[0] : places[0] + 8] = rng.uniform(8, 25)
    values[places[1] : places[1] + 25] -= 25
    return seconds, np.round(values), places


def _rogue(rng: Rng) -> Made:
    """A client that mostly idles, with work now and then; then it works without end."""
    count = 4600
    values = rng.gamma(0.5, 0.4, count)
    for place in rng.integers(0, count, 45):
        values[place : place + int(rng.integers(1, 7))] += rng.uniform(3, 14)
    (first,) = _places(rng, count, 1, 0.4)
    values[first : first + 120] += rng.uniform(9, 13, 120)
    return _clock(count), values, [first]


def _memory(rng: Rng) -> Made:
    """Rises by and by and is let go; then it runs over."""
    count = 4032
    steps = np.cumsum(rng.gamma(2.0, 0.02, count))
    values = 30 + steps % 20 + rng.normal(0, 0.2, count)
    (first,) = _places(rng, count, 1, 0.4)
    values[first : first + 90] = np.linspace(values[first], 92, 90)
    return _clock(count), values, [first]


def _conversion(rng: Rng) -> Made:
    """A ratio of the shop with few trials at night; a third lost for an hour, half lost for ten minutes."""
    count, seconds = 4320, _clock(4320)
    trials = rng.poisson(150 * np.exp(1.1 * np.cos(2 * math.pi * (_hour(seconds) - 20) / 24)))
    rate = np.clip(0.9 + _wander(rng, count, 60, 0.008), 0, 0.99)
    places = _places(rng, count, 2)
    rate[places[0] : places[0] + 12] *= 0.7
    rate[places[1] : places[1] + 3] *= 0.5
    values = rng.binomial(trials, rate) / np.maximum(trials, 1)
    return seconds[trials > 0], values[trials > 0], [int((trials[:place] > 0).sum()) for place in places]


def _orders(rng: Rng) -> Made:
    """Counts of a shop that sleeps at night: an evening without orders, then four times as many."""
    count, seconds = 5000, _clock(5000)
    hour = _hour(seconds)
    rate = 25 * np.exp(1.5 * np.cos(2 * math.pi * (hour - 19) / 24) - 0.8 + 0.25 * _weekend(seconds))
    rate = np.where((hour > 2) & (hour < 5), 0.2, rate) * np.exp(_wander(rng, count, 30, 0.1))
    days = _places(rng, count, 2)
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
    "cpu, idle": _idle_cpu,
    "cpu, busy": _busy_cpu,
    "cpu, low": _low_cpu,
    "cpu, stuck": _stuck_cpu,
    "cpu, pegged": _pegged_cpu,
    "cpu, step": _step_cpu,
    "network bytes": _network,
    "disk bytes": _disk,
    "balancer requests": _balancer_requests,
    "latency": _latency,
    "group load": _group_load,
    "room temperature": _room,
    "machine temperature": _machine,
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
