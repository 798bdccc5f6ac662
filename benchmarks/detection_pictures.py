"""The pictures of docs/detection.md, drawn from real runs of the detectors on the simulated shop.

python -m benchmarks.detection_pictures [--out docs/pictures]
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from detectors.base import Observation
from detectors.border import Border
from detectors.ratio import RatioDetector
from detectors.scan import TRACKED, WINDOWS, Look, Scan, SeriesSpec
from detectors.seasonal import rate_basis
from streams.engine.rows import WHOLE
from streams.monitor import Monitor
from tests.detection.cases import DAY, SIZES, Case
from tests.detection.labels import Label
from tests.detection.rough import RoughShop, Traits

KPI = "payment_success_ratio"
ZONE = "Asia/Shanghai"
ONSET = DAY + 600
INK, GREY, BLUE, PALE, RED, GREEN = "#222", "#888", "#1f6fb4", "#cfe2f3", "#c0392b", "#2e8b57"
SERIES = 70
"""Series that share the budget in such a shop."""

LONGEST = 120
"""Minutes after which a loss counts as not seen."""


class Plot:
    """Axes with a title; values outside are cut off."""

    def __init__(self, title: str, across: tuple[float, float], up: tuple[float, float], *, log: bool = False) -> None:
        self.width, self.height = 760, 330
        self.left, self.right, self.top, self.bottom = 62, 732, 48, 284
        self.across, self.up, self.log = across, up, log
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(title)}" font-family="sans-serif" font-size="12">',
            f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>',
            f'<text x="{self.left}" y="22" font-size="14" fill="{INK}">{escape(title)}</text>',
        ]

    def x(self, value: float) -> float:
        """Where a value lies, from left to right."""
        low, high = self.across
        share = math.log(value / low) / math.log(high / low) if self.log else (value - low) / (high - low)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Where a value lies, from the bottom to the top."""
        low, high = self.up
        return self.bottom - min(max((value - low) / (high - low), 0.0), 1.0) * (self.bottom - self.top)

    def axes(
        self, across: Sequence[tuple[float, str]], up: Sequence[tuple[float, str]], names: tuple[str, str]
    ) -> None:
        """Ticks with their labels, and what the axes mean."""
        for value, label in across:
            self.parts.append(f'<path d="M{self.x(value):.1f},{self.bottom}v5" stroke="{GREY}"/>')
            self.text(self.x(value), self.bottom + 18, label, anchor="middle")
        for value, label in up:
            self.parts.append(f'<path d="M{self.left},{self.y(value):.1f}H{self.right}" stroke="#e4e4e4"/>')
            self.text(self.left - 8, self.y(value) + 4, label, anchor="end")
        self.text((self.left + self.right) / 2, self.height - 8, names[0], anchor="middle", colour=GREY)
        self.text(self.left, self.top - 6, names[1], colour=GREY)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float = 1.6, dashes: str = "") -> None:
        """Points joined by straight strokes."""
        path = "L".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in points)
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>')

    def area(self, low: Sequence[tuple[float, float]], high: Sequence[tuple[float, float]], colour: str) -> None:
        """What lies between two lines."""
        path = "L".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in (*low, *reversed(high)))
        self.parts.append(f'<path d="M{path}Z" fill="{colour}"/>')

    def dots(self, points: Sequence[tuple[float, float]], colour: str, radius: float = 2.0) -> None:
        """One dot each."""
        for a, b in points:
            self.parts.append(f'<circle cx="{self.x(a):.1f}" cy="{self.y(b):.1f}" r="{radius}" fill="{colour}"/>')

    def span(self, begin: float, end: float, colour: str, label: str) -> None:
        """A shaded stretch with its name at the bottom."""
        left, right = self.x(begin), self.x(end)
        self.parts.append(
            f'<rect x="{left:.1f}" y="{self.top}" width="{right - left:.1f}" height="{self.bottom - self.top}" '
            f'fill="{colour}" fill-opacity="0.4"/>'
        )
        self.text((left + right) / 2, self.bottom - 12, label, anchor="middle", colour=INK)

    def text(self, x: float, y: float, words: str, *, anchor: str = "start", colour: str = INK) -> None:
        """Words at a place of the picture."""
        told = escape(words)
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{told}</text>')

    def write(self, path: Path) -> None:
        """Write the picture."""
        path.write_text("\n".join([*self.parts, "</svg>"]) + "\n", encoding="utf-8")


def outage(path: Path) -> None:
    """What was expected of payments, and an outage of one provider."""
    label = Label("payment", ONSET, ONSET + 60, 0.7, provider="psp-2")
    case = Case("picture", "medium", 11, 1.55, DAY, (label,), Traits(zone=ZONE))
    monitor, seen, loud, said = Monitor(case.spec()), [], [], ""
    first = ONSET - 150
    opened = None
    for minute, window in enumerate(case.shop().windows()):
        judgement = monitor.observe(window)
        verdict = next(one for one in judgement.verdicts if one.kpi == KPI and not one.segment)
        if minute >= ONSET + 150:
            break
        if minute >= first:
            seen.append((minute, verdict))
        if any(one.active for one in judgement.verdicts):
            loud.append(minute + 0.5 - ONSET)
        for one in judgement.incidents:
            if one.state == "open" and opened is None and minute >= ONSET:
                opened = minute + 1
            said = one.summary if minute >= ONSET else said
    plot = Plot("Payment success of a medium shop, minute by minute", (-150, 150), (0.4, 1.0))
    plot.axes(
        [(x, f"{x:+d}" if x else "0") for x in range(-150, 151, 30)], _percent(4, 10), ("minutes since the onset", "")
    )
    at = [(minute + 0.5 - ONSET, verdict) for minute, verdict in seen]
    known = [(x, one) for x, one in at if one.expected is not None and one.lower is not None and one.upper is not None]
    plot.area([(x, one.lower or 0) for x, one in known], [(x, min(one.upper or 0, 1)) for x, one in known], PALE)
    plot.span(0, 60, "#f5b7b1", "psp-2 declines 70 %")
    plot.line([(x, one.expected or 0) for x, one in known], BLUE)
    plot.dots([(x, one.value) for x, one in at if one.value is not None], INK)
    _alerts(plot, loud)
    if opened is not None:
        x = plot.x(opened - ONSET)
        plot.parts.append(f'<path d="M{x:.1f},{plot.top}V{plot.bottom}" stroke="{RED}" stroke-width="1.5"/>')
        plot.text(x + 5, plot.bottom - 26, f"page after {opened - ONSET} min", colour=RED)
    plot.text(plot.left + 6, plot.bottom - 44, "blue: expected, and three standard deviations", colour=BLUE)
    plot.text(plot.left + 6, plot.bottom - 26, "red: an alert stands", colour=RED)
    plot.write(path)
    print(path, said)


def evidence(path: Path) -> None:
    """Evidence against the border over the lengths of windows, at four moments of a small loss."""
    label = Label("payment", ONSET, ONSET + 180, 0.15)
    shop = RoughShop(SIZES["medium"], ONSET + 61, 12, (label,), Traits(zone=ZONE))
    good, base = _payments(shop)
    scan, told = Scan(rate_basis(ZoneInfo(ZONE))), {}
    scan.add(SeriesSpec(kernel=0, binomial=True), step=0)
    for minute in range(shop.minutes):
        step = shop.traits.start_ms // 60_000 + minute + 1
        if minute == 0:
            scan.since[:], scan.born[:] = step - 1, step + 29
        look = scan.look(step, good[minute : minute + 1], base[minute : minute + 1], np.ones(1, dtype=bool))
        if minute + 1 - ONSET in {-30, 3, 10, 30, 60}:
            told[minute + 1 - ONSET] = look
        scan.learn(look)
    plot = Plot("Evidence against the border: payments lose 15 %", (1, 180), (0, 30), log=True)
    lengths = [float(length) for length in TRACKED]
    needed = Border(1.0).base(SERIES)
    names = ("length of the window that ends now, minutes", "nats")
    plot.axes([(x, f"{x:g}") for x in lengths], [(y, str(y)) for y in range(0, 31, 5)], names)
    plot.line([(x, needed - math.log(x)) for x in lengths], RED, 2.2, "6 4")
    plot.text(plot.x(1.1), plot.y(needed) - 8, "border", colour=RED)
    for (minute, look), colour in zip(told.items(), (GREY, "#9ecae1", "#4292c6", BLUE, "#08306b"), strict=True):
        points = _against(look, lengths)
        plot.line(points, colour, 2.0)
        plot.dots(points, colour, 2.6)
        peak = max(points, key=lambda point: point[1])
        when = f"{minute} min after the onset" if minute > 0 else "half an hour before"
        left = minute == max(told) - 30
        place = plot.x(peak[0]) + (-6 if left else 6), plot.y(min(peak[1], 29)) - 6
        plot.text(*place, when, anchor="end" if left else "start", colour=colour)
    plot.write(path)


def delays(path: Path) -> None:
    """Median delay against the size of a loss, in the three shops."""
    title = "How long a loss of payments takes to be seen (median of 20 moments of the day)"
    plot = Plot(title, (0.05, 1.0), (0.0, math.log(120)))
    names = ("share of payments lost", "minutes; a cross: half of them were not seen within two hours")
    plot.axes(_percent(1, 10), [(math.log(y), str(y)) for y in (1, 2, 5, 10, 20, 60, 120)], names)
    for (size, sessions), colour in zip(SIZES.items(), (BLUE, GREEN, RED), strict=True):
        points = _delay_curve(sessions)
        seen = [(share, math.log(minutes)) for share, minutes in points if minutes < LONGEST]
        plot.line(seen, colour, 2.0)
        plot.dots(seen, colour, 3.0)
        for share, minutes in points:
            if minutes >= LONGEST:
                plot.text(plot.x(share), plot.y(math.log(120)) + 5, "×", anchor="middle", colour=colour)
        share, height = seen[2]
        words = f"{size}: {sessions:,.0f} sessions a minute"
        plot.text(plot.x(share) + 10, plot.y(height) - 4, words, colour=colour)
    plot.write(path)


def _delay_curve(sessions: float) -> list[tuple[float, float]]:
    """Median minutes until a loss of each size reaches the border."""
    shop = RoughShop(sessions, 3 * DAY, 13, (), Traits(zone=ZONE))
    good, base = _payments(shop)
    moments = {int(moment) for moment in np.linspace(2 * DAY, 3 * DAY - 121, 20)}
    detector = RatioDetector(zone=ZONE, border=Border(1.0).base(SERIES))
    sizes = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.75, 1.0)
    told: dict[float, list[int]] = {size: [] for size in sizes}
    for minute in range(shop.minutes):
        if minute in moments:
            for size in sizes:
                told[size].append(_first(detector, good[minute:], base[minute:], minute, size))
        detector.learn_one(_observation(minute, good[minute], base[minute]))
    return [(size, float(np.median(found))) for size, found in told.items()]


def _first(
    detector: RatioDetector, good: NDArray[np.float64], base: NDArray[np.float64], minute: int, size: float
) -> int:
    """Minutes until the score reaches 1.0 when a share of the successes is lost from here on; ``LONGEST``: never."""
    own, rng = copy.deepcopy(detector), np.random.default_rng(minute)
    for after in range(LONGEST):
        left = float(rng.binomial(int(good[after]), 1 - size))
        observation = _observation(minute + after, left, base[after])
        if own.score_one(observation).score >= 1:
            return after + 1
        own.learn_one(observation)
    return LONGEST


def _observation(minute: int, good: float, base: float) -> Observation:
    value = good / base if base else None
    return Observation(KPI, WHOLE, minute * 60_000, (minute + 1) * 60_000, value, float(good), float(base))


def _payments(shop: RoughShop) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Successes and answers of each minute."""
    names = ("payments_succeeded", "payments_declined_soft", "payments_declined_hard")
    good, soft, hard = (shop.counts[WHOLE, name].astype(float) for name in names)
    return good, good + soft + hard


def _against(look: Look, lengths: Sequence[float]) -> list[tuple[float, float]]:
    """Evidence for a fall in each tracked window."""
    nats = np.where(look.side[0] < 0, look.evidence[0], 0.0)
    return [(length, float(nats[list(WINDOWS).index(int(length))])) for length in lengths]


def _alerts(plot: Plot, loud: Sequence[float]) -> None:
    """A bar below each minute in which an alert of any series stands."""
    for x in loud:
        if x >= plot.across[0]:
            place = f'x="{plot.x(x - 0.5):.1f}" y="{plot.bottom - 5}"'
            plot.parts.append(f'<rect {place} width="2.6" height="5" fill="{RED}"/>')


def _percent(first: int, last: int) -> list[tuple[float, str]]:
    return [(tenth / 10, f"{10 * tenth} %") for tenth in range(first, last + 1)]


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--only", default="outage,evidence,delay")
    arguments = parser.parse_args()
    for name, draw in (("outage", outage), ("evidence", evidence), ("delay", delays)):
        if name in arguments.only.split(","):
            draw(arguments.out / f"detection-{name}.svg")


if __name__ == "__main__":
    main()
