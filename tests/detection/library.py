"""A shop at the level of counts: minutes of a funnel with a day and a week, and incidents with labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from streams.engine.rows import WHOLE, Row
from streams.merge import MergedWindow

MINUTE_MS = 60_000
START_MS = 1_767_571_200_000
"""Monday, 2026-01-05, 00:00 UTC."""

DEVICES = {"ios": 0.45, "android": 0.35, "desktop": 0.2}
PROVIDERS = {"psp-1": 0.6, "psp-2": 0.3, "psp-3": 0.1}
STEPS = {"product": 0.7, "cart": 0.25, "checkout": 0.5, "ordered": 0.6}
LAGS = {"product": 0.3, "cart": 2.0, "checkout": 3.0, "ordered": 2.0, "pay": 0.3}
SUCCESS = 0.92

Kind = Literal["payment", "provider", "checkout", "cart", "device", "traffic", "tracking", "bots", "surge", "silence"]


@dataclass(frozen=True)
class Drop:
    """What goes wrong from minute ``start`` to minute ``end``; ``size`` is the share that is lost (or added)."""

    kind: Kind
    start: int
    end: int
    size: float
    ramp: int = 0
    segment: str = ""

    def strength(self, minute: int) -> float:
        """The share that is lost in a minute, after a linear ramp."""
        if not self.start <= minute < self.end:
            return 0.0
        return self.size * (min(1.0, (minute - self.start + 1) / self.ramp) if self.ramp else 1.0)


@dataclass
class Shop:
    """Sessions a minute on average, a seed, and what goes wrong."""

    sessions: float
    minutes: int
    seed: int = 1
    drops: tuple[Drop, ...] = ()
    start_minute: int = 0
    counts: dict[str, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._simulate()

    def windows(self) -> Iterator[MergedWindow]:
        """The merged windows, in order."""
        table = self._table()
        places = {WHOLE: table[""]}
        for where in (*(f"device={each}" for each in DEVICES), *(f"payment_provider={each}" for each in PROVIDERS)):
            key, _, value = where.partition("=")
            places[((key, value),)] = table[where]
        for minute in range(self.minutes):
            start = START_MS + (self.start_minute + minute) * MINUTE_MS
            end = start + MINUTE_MS
            rows = {
                segment: Row("window", start, end, segment, None, counters, "f")
                for segment, told in places.items()
                for counters in ({name: values[minute] for name, values in told if values[minute]},)
            }
            yield MergedWindow(start, end, rows)

    def _table(self) -> dict[str, list[tuple[str, list[int]]]]:
        """Counters by segment, as lists: what the windows are read from."""
        told: dict[str, list[tuple[str, list[int]]]] = {}
        for key, values in self.counts.items():
            where, _, name = key.partition("|")
            told.setdefault(where, []).append((name, values.tolist()))
        return told

    def _shape(self) -> np.ndarray:
        """Expected sessions: two harmonics of the day, a weekend, a level that wanders a little."""
        minute = np.arange(self.minutes) + self.start_minute
        day = 2 * np.pi * minute / 1440
        shape = 0.7 * np.sin(day - 1.9) + 0.25 * np.sin(2 * day + 0.4)
        shape += np.where(minute // 1440 % 7 >= 5, 0.15 * np.sin(day) + 0.1, 0.0)
        return self.sessions * np.exp(shape - 0.12 + self._wander(0.03))

    def _wander(self, deviation: float, memory: float = 360.0) -> np.ndarray:
        rho = math.exp(-1 / memory)
        noise = self.rng.normal(0, deviation * math.sqrt(1 - rho * rho), self.minutes)
        level, told = self.rng.normal(0, deviation), np.empty(self.minutes)
        for minute in range(self.minutes):
            level = rho * level + noise[minute]
            told[minute] = level
        return told

    def _lost(self, kind: str, segment: str = "") -> np.ndarray:
        told = np.ones(self.minutes)
        for drop in self.drops:
            if drop.kind == kind and drop.segment in {"", segment}:
                told *= [1 - drop.strength(minute) for minute in range(self.minutes)]
        return told

    def _extra(self, kind: str) -> np.ndarray:
        return np.array([sum(d.strength(m) for d in self.drops if d.kind == kind) for m in range(self.minutes)])

    def _delay(self, counts: np.ndarray, lag: float) -> np.ndarray:
        """Spread counts over the minutes behind them: geometric with this mean."""
        told, rest, stay = np.zeros_like(counts), counts.copy(), lag / (1 + lag)
        last = min(60, len(counts)) - 1
        for shift in range(last + 1):
            now = rest if shift == last else self.rng.binomial(rest, 1 - stay)
            told[shift:] += now[: len(told) - shift]
            rest = rest - now
        return told

    def _add(self, name: str, values: np.ndarray, *where: str) -> None:
        for prefix in ("", *where):
            key = f"{prefix}|{name}"
            self.counts[key] = self.counts.get(key, np.zeros(self.minutes, dtype=np.int64)) + values

    def _simulate(self) -> None:
        shape = self._shape() * self._lost("traffic") * (1 + self._extra("surge"))
        wander = {step: np.exp(self._wander(0.02)) for step in (*STEPS, "pay")}
        bots = self.rng.poisson(self._shape() * self._extra("bots"))
        day = 2 * np.pi * (np.arange(self.minutes) + self.start_minute) / 1440
        for device, share in DEVICES.items():
            where = f"device={device}"
            burst = self.rng.gamma(200, 1 / 200, self.minutes)
            stage = self.rng.poisson(shape * share * burst)
            self._add("sessions", stage + (bots if device == "desktop" else 0), where)
            for step, rate in STEPS.items():
                lost = self._lost(step) * self._lost("device", device if step == "checkout" else "-")
                chance = np.clip(rate * (1 + 0.06 * np.sin(day - 1)) * wander[step] * lost, 0, 0.98)
                stage = self._delay(self.rng.binomial(stage, chance), LAGS[step])
                seen = self.rng.binomial(stage, self._lost("tracking", step))
                self._add(f"reached.{step}", seen, where)
            self._pay(stage, where, wander["pay"])
        if (dark := self._lost("silence")).min() < 1:
            self.counts = {key: (values * dark).astype(np.int64) for key, values in self.counts.items()}

    def _pay(self, orders: np.ndarray, where: str, wander: np.ndarray) -> None:
        self._add("orders_placed", orders, where)
        left = orders
        for number, (provider, share) in enumerate(PROVIDERS.items()):
            rest = sum(list(PROVIDERS.values())[number:])
            part = self.rng.binomial(left, min(1.0, share / rest))
            left = left - part
            lost = self._lost("payment") * self._lost("provider", provider)
            attempts = self._delay(part, LAGS["pay"])
            paid = self.rng.binomial(attempts, np.clip(SUCCESS * wander * lost, 0, 0.995))
            both = (where, f"payment_provider={provider}")
            self._add("payment_attempts", attempts, *both)
            self._add("orders_attempted", attempts, *both)
            self._add("payments_succeeded", paid, *both)
            self._add("payments_declined_hard", attempts - paid, *both)
            self._add("orders_paid", paid, *both)
            self._add("reached.paid", paid, where)
            self._add("orders_valued.CNY", paid, *both)
            self._add("revenue_minor.CNY", self._money(paid), *both)

    def _money(self, orders: np.ndarray) -> np.ndarray:
        """Sums of order values with a coefficient of variation of about 0.8."""
        return (20_000 * self.rng.gamma(np.maximum(orders, 1e-9) * 1.5, 1 / 1.5)).astype(np.int64)
