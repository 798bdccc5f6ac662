"""Counts of a segment as shares of the whole's: what stays away there shows at once, whatever the day does to all."""

from __future__ import annotations

import math

import numpy as np

from detectors.bank import Bank
from detectors.reading import Reading
from detectors.scan import Look

__all__ = ["only_fewer"]

FEWER = 0.75
"""Share of its usual count that a segment has to be under as well."""

NATS = 4.0
"""Evidence that it is under its usual count: else a thin minute would pass for shoppers who stay away."""


def only_fewer(rates: tuple[Bank, Look, Reading], volumes: tuple[Bank, Look, Reading]) -> None:
    """Pass over a share that falls because more come elsewhere, as bots and crowds do: fewer have to come here as well.

    How many usually come is the segment's share of what is expected of the whole in windows as long.
    """
    (bank, look, reading), (others, whole_look, _) = rates, volumes
    for number in np.flatnonzero(bank.shares & (reading.score > 0)).tolist():
        series = bank.series[number]
        whole, window = others.index.get((series.kpi, ())), int(reading.best[number])
        known = whole is not None and others.scan.ready[whole] and whole_look.exposures[whole, window] > 0
        if known and reading.exposure[number] > 0:
            share = reading.expected[number] / reading.exposure[number]
            a_window = whole_look.expected[whole, window] / whole_look.exposures[whole, window]
            usual = share * a_window * (look.step - reading.since[number])
            if reading.observed[number] < FEWER * usual and _surprise(reading.observed[number], usual) >= NATS:
                continue
        reading.score[number] = 0.0
        reading.loudest[number] = np.minimum(reading.loudest[number], 0.0)


def _surprise(count: float, usual: float) -> float:
    """Nats that a Poisson count tells against what is usual."""
    return usual - count + (count * math.log(count / usual) if count > 0 else 0.0)
