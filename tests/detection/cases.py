"""The labelled library: for each size of shop, weeks of trouble with notes and without, and the awkward beginnings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from detectors.seasonal import Note
from streams.monitor import MonitorSpec
from tests.detection.climate import MINUTE_MS
from tests.detection.labels import Label
from tests.detection.rough import START_MS, RoughShop, Traits

__all__ = ["CASES", "DAY", "REPORTING", "SIZES", "TEMPLATES", "TUNING", "Case", "make_case"]

DAY = 1440
SIZES = {"busy": 2000.0, "medium": 200.0, "small": 10.0}
"""Sessions a minute on average."""

TUNING = range(1, 21)
REPORTING = range(1001, 1011)
"""Seeds that settings may be chosen on, and seeds that are looked at when the settings are fixed."""

TEMPLATES: tuple[Label, ...] = (
    Label("payment", 0, 30, 1.0),
    Label("payment", 0, 45, 0.5),
    Label("payment", 0, 120, 0.2),
    Label("payment", 0, 300, 0.3, ramp=240),
    Label("payment", 0, 60, 0.9, provider="psp-1"),
    Label("payment", 0, 60, 0.7, provider="psp-2"),
    Label("payment", 0, 90, 0.9, provider="psp-3"),
    Label("payment", 0, 60, 0.9, provider="psp-1", device="ios"),
    Label("hang", 0, 30, 0.9),
    Label("hang", 0, 90, 0.3),
    Label("step", 0, 30, 0.9, step="checkout"),
    Label("step", 0, 90, 0.35, step="checkout"),
    Label("step", 0, 300, 0.4, ramp=240, step="checkout"),
    Label("step", 0, 90, 0.7, step="checkout", device="android"),
    Label("step", 0, 45, 0.8, step="cart"),
    Label("step", 0, 90, 0.4, step="cart"),
    Label("step", 0, 90, 0.6, step="cart", device="ios"),
    Label("step", 0, 60, 0.5, step="product"),
    Label("traffic", 0, 45, 0.6),
    Label("traffic", 0, 120, 0.9, channel="ads"),
    Label("traffic", 0, 90, 0.8, channel="search"),
    Label("tracking", 0, 60, 1.0, step="checkout"),
    Label("tracking", 0, 90, 0.6, step="ordered"),
    Label("silence", 0, 20, 1.0),
    Label("bots", 0, 60, 1.0),
    Label("bots", 0, 120, 0.4),
)
"""One of each a fortnight; the start is filled in."""

APART = 120
"""Minutes between two labels at least, so that a page tells which of them it is for."""


@dataclass(frozen=True)
class Case:
    """A run: what to simulate, what to tell the monitor, and from which minute on it is judged."""

    name: str
    size: str
    seed: int
    days: float
    history: int
    labels: tuple[Label, ...] = ()
    traits: Traits = field(default_factory=Traits)

    @property
    def minutes(self) -> int:
        """Length of the run."""
        return int(self.days * DAY)

    def shop(self) -> RoughShop:
        """The counts; the seed is the case's alone, so that the same seed is another shop in another size."""
        return RoughShop(SIZES[self.size], self.minutes, _mixed(self.seed, self.size), self.labels, self.traits)

    def spec(self) -> MonitorSpec:
        """The defaults, with the calendar that this shop has."""
        start = self.traits.start_ms
        notes = tuple(
            Note("campaign", start + label.start * MINUTE_MS, start + label.end * MINUTE_MS, label.kind)
            for label in self.labels
            if label.announced
        )
        return MonitorSpec(partitions=3, zone=self.traits.zone, notes=notes)


def make_case(name: str, size: str, seed: int) -> Case:
    """A case of the library by its name, one of ``CASES``.

    >>> case = make_case("notes", "small", 1)
    >>> case.minutes, case.history, sum(label.must_page for label in case.labels)
    (30240, 10080, 26)
    """
    rng = np.random.default_rng((_mixed(seed, size), sum(map(ord, "weeks" if name in {"notes", "silent"} else name))))
    return CASES[name](name, size, seed, rng)


def _weeks(name: str, size: str, seed: int, rng: np.random.Generator) -> Case:
    """A week to learn from and a fortnight with one incident of every kind, two campaigns a week, and two surges."""
    taken = [_campaign(rng, int(day * DAY), announced=name == "notes") for day in (1.4, 4.5, 8.3, 11.6, 14.7, 18.4)]
    taken += [_surge(rng, int(day * DAY)) for day in (9.5, 16.6)]
    labels = _placed(rng, TEMPLATES, 7 * DAY, 21 * DAY, taken)
    return Case(name, size, seed, 21, 7 * DAY, (*taken, *labels), Traits(zone="Asia/Shanghai"))


def _silent(name: str, size: str, seed: int, rng: np.random.Generator) -> Case:
    """The first two of those weeks, with a calendar that knows nothing."""
    weeks = _weeks(name, size, seed, rng)
    labels = tuple(label for label in weeks.labels if label.end + APART <= 14 * DAY)
    return replace(weeks, days=14, labels=labels)


def _cold(name: str, size: str, seed: int, rng: np.random.Generator) -> Case:
    """Three hours of history from any hour on, then two days."""
    labels = _placed(rng, _some(rng, 5), 3 * 60, 2 * DAY, [])
    start = START_MS + int(rng.integers(0, 7 * DAY)) * MINUTE_MS
    return Case(name, size, seed, 2, 3 * 60, labels, Traits(zone="Asia/Shanghai", start_ms=start))


def _young(name: str, size: str, seed: int, rng: np.random.Generator) -> Case:
    """A day of history from any hour on, then five days."""
    labels = _placed(rng, _some(rng, 10), DAY, 6 * DAY, [])
    start = START_MS + int(rng.integers(0, 7 * DAY)) * MINUTE_MS
    return Case(name, size, seed, 6, DAY, labels, Traits(zone="America/New_York", start_ms=start))


def _steps(name: str, size: str, seed: int, rng: np.random.Generator) -> Case:
    """Nothing is broken, but the checkout gets better by 15 % for good, and three days later worse by as much."""
    better, worse = (int(day * DAY + rng.integers(0, DAY // 2)) for day in (8, 11))
    labels = (
        Label("level", better, 14 * DAY, -0.15, step="checkout"),
        Label("level", worse, 14 * DAY, 1 - 1 / 1.15, step="checkout"),
    )
    return Case(name, size, seed, 14, 7 * DAY, labels, Traits(zone="UTC"))


def _growth(name: str, size: str, seed: int, rng: np.random.Generator) -> Case:
    """Nothing is broken; traffic grows by a tenth a week, and the clocks go forward in the second week."""
    before_change = 1_773_615_600_000  # Monday, 2026-03-16, 00:00 in Berlin: the clocks change on the 29th
    start = before_change + int(rng.integers(0, 24)) * 60 * MINUTE_MS
    taken = (_campaign(rng, int(10.4 * DAY), announced=True),)
    return Case(name, size, seed, 14, 7 * DAY, taken, Traits(zone="Europe/Berlin", start_ms=start, growth=0.1))


def _gaps(name: str, size: str, seed: int, rng: np.random.Generator) -> Case:
    """An outage of eight hours in the week to learn from, windows that are missing, and some incidents."""
    outage = Label("payment", 3 * DAY, 3 * DAY + 480, 0.95)
    lost = [(start, start + int(rng.integers(3, 90))) for start in _moments(rng, 6, 5 * DAY, 14 * DAY)]
    halved = [(start, start + int(rng.integers(10, 60))) for start in _moments(rng, 6, 5 * DAY, 14 * DAY)]
    taken = [Label("level", begin, end, 0.0) for begin, end in (*lost, *halved)]
    labels = _placed(rng, _some(rng, 8), 7 * DAY, 14 * DAY, taken)
    traits = Traits(zone="UTC", lost=tuple(lost), halved=tuple(halved))
    return Case(name, size, seed, 14, 7 * DAY, (outage, *labels), traits)


CASES = {
    "notes": _weeks,
    "silent": _silent,
    "cold": _cold,
    "young": _young,
    "steps": _steps,
    "growth": _growth,
    "gaps": _gaps,
}
"""``silent`` is ``notes``, but for the calendar and the last week."""


def _mixed(seed: int, size: str) -> int:
    return 10 * seed + list(SIZES).index(size)


def _some(rng: np.random.Generator, number: int) -> tuple[Label, ...]:
    return tuple(TEMPLATES[i] for i in rng.permutation(len(TEMPLATES))[:number])


def _moments(rng: np.random.Generator, number: int, begin: int, end: int) -> list[int]:
    return sorted(int(moment) for moment in rng.integers(begin, end - 100, number))


def _campaign(rng: np.random.Generator, start: int, *, announced: bool) -> Label:
    """Between half as much and three times as much traffic on top, and conversion that suffers from it."""
    start += int(rng.integers(-120, 120))
    length, size, lowers = int(rng.integers(120, 480)), float(rng.uniform(0.5, 3.0)), float(rng.uniform(0.05, 0.25))
    return Label("campaign", start, start + length, size, ramp=6, lowers=lowers, announced=announced)


def _surge(rng: np.random.Generator, start: int) -> Label:
    """A crowd that nobody announced."""
    start += int(rng.integers(-120, 120))
    length, size, lowers = int(rng.integers(30, 90)), float(rng.uniform(1.0, 2.0)), float(rng.uniform(0.1, 0.2))
    return Label("surge", start, start + length, size, ramp=5, lowers=lowers)


def _placed(
    rng: np.random.Generator, templates: tuple[Label, ...], begin: int, end: int, taken: list[Label]
) -> tuple[Label, ...]:
    """The templates in random order at random moments, apart from each other and from what is there."""
    placed: list[Label] = []
    for number in rng.permutation(len(templates)):
        template = templates[number]
        for _ in range(1000):
            start = int(rng.integers(begin, end - template.end - APART))
            label = replace(template, start=start, end=start + template.end)
            if all(label.end + APART <= other.start or other.end + APART <= start for other in (*placed, *taken)):
                placed.append(label)
                break
        else:
            raise ValueError(f"no room for {template.name} between {begin} and {end}")
    return tuple(sorted(placed, key=lambda label: label.start))
