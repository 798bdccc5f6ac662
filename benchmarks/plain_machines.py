"""Labelled series of machines: processors, bytes, requests, latencies, temperatures."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.plain_shapes import HOUR, Made, Make, Rng, clock, hour_of, places_of, wander

__all__ = ["MACHINES"]


def _idle_cpu(rng: Rng) -> Made:
    """Two or three values and hardly more, with small spikes; then a large spike, then another level."""
    values = rng.choice([0.066, 0.132, 0.134], 4032, p=[0.2, 0.4, 0.4])
    values[rng.random(4032) < 0.004] = rng.uniform(0.3, 0.6)
    places = places_of(rng, 4032, 2)
    values[places[0] : places[0] + 3] = rng.uniform(1.8, 2.5)
    values[places[1] : places[1] + 60] += 0.4
    return clock(4032, shift=280), values, places


def _busy_cpu(rng: Rng) -> Made:
    values = 45 + wander(rng, 4032, 80, 2.5) + rng.normal(0, 1.5, 4032)
    values[rng.random(4032) < 0.006] += rng.uniform(6, 14)
    places = places_of(rng, 4032, 2)
    values[places[0] : places[0] + 8] += rng.uniform(18, 30)
    values[places[1] :] += rng.choice([-12, 14])
    return clock(4032), values, places


def _low_cpu(rng: Rng) -> Made:
    """A level near two with jobs every six hours; one job runs on, then a fall to nearly nothing."""
    values = 1.8 + rng.gamma(2.0, 0.05, 4032)
    for first in range(20, 4032, 72):
        values[first : first + 2] += rng.uniform(0.5, 1.2)
    places = places_of(rng, 4032, 2)
    values[places[0] : places[0] + 40] += 1.1
    values[places[1] : places[1] + 30] = 0.05
    return clock(4032, shift=130), values, places


def _stuck_cpu(rng: Rng) -> Made:
    """Full of noise, then a flat line."""
    values = np.clip(30 + wander(rng, 4032, 20, 8) + rng.normal(0, 6, 4032), 0, 100)
    (first,) = places_of(rng, 4032, 1, 0.4)
    values[first : first + 220] = values[first]
    return clock(4032), values, [first]


def _pegged_cpu(rng: Rng) -> Made:
    """Bursts between nothing and half; then it stays at a hundred."""
    on = np.repeat(rng.random(500) < 0.35, rng.integers(4, 14, 500))[:4000]
    values = np.where(on, rng.normal(45, 6, 4000), rng.gamma(1.5, 1.0, 4000))
    (first,) = places_of(rng, 4000, 1, 0.4)
    values[first : first + 80] = rng.uniform(97, 100, 80)
    return clock(4000), values, [first]


def _step_cpu(rng: Rng) -> Made:
    """Five to seven, spikes of noon and midnight; a jump to fifteen that stays, and a spike above all."""
    values = 6 + rng.normal(0, 0.35, 4032)
    for first in range(50, 4032, 144):
        values[first : first + 3] += rng.uniform(2, 5)
    places = places_of(rng, 4032, 2)
    values[places[0] :] += 8
    values[places[1] : places[1] + 4] += 25
    return clock(4032, shift=30), values, places


def _network(rng: Rng) -> Made:
    """Bytes with an hourly transfer ten times the usual; the odd one is thirty times, the other a long one."""
    count = 4032
    values = 240_000 * np.exp(rng.normal(0, 0.05, count))
    values[11::12] = 3.2e6 * np.exp(rng.normal(0, 0.01, len(values[11::12])))
    values[1::12] = 3.2e6 * np.exp(rng.normal(0, 0.01, len(values[1::12])))
    late = rng.random(count) < 0.01
    values[late] *= np.exp(rng.uniform(0.3, 2.0, late.sum()))
    places = places_of(rng, count, 2)
    values[places[0] : places[0] + 3] = rng.uniform(7e6, 2e7)
    values[places[1] : places[1] + 40] += 3e6
    return clock(count, shift=240), values, places


def _disk(rng: Rng) -> Made:
    """Bytes over decades, often nothing; bursts above all that was, and one that lasts."""
    count = 4032
    values = np.where(rng.random(count) < 0.4, 0.0, np.exp(rng.normal(11, 1.6, count)))
    places = places_of(rng, count, 2)
    values[places[0] : places[0] + 4] = rng.uniform(2e8, 8e8)
    values[places[1] : places[1] + 60] = np.exp(rng.normal(15.5, 0.8, 60))
    return clock(count), np.round(values), places


def _balancer_requests(rng: Rng) -> Made:
    """Requests of few clients: nearly exponential, a weak day; one high spike, one long busy stretch."""
    count, seconds = 4032, clock(4032, shift=240)
    level = 60 * np.exp(0.4 * np.cos(2 * math.pi * (hour_of(seconds) - 15) / 24))
    places = places_of(rng, count, 2)
    level[places[1] : places[1] + 40] *= 3.5
    values = np.round(rng.exponential(level))
    values[places[0]] = rng.uniform(620, 900)
    return seconds, values, places


def _latency(rng: Rng) -> Made:
    count = 4032
    values = 45 + wander(rng, count, 30, 0.8) + rng.normal(0, 1.0, count)
    values[rng.random(count) < 0.004] += rng.uniform(3, 8)
    places = places_of(rng, count, 3)
    values[places[0] : places[0] + 12] += 14
    values[places[1] : places[1] + 60] += np.linspace(0, 12, 60)
    values[places[2] : places[2] + 2] = rng.uniform(80, 100)
    return clock(count), values, places


def _group_load(rng: Rng) -> Made:
    """Machines of a group: smooth work days, then to nought and back."""
    count, seconds = 4600, clock(4600)
    values = 30 + 4 * np.cos(2 * math.pi * (hour_of(seconds) - 15) / 24) + wander(rng, count, 50, 1.5)
    values += rng.normal(0, 0.8, count)
    places = places_of(rng, count, 3)
    for place in places[:2]:
        values[place : place + int(rng.integers(3, 15))] = rng.uniform(0, 2)
    values[places[2] : places[2] + 90] -= 12
    return seconds, np.clip(values, 0, None), places


def _room(rng: Rng) -> Made:
    """Hourly temperatures of a room: seasons, a weak day, gaps; a fault in winter, one in spring."""
    count = 6000
    seconds = clock(count, HOUR)
    values = 71 + wander(rng, count, 400, 3.0) + wander(rng, count, 8, 0.9) + 1.2 * np.cos(hour_of(seconds) / 3.82)
    places = places_of(rng, count, 2)
    values[places[0] : places[0] + 30] -= np.concatenate([np.linspace(0, 9, 10), np.linspace(9, 0, 20)])
    values[places[1] : places[1] + 40] += 7.5
    kept = np.sort(rng.permutation(count)[: int(0.96 * count)])
    return seconds[kept], values[kept], [int(np.searchsorted(kept, place)) for place in places]


def _machine(rng: Rng) -> Made:
    """Temperature inside a machine: long memory, a planned stop (down and up), warning signs, a breakdown."""
    count = 12_000
    values = 88 + wander(rng, count, 300, 5) + wander(rng, count, 12, 0.8) + rng.normal(0, 0.3, count)
    places = places_of(rng, count, 3)
    for place, depth, length in zip(places, (60, 25, 75), (130, 80, 160), strict=True):
        third = length // 3
        dip = [np.linspace(0, depth, third), np.full(third, depth), np.linspace(depth, 0, third)]
        values[place : place + 3 * third] -= np.concatenate(dip)
    return clock(count), values, places


MACHINES: dict[str, Make] = {
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
}
