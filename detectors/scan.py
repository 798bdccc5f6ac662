"""A scan over window lengths for many series at once: each window ending now is asked how surprising it is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.delay import SAME_WINDOW, DelayBank
from detectors.events import EventClock
from detectors.evidence import BEFORE, penalised_deviance, sudden_evidence
from detectors.look import Look, SeriesSpec
from detectors.model import LogLinear, Start
from detectors.seasonal import Basis

__all__ = ["PROFILE_ONLY", "TRACKED", "WINDOWS", "Look", "Scan", "SeriesSpec"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TRACKED = (1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 120, 180)
"""Windows judged against the profile and the tracked level."""

PROFILE_ONLY = (30, 60, 120, 180, 240)
"""Windows judged against the profile alone: these see the slope that a tracked level would follow."""

WINDOWS = np.array(TRACKED + PROFILE_ONLY, dtype=np.int64)
LENGTHS = WINDOWS[:, None].astype(float)
RING, PAST, SUMS = 256, 32, 7
"""Windows and blocks that are remembered, and what is added up of each."""

BLOCK = 5
LAG = 30
"""Windows before a block is learnt: no judged window of up to this length has been learnt."""

BACK = np.maximum(0, (WINDOWS[: len(TRACKED)] - LAG) // BLOCK)
"""Blocks ago that the level of each tracked window was taken."""

RECENT = int((BACK == 0).sum())
"""Tracked windows, the first ones, that go by the present level."""

HOLIDAY = 0.3**2
"""Variance of a volume's logarithm on a holiday: it is like a Sunday, but no more than that."""

WORTH = (2.0, 3.0)
"""Nats that each missing success is worth at most, in a segment and in the whole: failures come in clusters, such as
the tries of one shopper, and where nearly all succeed three of them would seem to be a proof."""

KNOWN = 2
"""Days on which a quarter-hour has to have been seen before a slow fall in it is told of a volume."""

SMALLEST = 0.04
"""Shares under which a change is no finding, however certain."""

SETTLE = 30
"""Windows of a new series that are passed over: its shoppers had come before anybody counted them."""

LONGEST_GAP = 10
"""Windows that may be missing before the shoppers on their way are forgotten."""

NOISE_PRIOR = 20.0
"""Windows that the first guess of a noise is worth beside those that were seen."""

BASE_AFTER, BASE_LATEST, BASE_COUNT = 60, 200, 20
"""A series gets its rough level after an hour, or later where little is counted."""


class Scan:
    """Expectation and evidence of a bank of series that share a clock.

    Parameters
    ----------
    basis
        Regressors of time and priors of a whole's coefficients.
    window_ms
        Length of a window, and so of a step.
    """

    def __init__(self, basis: Basis, window_ms: int = 60_000) -> None:
        self.basis, self.window_ms = basis, window_ms
        self.model = LogLinear(basis, BLOCK * window_ms, BLOCK)
        self.delay = DelayBank(window_ms)
        self.events = EventClock(window_ms)
        self.specs: list[SeriesSpec] = []
        self.step: int | None = None
        # Sums since the beginning, after each step: count, exposure, expected, expected squared, and expected by slip,
        # by the doubt about its quarter of the hour, and by the profile's standard deviation.
        self.sums: Floats = np.zeros((RING, SUMS, 0))
        self.total: Floats = np.zeros((SUMS, 0))
        self.masked: Flags = np.zeros((RING, 0), dtype=bool)
        self.past: Floats = np.zeros((PAST, 2, 0))
        self.begun: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.born: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.since: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.ready: Flags = np.zeros(0, dtype=bool)
        self.volume: Flags = np.zeros(0, dtype=bool)
        self.compound: Flags = np.zeros(0, dtype=bool)
        self.rho_step = math.exp(math.log(self.model.decay) / BLOCK)
        length = WINDOWS[: len(TRACKED), None]
        self.rho: Floats = self.rho_step ** (np.maximum(LAG, length) - length / 2)
        self.rho2: Floats = self.rho**2
        self.volumes: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self.worth: Floats = np.zeros(0)
        self.least: Floats = np.zeros(0)
        """Of each series the nats that a missing success is worth at most, and the least variance per mean."""
        self.hurts: NDArray[np.int8] = np.zeros(0, dtype=np.int8)

    def add(self, spec: SeriesSpec, prior: Floats | None = None, step: int = 0) -> int:
        """Take in a series that begins at a step; its number."""
        default = Start(self.basis.prior) if prior is None else Start(prior)
        phi = 4.0 if spec.compound else 1.0 if spec.volume else 0.8
        sigma, slot, kappa = (0.08, 0.1, 1 / 300) if spec.volume else (0.04, 0.03, 1e-4)
        if not spec.volume:
            default = Start(np.append(default.prior[:1], default.prior[1:] * spec.steps))
            sigma, slot = sigma * math.sqrt(spec.steps), slot * math.sqrt(spec.steps)
        index = self.model.add(Start(default.prior, spec.parent, phi, kappa, sigma, slot, spec.event))
        self.events.add(spec.segment, spec.delay_ms)
        late = spec.delay_ms > 0 and not spec.volume
        self.delay.add(SAME_WINDOW if spec.volume else spec.kernel, late=late, whole=spec.parent < 0)
        self.specs.append(spec)
        self.sums = np.concatenate([self.sums, np.zeros((RING, SUMS, 1))], axis=2)
        self.total = np.concatenate([self.total, np.zeros((SUMS, 1))], axis=1)
        self.masked = np.concatenate([self.masked, np.zeros((RING, 1), dtype=bool)], axis=1)
        self.past = np.concatenate([self.past, np.zeros((PAST, 2, 1))], axis=2)
        self.worth = np.append(self.worth, WORTH[0] if spec.parent >= 0 else WORTH[1])
        self.least = np.append(self.least, 1.0 if spec.compound else 0.002)
        self.begun = np.append(self.begun, step)
        self.born, self.since = np.append(self.born, step + SETTLE), np.append(self.since, step)
        self.ready, self.volume = np.append(self.ready, False), np.append(self.volume, spec.volume)
        self.volumes = np.flatnonzero(self.volume)
        self.compound = np.append(self.compound, spec.compound)
        self.hurts = np.append(self.hurts, np.int8(spec.hurts))
        return index

    def look(self, step: int, count: Floats, upstream: Floats, seen: Flags) -> Look:
        """What this window shows against what was learnt before it; changes nothing.

        Parameters
        ----------
        step
            Number of the window: its end divided by its length. Later than every step learnt.
        count, upstream
            Numerator and denominator, one each series; the denominator of a volume is ignored.
        seen
            Whether the series has data in this window.
        """
        moment = step * self.window_ms - self.window_ms // 2
        event = self.events.flags(self.basis, moment)
        told = self.model.forecast(moment, event & ~self.volume)
        gap = self.step is not None and step - self.step > LONGEST_GAP
        delays = self.delay.look(np.where(self.volume, 1.0, upstream), afresh=gap)
        new = np.empty_like(self.total)
        counts, exposure, profile, square, slip, edge, guess = new
        counts[:] = np.where(seen, count, 0.0)
        exposure[:] = np.where(seen, delays.exposure, 0.0)
        np.multiply(exposure * np.exp(told.log_rate), self.ready, out=profile)
        np.square(profile, out=square)
        np.multiply(profile, np.where(exposure > 0, delays.slip / np.maximum(exposure, 1e-9), 0.0), out=slip)
        np.multiply(profile, told.slot_var, out=edge)
        np.multiply(profile, np.sqrt(told.profile_var), out=guess)
        observed, exposures, base, squares, slips, edges, guesses = self._stretches(step, self.total + new)
        base = np.maximum(base, 0.0)
        floor = np.maximum(base, 1e-9)
        lengths = np.minimum(LENGTHS, np.maximum(step - self.since, 1))
        # What was guessed is as much in doubt as it was then, and what lies at a sharp edge as it is there.
        guesses = np.maximum(np.square(guesses / floor), told.profile_var)
        factor, doubt = self._doubt(told.level, guesses, told.cross_var, told.level_var)
        doubt += edges / floor / np.maximum(1.0, lengths / 15) + self._unusual(moment, event) + np.square(slips / floor)
        np.maximum(doubt, 1e-6, out=doubt)
        # What is judged against the profile alone goes by no level.
        expected = base
        expected[: len(TRACKED)] *= np.exp(factor)
        dispersion = self.model.phi(lengths) + self.model.kappa * squares / floor
        np.maximum(dispersion, self.least, out=dispersion)
        evidence = penalised_deviance(observed, expected, dispersion, doubt)
        beyond = observed - expected
        side, size = np.sign(beyond).astype(np.int8), np.abs(beyond)
        small = size < SMALLEST * expected
        evidence = np.where(small | ~self.ready, 0.0, np.minimum(evidence, self.worth * size))
        self._only_cliffs(step, moment, observed, dispersion, evidence)
        return Look(
            step, moment, new, counts, exposure, profile, upstream, seen, delays, event, factor[0],
            observed.T, expected.T, exposures.T, doubt.T, dispersion.T, evidence.T, side.T,
        )  # fmt: skip

    def learn(self, look: Look) -> None:
        """Take a window in; blocks that ended ``LAG`` windows ago are learnt where no mask covers them."""
        last = look.step - 1 if self.step is None else self.step
        for step in range(max(last + 1, look.step - RING), look.step):
            self.sums[step % RING] = self.total
            self.masked[step % RING] = True
        self._learn_minute(look)
        self.total = self.total + look.new
        self.sums[look.step % RING] = self.total
        self.masked[look.step % RING] = ~look.seen
        self._pass_events(look)
        self.delay.learn(look.delays, look.counts, look.seen & (self.model.parent < 0))
        self.step = look.step
        for step in range(last + 1, look.step + 1):
            if step % BLOCK == 0 and look.step - step < RING - LAG - BLOCK:
                self._learn_block(step - LAG, self.ready)
        if look.step % 15 == 0:
            self._learn_sigma(look)
        if look.step % 60 == 0:
            self.delay.choose(self.model.parent)
        self._begin()

    def mask(self, chosen: Flags | slice | int, since: int, until: int) -> None:
        """Keep the windows after step ``since`` up to ``until`` from being learnt, in the series ``chosen``."""
        for step in range(max(since + 1, until - RING + 1), until + 1):
            self.masked[step % RING, chosen] = True

    def restart(self, index: int, step: int) -> None:
        """No judged window of the series begins before this step."""
        self.since[index] = max(int(self.since[index]), step)

    def accept(self, index: int, observed: float, profile: float, exposure: float) -> float:
        """Take a lasting level as the normal one: ``observed`` where the profile alone expected ``profile``.

        Returns the shift of the logarithm, which the segments of a whole share.
        """
        by = math.log((observed + 0.5) / (profile + 0.5)) * profile / (profile + 10)
        self.model.shift(index, by, 0.01)
        if self.specs[index].binomial and exposure > 0:
            noise = max(float(self.model.phi5[index]), 1.1 * (1 - min(1.0, observed / exposure)))
            self.model.phi5[index] = self.model.phi1[index] = noise
        return by

    def _stretches(self, step: int, now: Floats) -> Floats:
        """What each window holds of the sums that are ``now``: [sums, windows, series]."""
        last = step - 1 if self.step is None else self.step
        begin = np.minimum(step - WINDOWS, last)
        told = now - self.sums[begin % RING]
        cut = np.flatnonzero(self.since > step - WINDOWS[-1])
        if len(cut):
            at = np.minimum(np.maximum(step - WINDOWS[:, None], self.since[cut]), last) % RING
            told[:, :, cut] = (now[:, cut].T - self.sums[at, :, cut]).transpose(0, 2, 1)
        stretches: Floats = told.transpose(1, 0, 2)
        return stretches

    def _doubt(self, level: Floats, profile: Floats, cross: Floats, level_var: Floats) -> tuple[Floats, Floats]:
        """Logarithm of the level's factor in each tracked window, and in all windows the variance of the expected
        count's logarithm."""
        newest = 0 if self.step is None else self.step // BLOCK
        past = self.past[(newest - BACK[RECENT:]) % PAST]
        tracked, sigma2 = len(TRACKED), self.model.sigma2
        then, then_var = np.empty((2, tracked, len(level)))
        then[:RECENT], then[RECENT:] = level, past[:, 0]
        then_var[:RECENT], then_var[RECENT:] = level_var, past[:, 1]
        doubt = np.empty((len(WINDOWS), len(level)))
        var = 2 * self.rho * cross + self.rho2 * then_var + sigma2 * (1 - self.rho2) + profile[:tracked]
        np.maximum(var, 0.0, out=doubt[:tracked])
        doubt[tracked:] = profile[tracked:] + sigma2
        return self.rho * then, doubt

    def _only_cliffs(self, step: int, moment: int, observed: Floats, dispersion: Floats, evidence: Floats) -> None:
        """At an hour that a volume hardly knows nobody knows its slope: it is told of what is sudden, and no more.

        What a window holds must differ from the minutes right before it as well, and by more than a shop moves.
        """
        if not len(self.volumes):
            return
        slots = self.model.slots
        known = slots.known[slots.row[self.volumes], self.basis.slot(moment)]
        young = self.volumes[self.ready[self.volumes] & (known < KNOWN)]
        if not len(young) or not evidence[:, young].any():
            return
        begin = np.maximum(step - WINDOWS[:, None], self.since[young])
        before = begin - BEFORE
        count = self.sums[begin % RING, 0, young] - self.sums[before % RING, 0, young]
        local = sudden_evidence(observed[:, young], LENGTHS, dispersion[:, young], count)
        told = before >= np.maximum(self.since, self.born)[young]
        evidence[:, young] = np.where(told, np.minimum(evidence[:, young], local), 0.0)

    def _unusual(self, moment: int, event: Flags) -> Floats | float:
        """Variance that campaigns, crowds and holidays add, for the windows that touch them."""
        volume, model = self.volume, self.model
        since = self.events.windows_since(event, moment)
        touched = since.min(initial=RING) < WINDOWS[-1]
        holiday = self.basis.noted("holiday", moment)
        if not touched and not holiday:
            return 0.0
        doubt = np.where(volume, 0.0, 0.5 * model.event_var)
        up = np.maximum(model.parent, 0)
        doubt += np.where(model.parent >= 0, doubt[up], 0.0)
        result: Floats = np.where(since < WINDOWS[:, None], doubt, 0.0)
        if holiday:
            result += np.where(volume, HOLIDAY, model.event_var)
        return result

    def _pass_events(self, look: Look) -> None:
        """Begin and end events; what is learnt lags behind, and so does the end."""
        clock, event = self.events, look.event & ~self.volume
        self.model.begin_event(event & ~clock.open)
        clock.last_ms = np.where(look.event, look.moment_ms, clock.last_ms)
        clock.open |= event
        if not clock.open.any():
            return
        over = clock.open & ~event & ~clock.flags(self.basis, look.moment_ms - (LAG + BLOCK) * self.window_ms)
        self.model.end_event(over)
        clock.open &= ~over

    def _learn_minute(self, look: Look) -> None:
        expected, dispersion = look.expected[:, 0], look.dispersion[:, 0]
        single = self.ready & look.seen & (look.step - self.since >= 1) & (expected > 0.05)
        variance = dispersion * expected + look.doubt[:, 0] * expected**2
        share = np.where(single, self.model.phi1 * expected / np.maximum(variance, 1e-9), 0.0)
        squared = (look.counts - expected) ** 2 / np.maximum(variance, 1e-9)
        self.model.learn_minute(squared, share * np.minimum(1.0, expected), single)

    def _learn_block(self, end: int, chosen: Flags) -> None:
        """The block of the steps ``end - BLOCK + 1 .. end``."""
        begin = np.maximum(end - BLOCK, self.born)
        live = chosen & (begin < end)
        sums = self.sums[end % RING, :2] - self.sums[begin % RING, :2, np.arange(len(begin))].T
        steps = np.arange(end - BLOCK + 1, end + 1) % RING
        allowed: Flags = np.logical_not(self.masked[steps].any(axis=0))
        moment = end * self.window_ms - BLOCK * self.window_ms // 2
        event = self.events.flags(self.basis, moment)
        # A volume does not learn from a campaign: what it would learn is gone when the campaign is over.
        allowed &= ~(self.volume & event)
        self.model.learn(moment, sums[0], sums[1], live & (sums[1] > 0), allowed, event)
        if chosen is self.ready:
            newest = (end + LAG) // BLOCK
            self.past[newest % PAST] = self.model.mean[:, -1], self.model.cov[:, -1, -1]

    def _learn_sigma(self, look: Look) -> None:
        window = TRACKED.index(60)
        expected, doubt = look.expected[:, window], look.doubt[:, window]
        steps = np.arange(look.step - 59, look.step + 1) % RING
        calm = self.ready & (look.step - self.since >= 60) & ~self.masked[steps].any(axis=0) & (expected > 1)
        variance = look.dispersion[:, window] * expected + doubt * expected**2
        variance = np.maximum(variance, 1e-9)
        rho = self.rho_step**30
        share = self.model.sigma2 * (1 - rho * rho) * expected**2 / variance
        self.model.learn_sigma((look.observed[:, window] - expected) ** 2 / variance, share, calm)

    def _begin(self) -> None:
        """Give a level to the series that have seen enough, and learn what they have seen so far."""
        if self.step is None or self.ready.all():
            return
        age = self.step - self.born
        counted = self.total[:2] - self.sums[self.born % RING, :2, np.arange(len(age))].T
        enough = (age >= BASE_AFTER) & ((counted[0] >= BASE_COUNT) | (age >= BASE_LATEST)) & (counted[1] > 0)
        fresh = enough & ~self.ready
        parent = self.model.parent
        fresh &= (parent < 0) | self.ready[np.maximum(parent, 0)]
        if not fresh.any():
            return
        told = self.model.forecast(self.step * self.window_ms)
        for index in np.flatnonzero(fresh):
            self._start_level(int(index), float(counted[0, index]), float(counted[1, index]), told.log_rate)
        earliest = max(int(self.born[fresh].min()), self.step - RING + BLOCK + 1)
        for end in range(earliest - earliest % BLOCK + BLOCK, self.step - LAG + 1, BLOCK):
            self._learn_block(end, fresh)
        self.ready |= fresh
        self.since = np.where(fresh, self.step, self.since)

    def _start_level(self, index: int, count: float, exposure: float, log_rate: Floats) -> None:
        model, parent = self.model, int(self.model.parent[index])
        rate = count / exposure
        room = 1.0
        if not self.volume[index] and not self.compound[index]:
            # A share near one has little room to move: what is usual on the logit is small on the logarithm.
            room = min(1.0, max(0.1, 2 * (1 - rate)))
        model.cov[index] *= room**2
        model.sigma2[index] *= room
        model.slots.scale(index, room)
        model.event_var[index] *= room**2
        if self.specs[index].binomial:
            model.phi5[index] = model.phi1[index] = 1.1 * max(0.02, 1 - rate)
        elif self.compound[index] or self.volume[index]:
            single = self._noise(index, rate, 1, float(model.phi1[index]))
            model.phi1[index] = max(float(model.phi1[index]), single)
            model.phi5[index] = max(float(model.phi5[index]), self._noise(index, rate, BLOCK, single))
        if parent < 0:
            model.base[index] = math.log((count + 0.5) / (exposure + 0.5))
            return
        usual = exposure * math.exp(log_rate[parent])
        model.base[index] = math.log((count + 5) / (usual + 5))
        model.cov[index, 0, 0] += room / (count + 5)

    def _noise(self, index: int, rate: float, length: int, guess: float) -> float:
        """Variance per mean of sums over ``length`` windows, from those seen so far; ``guess`` counts for some.

        Neighbours are compared, so that a slope is no noise. Amounts are as noisy as they are, whatever any prior
        says: a series that is sure of itself before it has seen that takes ordinary windows for a finding.
        """
        step = self.step or 0
        at = np.arange(max(int(self.born[index]), step - RING + 1), step + 1, length) % RING
        count, exposure = np.diff(self.sums[at, 0, index]), np.diff(self.sums[at, 1, index])
        usual = rate * exposure
        error = (count - usual) / np.sqrt(np.maximum(usual, 1.0))
        known = usual > 1
        error = np.diff(error)[known[1:] & known[:-1]]
        weight = NOISE_PRIOR / length
        return float((weight * guess + (error**2).sum() / 2) / (weight + len(error)))
