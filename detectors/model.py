"""A log-linear expectation of many counts at once, tracked by a Kalman filter whose noise is learnt on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.seasonal import Basis
from detectors.slots import SlotTable

__all__ = ["Forecast", "LogLinear", "Start"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEVEL_MS = 360 * 60_000
"""How long the shop's level remembers: the time constant of its first-order autoregression."""

INTERCEPT_NOISE = 5e-7
RATE = 0.0075
"""Step of the noise estimates, a block; larger while a series is young."""

PHI_BOUNDS = (0.01, 60.0)
KAPPA_BOUNDS = (1e-6, 0.05)
SIGMA_BOUNDS = (0.001, 0.3)

EVENT = -2
"""Place of the event among the coefficients; the level is the last."""

EVENT_FLOOR, EVENT_MEMORY, EVENT_PRIOR = 0.01**2, 12.0, 2.0
"""Least variance of what an event does to a rate; of how many events it is learnt; how many its start is worth."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a new series begins: prior of its coefficients, its parent (-1: none), and its noise.

    ``phi`` is the variance per mean of a count, ``kappa`` the variance that grows with the mean squared,
    ``sigma`` the standard deviation of the level, ``slot`` that of a quarter-hour's own deviation, ``event`` that of
    what a campaign or a crowd does to the series.
    """

    prior: Floats
    parent: int = -1
    phi: float = 0.8
    kappa: float = 1e-4
    sigma: float = 0.04
    slot: float = 0.03
    event: float = 0.1


class Forecast(NamedTuple):
    """Arrays over series: logarithm of the rate without the level, and the variances and covariance of both."""

    log_rate: Floats
    level: Floats
    profile_var: Floats
    cross_var: Floats
    level_var: Floats
    slot_var: Floats


class LogLinear:
    """``expected = exposure * exp(base + h'beta + slot + level)`` for every series.

    Parameters
    ----------
    basis
        The regressors of time, shared by all series.
    block_ms
        Length of the blocks that are learnt.
    """

    def __init__(self, basis: Basis, block_ms: int, block: int) -> None:
        self.basis, self.block = basis, block
        self.decay = float(np.exp(-block_ms / LEVEL_MS))
        p = basis.size
        self.mean: Floats = np.zeros((0, p))
        self.cov: Floats = np.zeros((0, p, p))
        self.slots = SlotTable()
        self.base, self.sigma2, self.kappa = np.zeros(0), np.zeros(0), np.zeros(0)
        self.phi1, self.phi5, self.blocks = np.zeros(0), np.zeros(0), np.zeros(0)
        self.event_var, self.events = np.zeros(0), np.zeros(0)
        self.parent: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.child: NDArray[np.intp] = np.zeros(0, dtype=np.intp)

    def add(self, start: Start) -> int:
        """Take in a new series; its number."""
        cov = np.diag(start.prior)
        cov[-1, -1] = start.sigma**2
        cov[EVENT, EVENT] = 0.0
        self.mean = np.vstack([self.mean, np.zeros((1, self.basis.size))])
        self.cov = np.concatenate([self.cov, cov[None]])
        self.slots.add(start.slot if start.parent < 0 else 0.0)
        self.base, self.blocks = np.append(self.base, 0.0), np.append(self.blocks, 0.0)
        self.sigma2, self.kappa = np.append(self.sigma2, start.sigma**2), np.append(self.kappa, start.kappa)
        self.phi1, self.phi5 = np.append(self.phi1, 1.1 * start.phi), np.append(self.phi5, start.phi)
        self.event_var = np.append(self.event_var, start.event**2)
        self.events = np.append(self.events, EVENT_PRIOR)
        self.parent = np.append(self.parent, start.parent)
        self.child = np.flatnonzero(self.parent >= 0)
        return len(self.base) - 1

    def forecast(self, moment_ms: int, event: Flags | None = None) -> Forecast:
        """What every series expects at a moment; ``event`` tells which of them feel one."""
        h, slot = self._regressors(moment_ms), self.basis.slot(moment_ms)
        return self._forecast(h, slot, event)

    def _forecast(self, regressors: Floats, slot: int, event: Flags | None) -> Forecast:
        h = regressors.copy()
        h[-1] = 0.0
        log_rate = self.base + self.mean @ h + self.slots.told(slot)
        ph = self.cov @ h
        profile = ph @ h
        if event is not None and event.any():
            log_rate += self.mean[:, EVENT] * event
            profile += (2 * ph[:, EVENT] + self.cov[:, EVENT, EVENT]) * event
            ph += self.cov[:, :, EVENT] * event[:, None]
        np.maximum(profile, 0.0, out=profile)
        slot_var = self.slots.doubt(slot)
        if h[1 + 2 * self.basis.day]:
            # What weekdays do at this quarter-hour may be missing on a free day.
            slot_var = slot_var + (self.slots.told(slot) / 2) ** 2
        if len(self.child):
            child, up = self.child, self.parent[self.child]
            log_rate[child] += log_rate[up]
            # A parent's own doubt is partly seen by the child's data: three tenths of it remain.
            profile[child] += 0.3 * profile[up]
            slot_var[child] = slot_var[up]
        log_rate = _within(log_rate, (-30.0, 30.0))
        return Forecast(log_rate, self.mean[:, -1].copy(), profile, ph[:, -1], self.cov[:, -1, -1].copy(), slot_var)

    def begin_event(self, chosen: Flags) -> None:
        """A campaign or a crowd begins: what it does is unknown, within what such events did before."""
        self.mean[chosen, EVENT] = 0.0
        self.cov[chosen, EVENT, :] = 0.0
        self.cov[chosen, :, EVENT] = 0.0
        self.cov[chosen, EVENT, EVENT] = self.event_var[chosen]

    def end_event(self, chosen: Flags) -> None:
        """Learn from an event that is over how much such events do, where enough of it was seen."""
        left = self.cov[:, EVENT, EVENT]
        told = chosen & (left < 0.7 * self.event_var)
        size = self.mean[:, EVENT] ** 2 + left
        count = self.events
        moved = np.maximum((self.event_var * count + size) / (count + 1), EVENT_FLOOR)
        self.event_var = np.where(told, moved, self.event_var)
        self.events = np.where(told, np.minimum(count + 1, EVENT_MEMORY), count)
        self.mean[chosen, EVENT] = 0.0
        self.cov[chosen, EVENT, :] = 0.0
        self.cov[chosen, :, EVENT] = 0.0

    def phi(self, lengths: Floats) -> Floats:
        """Variance per mean over windows of these lengths, [lengths, series]: jitter cancels in longer ones."""
        jitter = 1.25 * np.maximum(0.0, self.phi1 - self.phi5)
        rest = np.maximum(0.3 * self.phi5, self.phi5 - 0.2 * jitter)
        result: Floats = rest + jitter / lengths
        return result

    def learn(self, moment_ms: int, count: Floats, exposure: Floats, live: Flags, allowed: Flags, event: Flags) -> None:
        """One block: the level moves on; where ``live`` noise is learnt, where ``allowed`` too the coefficients."""
        self._pass_time(live)
        h, slot = self._regressors(moment_ms), self.basis.slot(moment_ms)
        told = self._forecast(h, slot, event)
        expected = exposure * np.exp(told.log_rate + told.level)
        live = live & (expected > 1e-3)
        expected = np.where(live, expected, 1.0)
        error = (count - expected) / expected
        ph = self.cov @ h + self.cov[:, :, EVENT] * event[:, None]
        known = np.maximum(ph @ h + ph[:, EVENT] * event, 0.0)
        noise = (self.phi5 * expected + self.kappa * expected**2 / self.block) / expected**2
        total = known + noise
        surprise = error**2 / total
        # A linearised filter overshoots when a young series climbs tenfold, and never recovers.
        wild = (error > 1) & (surprise > 9)
        error = np.where(wild, 1 + np.log((1 + np.maximum(error, 1.0)) / 2), error)
        limit = np.where(self.blocks < 600, 5.0, 2.5) * np.sqrt(total)
        error = _within(error, (-limit, limit))
        gain = np.where((live & allowed)[:, None], ph / total[:, None], 0.0)
        self.mean += gain * error[:, None]
        self.cov -= gain[:, :, None] * ph[:, None, :]
        plain = expected / np.exp(self.slots.told(slot))
        self.slots.learn(slot, count, plain, (noise + self.sigma2) * plain**2, live & ~event)
        self._learn_noise(error**2 / total, expected, total * expected**2, live, allowed)
        self.blocks += live

    def learn_minute(self, squared: Floats, share: Floats, live: Flags) -> None:
        """Noise of single windows: ``squared`` standardised errors, ``share`` of the variance that phi explains."""
        step = 0.5 * self._rate() / self.block
        moved = self.phi1 * (1 + step * share * (1.02 * np.minimum(squared, 9.0) - 1))
        self.phi1 = np.where(live, _within(moved, PHI_BOUNDS), self.phi1)

    def learn_sigma(self, squared: Floats, share: Floats, live: Flags) -> None:
        """Spread of the level, from the errors of hourly forecasts; huge ones are incidents and say nothing."""
        step = 2 * 3 * self._rate() * share * (1.02 * np.minimum(squared, 9.0) - 1)
        moved = self.sigma2 * np.exp(np.where(live & (squared < 25), step, 0.0))
        self.sigma2 = np.clip(moved, SIGMA_BOUNDS[0] ** 2, SIGMA_BOUNDS[1] ** 2)

    def shift(self, index: int, by: float, variance: float) -> None:
        """Move the intercept and doubt it: what has lasted is the new normal, or the model was wrong."""
        self.mean[index, 0] += by
        self.mean[index, -1] = 0.0
        self.cov[index, 0, 0] += variance

    def _pass_time(self, live: Flags) -> None:
        rho = self.decay
        factor = np.where(live, rho, 1.0)
        self.mean[:, -1] *= factor
        self.cov[:, -1, :] *= factor[:, None]
        self.cov[:, :, -1] *= factor[:, None]
        self.cov[:, -1, -1] += np.where(live, self.sigma2 * (1 - rho * rho), 0.0)
        self.cov[:, 0, 0] += np.where(live, INTERCEPT_NOISE, 0.0)

    def _learn_noise(self, squared: Floats, expected: Floats, variance: Floats, live: Flags, allowed: Flags) -> None:
        """Blocks in an alarm still teach, with a lower cap: else alarms hide the noise that causes them."""
        cap = np.where(allowed, 9.0, 4.0)
        pull = 1.02 * np.minimum(squared, cap + cap / variance) - 1
        step = np.where(live, self._rate() * np.minimum(1.0, expected) * pull, 0.0)
        self.phi5 = _within(self.phi5 * (1 + step * self.phi5 * expected / variance), PHI_BOUNDS)
        share = self.kappa * expected**2 / self.block / variance
        self.kappa = _within(self.kappa * (1 + step * share), KAPPA_BOUNDS)

    def _rate(self) -> Floats:
        return np.maximum(RATE, 0.5 / (20 + self.blocks))

    def _regressors(self, moment_ms: int) -> Floats:
        h = self.basis.at(moment_ms)
        h[EVENT] = 0.0
        return h


def _within(values: Floats, bounds: tuple[Floats | float, Floats | float]) -> Floats:
    """The values, none beyond the bounds; ``numpy.clip`` takes longer over a few numbers than all around it."""
    told: Floats = np.minimum(np.maximum(values, bounds[0]), bounds[1])
    return told
