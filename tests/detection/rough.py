"""A rough shop at the level of counts: nothing in it was made for the detectors, and every trouble has a label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from streams.engine.rows import WHOLE, Row, Segment
from streams.merge import MergedWindow
from tests.detection.climate import (
    MINUTE_MS,
    LocalTime,
    bursts,
    conversion_shape,
    job_shape,
    traffic_shape,
    wander,
)
from tests.detection.labels import Label

__all__ = ["CHANNELS", "DEVICES", "LAGS", "PROVIDERS", "START_MS", "STEPS", "RoughShop", "Site", "Traits", "site_of"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

START_MS = 1_767_571_200_000
"""Monday, 2026-01-05, 00:00 UTC."""

DEVICES = {"ios": 0.42, "android": 0.36, "desktop": 0.2, "tablet": 0.02}
CHANNELS = {"direct": 0.31, "search": 0.28, "ads": 0.22, "social": 0.15, "email": 0.04}
PROVIDERS = {"psp-1": 0.55, "psp-2": 0.3, "psp-3": 0.12, "psp-4": 0.03}
STEPS = {"product": 0.72, "cart": 0.24, "checkout": 0.52, "ordered": 0.62}
SUCCESS = {"psp-1": 0.93, "psp-2": 0.9, "psp-3": 0.87, "psp-4": 0.8}
BUYERS = {"direct": 1.12, "search": 1.02, "ads": 0.85, "social": 0.78, "email": 1.3}
"""How readily a channel's shoppers fill a cart, over the mean."""

DRAWN = {"direct": 0.6, "search": 0.6, "ads": 1.7, "social": 1.5, "email": 1.9}
"""How much of a campaign's extra traffic comes by a channel, over its share."""

LAGS: Mapping[str, tuple[tuple[int, float], ...]] = {
    "product": ((0, 0.8), (1, 0.2)),
    "cart": ((0, 0.25), (1, 0.25), (2, 0.15), (3, 0.1), (5, 0.1), (8, 0.08), (12, 0.04), (20, 0.03)),
    "checkout": ((0, 0.3), (1, 0.25), (2, 0.15), (4, 0.12), (7, 0.1), (12, 0.05), (25, 0.03)),
    "ordered": ((0, 0.2), (1, 0.35), (2, 0.2), (3, 0.12), (5, 0.08), (9, 0.05)),
    "attempt": ((0, 0.75), (1, 0.2), (2, 0.05)),
    "bounce": ((30, 0.8), (31, 0.2)),
    "ended": ((32, 0.2), (34, 0.2), (37, 0.2), (41, 0.2), (48, 0.15), (60, 0.05)),
    "pages": ((0, 0.4), (1, 0.2), (2, 0.15), (4, 0.12), (8, 0.08), (14, 0.05)),
}

SLOW_RATES = ((60.0, 0.006), (360.0, 0.015), (4320.0, 0.02))
SLOW_TRAFFIC = ((45.0, 0.015), (360.0, 0.035), (4320.0, 0.05))
SLOW_PLACES = ((720.0, 0.015),)
SHOCKS = ((12.0, 0.006),)
"""Memory in minutes and deviation of the logarithms: of each rate, of traffic, of a device's or channel's rates, and
of all rates together."""


@dataclass(frozen=True)
class Traits:
    """What else is particular about a run: growth a week, where it starts, and windows that are lost.

    ``lost`` are spans of minutes without any window, ``halved`` those in which one of three partitions is missing.
    """

    zone: str = "UTC"
    start_ms: int = START_MS
    growth: float = 0.0
    lost: tuple[tuple[int, int], ...] = ()
    halved: tuple[tuple[int, int], ...] = ()


class Site(NamedTuple):
    """A place where an incident would show: the kind of count, and where."""

    kind: str
    step: str
    device: str
    channel: str
    provider: str

    def holds(self, kinds: frozenset[str], **where: str) -> bool:
        """Whether a count of one of these kinds, at this place, belongs to the site."""
        return self.kind in kinds and all(getattr(self, key) in {"", value} for key, value in where.items())


class SiteCounts:
    """Per minute: what was counted at a site, what was to be expected, and the chance of a single trial."""

    def __init__(self, minutes: int) -> None:
        self.seen = np.zeros(minutes)
        self.expected = np.zeros(minutes)
        self.chance = 0.0

    def add(self, seen: NDArray[np.generic], expected: Floats, chance: float) -> None:
        """Take in one more part of the shop that belongs to the site."""
        self.seen += seen
        self.expected += expected
        self.chance = max(self.chance, chance)


def site_of(label: Label) -> Site:
    """Where an incident shows."""
    kind = "step" if label.kind == "tracking" else "traffic" if label.kind in {"silence", "bots"} else label.kind
    return Site(kind, label.step, label.device, label.channel, label.provider)


@dataclass
class RoughShop:
    """Counts of every minute, from ``sessions`` a minute on average and a seed.

    ``counts`` holds the counters by segment and name; ``sites`` what only the simulation knows: the count at the place
    of each incident, and what was to be expected of it without that incident (for the bound).
    """

    sessions: float
    minutes: int
    seed: int
    labels: tuple[Label, ...] = ()
    traits: Traits = field(default_factory=Traits)
    counts: dict[tuple[Segment, str], Ints] = field(default_factory=dict, init=False, repr=False)
    visitors: Ints = field(init=False, repr=False)
    sites: dict[Site, SiteCounts] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.sites = {site_of(label): SiteCounts(self.minutes) for label in self.labels if label.must_page}
        self.time = LocalTime(self.traits.start_ms, self.minutes, ZoneInfo(self.traits.zone))
        self._simulate()
        if (dark := self._left("silence")).min() < 1:
            self.counts = {key: (values * dark).astype(np.int64) for key, values in self.counts.items()}
            self.visitors = (self.visitors * dark).astype(np.int64)
            for counts in self.sites.values():
                counts.seen *= dark

    def windows(self) -> Iterator[MergedWindow]:
        """The merged windows in order, without those that are lost."""
        told: dict[Segment, list[tuple[str, list[int]]]] = {}
        for (where, name), values in self.counts.items():
            told.setdefault(where, []).append((name, values.tolist()))
        visitors = self.visitors.tolist()
        lost, halved = _inside(self.traits.lost), _inside(self.traits.halved)
        thin = np.random.default_rng(self.seed + 7_000)
        for minute in range(self.minutes):
            if minute in lost:
                continue
            start = self.traits.start_ms + minute * MINUTE_MS
            end = start + MINUTE_MS
            missing = (2,) if minute in halved else ()
            # Who is missing is missing everywhere: one draw a window keeps successes among their trials.
            share, more = (2 / 3, thin.random()) if missing else (1.0, 0.0)
            rows = {}
            for where, columns in told.items():
                counters = {name: values[minute] for name, values in columns if values[minute]}
                if missing:
                    counters = {name: int(count * share + more) for name, count in counters.items()}
                if counters or where == WHOLE:
                    seen = float(visitors[minute]) if where == WHOLE else None
                    rows[where] = Row("window", start, end, where, None, counters, "f", visitors=seen)
            yield MergedWindow(start, end, rows, missing)

    def _left(self, kind: str, **where: str) -> Floats:
        """What a kind of trouble leaves at each minute, in a place."""
        told = np.ones(self.minutes)
        for label in self.labels:
            if label.kind == kind and all(getattr(label, key) in {"", value} for key, value in where.items()):
                told *= 1 - label.at(self.minutes)
        return told

    def _crowds(self) -> list[Label]:
        return [label for label in self.labels if label.kind in {"campaign", "surge"}]

    def _simulate(self) -> None:
        rates = wander(self.rng, self.minutes, SLOW_RATES, len(STEPS) + 2)
        rates += wander(self.rng, self.minutes, SHOCKS, 1)
        places = wander(self.rng, self.minutes, SLOW_PLACES, len(DEVICES) + len(CHANNELS))
        traffic = self._traffic()
        lowered = np.ones(self.minutes)
        for label in self._crowds():
            lowered *= 1 - label.lowers * label.at(self.minutes, tail=20) / label.size
        payable: list[tuple[str, str, Ints]] = []
        for d, (device, device_share) in enumerate(DEVICES.items()):
            for c, (channel, channel_share) in enumerate(CHANNELS.items()):
                place = np.exp(places[d] + places[len(DEVICES) + c])
                expected = traffic[channel] * device_share * channel_share
                payable.append((device, channel, self._leaf(device, channel, expected, rates, (place, lowered))))
        self._pay(payable, np.exp(rates[len(STEPS)] / 3), lowered)
        self._whole(np.exp(rates[len(STEPS) + 1]))

    def _traffic(self) -> dict[str, Floats]:
        """Expected sessions of each channel, as if it were the whole."""
        week = np.arange(self.minutes) / 10_080
        shape = self.sessions * traffic_shape(self.time) * (1 + self.traits.growth) ** week
        shape *= np.exp(wander(self.rng, self.minutes, SLOW_TRAFFIC, 1)[0])
        shape *= bursts(self.rng, self.minutes, 0.04, 1) * bursts(self.rng, self.minutes, 0.03, 5)
        told = {}
        for channel in CHANNELS:
            extra = 1 + sum(DRAWN[channel] * crowd.at(self.minutes, tail=20) for crowd in self._crowds())
            told[channel] = shape * extra
        self.shape = shape
        return told

    def _leaf(self, device: str, channel: str, expected: Floats, rates: Floats, factors: tuple[Floats, Floats]) -> Ints:
        """One device and channel from its sessions to its orders."""
        place, lowered = factors
        where: tuple[Segment, ...] = (WHOLE, (("device", device),), (("channel", channel),))
        stage = self.rng.poisson(expected * self._left("traffic", channel=channel))
        bots = np.zeros(self.minutes, dtype=np.int64)
        if (device, channel) == ("desktop", "direct"):
            added = [label.at(self.minutes) for label in self.labels if label.kind == "bots"]
            bots = self.rng.poisson(self.shape * sum(added)) if added else bots
        self._add("sessions", stage + bots, where)
        self._tell(frozenset({"traffic"}), stage + bots, expected, 0.0, device=device, channel=channel)
        if channel == "ads":
            self._add("sessions_paid", stage, (WHOLE,))
        shape = conversion_shape(self.time) ** 0.5 * place**0.5
        for number, (step, rate) in enumerate(STEPS.items()):
            left = self._left("step", step=step, device=device, channel=channel) * self._left("level", step=step)
            chance = rate * np.exp(rates[number]) * job_shape(self.time, 0.06)
            if step in {"cart", "checkout"}:
                chance = chance * shape * lowered**0.5
            if step == "cart":
                chance = chance * BUYERS[channel]
            chance = np.clip(chance, 0, 0.98)
            usual = _spread(stage * chance, LAGS[step])
            stage = self._delay(self.rng.binomial(stage, chance * np.minimum(left, 1 / chance)), LAGS[step])
            seen = stage + (self._delay(self.rng.binomial(bots, 0.9), LAGS[step]) if step == "product" else 0)
            tracked = self._left("tracking", step=step)
            seen = self.rng.binomial(seen, tracked) if tracked.min() < 1 else seen
            self._add(f"reached.{step}", seen, where)
            single = rate * max(share for _, share in LAGS[step])
            self._tell(frozenset({"step"}), seen, usual, single, step=step, device=device, channel=channel)
            if step == "cart":
                self._add("cart_items", seen + self.rng.poisson(0.35 * seen), where)
        self._add("orders_placed", stage, where)
        return stage

    def _pay(self, payable: list[tuple[str, str, Ints]], slow: Floats, lowered: Floats) -> None:
        job = job_shape(self.time, 0.03)
        for device, channel, orders in payable:
            rest, left = self.rng.binomial(orders, 0.97), 1.0
            for provider, share in PROVIDERS.items():
                part = self.rng.binomial(rest, min(1.0, share / left))
                rest, left = rest - part, left - share
                where: tuple[Segment, ...] = (
                    WHOLE,
                    (("device", device),),
                    (("channel", channel),),
                    (("payment_provider", provider),),
                )
                chance = SUCCESS[provider] * slow * job * lowered**0.1
                chance = np.clip(chance, 0, 0.995)
                works = self._left("payment", device=device, provider=provider)
                answered = 0.998 * self._left("hang", device=device, provider=provider)
                attempts = self._delay(part, LAGS["attempt"])
                tried, told, paid = self._attempts(attempts, chance * works, answered, where)
                place = {"device": device, "channel": channel, "provider": provider}
                self._tell(frozenset({"payment"}), paid, told * chance, SUCCESS[provider], **place)
                self._tell(frozenset({"hang"}), told, tried * 0.998, 0.998, **place)

    def _attempts(self, first: Ints, chance: Floats, answered: Floats, where: tuple[Segment, ...]) -> Ints:
        """Attempts to pay, answers, successes; half of the soft declines are tried again a minute or two later."""
        self._add("orders_attempted", first, where)
        again, sums = np.zeros_like(first), np.zeros((3, self.minutes), dtype=np.int64)
        for attempts in (first, again):
            told = self.rng.binomial(attempts, answered)
            paid = self.rng.binomial(told, chance)
            soft = self.rng.binomial(told - paid, 0.6)
            if attempts is first:
                again += self._delay(self.rng.binomial(soft, 0.5), ((1, 0.6), (2, 0.4)))
            self._add("payment_attempts", attempts, where)
            self._add("payments_succeeded", paid, where)
            self._add("payments_declined_soft", soft, where)
            self._add("payments_declined_hard", told - paid - soft, where)
            self._add("orders_paid", paid, where)
            self._add("reached.paid", paid, where[:3])
            sums += np.stack([attempts, told, paid])
        return sums

    def _tell(self, kinds: frozenset[str], seen: Ints, expected: Floats, chance: float, **where: str) -> None:
        for site, counts in self.sites.items():
            if site.holds(kinds, **where):
                counts.add(seen, expected, chance)

    def _whole(self, slow: Floats) -> None:
        """Counters that are judged for the whole only: amounts, ends of sessions, fates of carts, visitors."""
        paid = self.counts[WHOLE, "orders_paid"]
        self._add("orders_valued.CNY", paid, (WHOLE,))
        self._add("revenue_minor.CNY", self._sums(paid, 20_000 * slow, 1.1), (WHOLE,))
        sessions = self.counts[WHOLE, "sessions"]
        lost = 1 - self._left("step", step="product", device="", channel="")
        bounced = self.rng.binomial(sessions, np.clip(0.44 * slow + 0.4 * lost, 0, 0.95))
        bounces, stayed = self._delay(bounced, LAGS["bounce"]), self._delay(sessions - bounced, LAGS["ended"])
        self._add("bounces", bounces, (WHOLE,))
        self._add("sessions_ended", bounces + stayed, (WHOLE,))
        self._add("ended_page_views", bounces + self._sums(stayed, 6.5 * slow, 0.9), (WHOLE,))
        self._add("ended_dwell_ms", self._sums(stayed, 240_000 * slow, 1.3), (WHOLE,))
        seen = self._delay(self._sums(sessions - bounced, 6.5 * slow, 0.9), LAGS["pages"])
        self._add("page_views", bounced + seen, (WHOLE,))
        carts, orders = self.counts[WHOLE, "reached.cart"], self.counts[WHOLE, "orders_paid"]
        share = np.clip(_smooth(orders, 15) / np.maximum(_smooth(carts, 15), 1), 0.01, 0.9)
        decided = self._delay(carts, ((30, 1.0),))
        kept = self.rng.binomial(decided, share)
        self._add("carts_kept", kept, (WHOLE,))
        self._add("carts_idle", decided - kept, (WHOLE,))
        active = self._delay(sessions, ((0, 1.0),)) + self._delay(self.rng.binomial(sessions, 0.5), LAGS["pages"])
        error = np.where(active > 150, self.rng.normal(1, 0.023, self.minutes), 1.0)
        self.visitors = np.rint(active * error).astype(np.int64)

    def _sums(self, events: Ints, mean: Floats | float, variation: float) -> Ints:
        """Sums of so many amounts with a coefficient of variation."""
        shape = np.maximum(events, 1e-9) / variation**2
        return np.where(events > 0, mean * variation**2 * self.rng.gamma(shape), 0.0).astype(np.int64)

    def _delay(self, counts: Ints, lags: tuple[tuple[int, float], ...]) -> Ints:
        """Spread counts over the minutes behind them; what would come after the end is cut off."""
        told, rest, left = np.zeros_like(counts), counts, 1.0
        for lag, share in lags:
            now = rest if share >= left - 1e-9 else self.rng.binomial(rest, share / left)
            told[lag:] += now[: max(0, len(told) - lag)]
            rest, left = rest - now, left - share
        return told

    def _add(self, name: str, values: Ints, where: tuple[Segment, ...]) -> None:
        for segment in where:
            known = self.counts.get((segment, name))
            if known is None:
                self.counts[segment, name] = values.copy()
            else:
                known += values


def _inside(spans: tuple[tuple[int, int], ...]) -> frozenset[int]:
    return frozenset(minute for begin, end in spans for minute in range(begin, end))


def _spread(values: Floats, lags: tuple[tuple[int, float], ...]) -> Floats:
    told = np.zeros_like(values)
    for lag, share in lags:
        told[lag:] += share * values[: max(0, len(told) - lag)]
    return told


def _smooth(values: Ints, length: int) -> Floats:
    result: Floats = np.convolve(values, np.ones(length) / length, mode="same")
    return result
