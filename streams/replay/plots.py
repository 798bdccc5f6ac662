"""Inline SVG for the report: a KPI with its band, and the funnel. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from typing import NamedTuple
from zoneinfo import ZoneInfo

from streams.kpis import Kpi
from streams.replay.review import Point

__all__ = ["Shade", "band_chart", "funnel_chart", "show_count", "show_value", "thinned"]

MOST_POINTS = 480
MINUTE_MS = 60_000
STEPS_MS = tuple(MINUTE_MS * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080))
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 10, 22


class Shade(NamedTuple):
    """A span to shade, and what to say of it."""

    start_ms: int
    end_ms: int
    label: str


def show_value(value: float | None, unit: str) -> str:
    """A figure with its unit, as short as it can be told apart.

    >>> show_value(0.9312, "ratio"), show_value(1234.0, "count"), show_value(8400.5, "CNY"), show_value(None, "ratio")
    ('93.1 %', '1,234', 'CNY 8,400', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if unit == "ratio":
        percent = value * 100
        return f"{percent:.1f} %" if abs(percent) >= 1 or percent == 0 else f"{percent:.2g} %"
    text = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.1f}"
    if unit in {"count", ""}:
        return text
    if unit == "seconds":
        return f"{text} s"
    return f"{unit} {text}" if len(unit) == 3 and unit.isupper() else f"{text} {unit}"


def show_count(count: float) -> str:
    """A count, in thousands and millions from ten thousand on.

    >>> show_count(9_999), show_count(12_345), show_count(2_500_000)
    ('9,999', '12.3k', '2.5M')
    """
    if count >= 1_000_000:
        return f"{count / 1_000_000:.1f}M"
    return f"{count / 1000:.1f}k" if count >= 10_000 else f"{count:,.0f}"


def thinned(points: Sequence[Point], scale: float = 1.0, most: int = MOST_POINTS) -> list[Point]:
    """At most ``most`` points: neighbours are added up, so a ratio stays the ratio of its counts.

    >>> one = Point(0, 60_000, 0.5, 1, 2, None, None, None, "calm", False)
    >>> [(point.value, point.end_ms) for point in thinned([one, one._replace(end_ms=120_000, trials=8)], most=1)]
    [(0.2, 120000)]
    """
    size = math.ceil(len(points) / most) if points else 1
    if size == 1:
        return list(points)
    return [_together(points[start : start + size], scale) for start in range(0, len(points), size)]


def band_chart(
    kpi: Kpi, points: Sequence[Point], shades: Sequence[Shade], zone: ZoneInfo, size: tuple[int, int] = (520, 170)
) -> str:
    """A KPI over time: its value, what was expected, and the spans of incidents."""
    shown = thinned(points, kpi.scale)
    if not shown:
        return ""
    frame = _Frame(shown[0].start_ms, shown[-1].end_ms, _ceiling(shown, kpi.unit), size)
    parts = [
        f'<svg class="chart" viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{escape(_told(kpi, shown))}">',
        *(_shade(frame, shade) for shade in shades),
        *_axes(frame, kpi, zone),
        *(f'<path class="band" d="{path}"/>' for path in _bands(frame, shown)),
        *(f'<path class="expected" d="{path}"/>' for path in _lines(frame, shown, "expected")),
        *(f'<path class="value" d="{path}"/>' for path in _lines(frame, shown, "value")),
        *(
            f'<rect class="alert" x="{frame.x(point.start_ms):.1f}" y="{frame.bottom - 3}" '
            f'width="{max(1.0, frame.x(point.end_ms) - frame.x(point.start_ms)):.1f}" height="3"/>'
            for point in shown
            if point.active
        ),
        "</svg>",
    ]
    return "".join(parts)


def funnel_chart(stages: Sequence[tuple[str, int, int]], names: dict[str, str]) -> str:
    """Bars of observed reach, the implied part hatched behind it, and the rate from the stage before."""
    width, row, gap = 760, 30, 10
    left, room = 116, 350
    most = max((observed + implied for _, observed, implied in stages), default=0) or 1
    height = len(stages) * (row + gap)
    parts = [
        f'<svg class="funnel" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(", ".join(f"{names[stage]} {seen}" for stage, seen, _ in stages))}">'
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>'
    ]
    before: tuple[str, int] | None = None
    for number, (stage, observed, implied) in enumerate(stages):
        top = number * (row + gap)
        seen, guessed = room * observed / most, room * implied / most
        middle = top + row / 2 + 5
        parts.append(
            f'<text class="stage" x="{left - 10}" y="{middle}" text-anchor="end">{escape(names[stage])}</text>'
        )
        parts.append(f'<rect class="observed" x="{left}" y="{top}" width="{seen:.1f}" height="{row}" rx="3"/>')
        if implied:
            parts.append(
                f'<rect class="implied" x="{left + seen:.1f}" y="{top}" width="{guessed:.1f}" height="{row}">'
                f"<title>{implied:,} implied by a later stage, not observed</title></rect>"
            )
        label = f"{observed:,}" + (f" + {implied:,} implied" if implied else "")
        x = left + seen + guessed + 10
        parts.append(f'<text class="count" x="{x:.1f}" y="{middle}">{label}</text>')
        if before is not None and before[1]:
            rate = f"{show_value(observed / before[1], 'ratio')} of {names[before[0]].lower()}"
            parts.append(f'<text class="rate" x="{width}" y="{middle}" text-anchor="end">{rate}</text>')
        before = (stage, observed)
    return "".join([*parts, "</svg>"])


class _Frame:
    """Where a moment and a value lie on the picture."""

    def __init__(self, start_ms: int, end_ms: int, top_value: float, size: tuple[int, int]) -> None:
        self.start_ms, self.end_ms, self.top_value = start_ms, max(end_ms, start_ms + 1), top_value
        self.left, self.right = LEFT, size[0] - RIGHT
        self.top, self.bottom = TOP, size[1] - BOTTOM

    def x(self, moment_ms: int) -> float:
        share = (moment_ms - self.start_ms) / (self.end_ms - self.start_ms)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - min(max(value / self.top_value, 0.0), 1.0) * (self.bottom - self.top)


def _together(points: Sequence[Point], scale: float) -> Point:
    successes = sum(point.successes for point in points)
    trials = None if points[0].trials is None else sum(point.trials or 0 for point in points)
    volume = successes / len(points) * scale
    value = volume if trials is None else successes / trials * scale if trials else None
    mean = {name: _mean([getattr(point, name) for point in points]) for name in ("expected", "lower", "upper")}
    active = any(point.active for point in points)
    return Point(
        points[0].start_ms, points[-1].end_ms, value, successes, trials, mean["expected"], mean["lower"],
        mean["upper"], points[-1].state, active,
    )  # fmt: skip


def _mean(values: Sequence[float | None]) -> float | None:
    told = [value for value in values if value is not None and math.isfinite(value)]
    return sum(told) / len(told) if told else None


def _ceiling(points: Sequence[Point], unit: str) -> float:
    """A round number above what is to be seen; a band that is far wider than the values is cut."""
    values, expected, uppers = (
        sorted(told for point in points if (told := getattr(point, name)) is not None and math.isfinite(told))
        for name in ("value", "expected", "upper")
    )
    highest = values[-1] if values else 0.0
    for told in (expected, uppers):
        if told:
            highest = max(highest, min(told[int(0.95 * (len(told) - 1))], 1.5 * highest if highest else told[0]))
    if highest <= 0:
        return 1.0
    if unit == "ratio" and (not values or values[-1] <= 1) and highest > 0.8:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(power * step for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if power * step >= highest)


def _lines(frame: _Frame, points: Sequence[Point], name: str) -> list[str]:
    paths: list[list[str]] = [[]]
    for point in points:
        value = getattr(point, name)
        if value is None or not math.isfinite(value):
            if paths[-1]:
                paths.append([])
            continue
        middle = (point.start_ms + point.end_ms) // 2
        paths[-1].append(f"{frame.x(middle):.1f},{frame.y(value):.1f}")
    # A point of its own is drawn as a short stroke, else it could not be seen.
    return ["M" + "L".join(path if len(path) > 1 else path * 2) for path in paths if path]


def _bands(frame: _Frame, points: Sequence[Point]) -> list[str]:
    paths, run = [], []
    for point in [*points, None]:
        if point is not None and (point.lower is not None or point.upper is not None):
            run.append(point)
            continue
        if run:
            over = [f"{_middle(frame, each):.1f},{frame.y(_or(each.upper, frame.top_value)):.1f}" for each in run]
            under = [f"{_middle(frame, each):.1f},{frame.y(_or(each.lower, 0.0)):.1f}" for each in reversed(run)]
            paths.append("M" + "L".join(over + under) + "Z")
            run = []
    return paths


def _middle(frame: _Frame, point: Point) -> float:
    return frame.x((point.start_ms + point.end_ms) // 2)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None or not math.isfinite(value) else value


def _shade(frame: _Frame, shade: Shade) -> str:
    if shade.end_ms <= frame.start_ms or shade.start_ms >= frame.end_ms:
        return ""
    left, right = frame.x(shade.start_ms), frame.x(shade.end_ms)
    return (
        f'<rect class="shade" x="{left:.1f}" y="{frame.top}" width="{max(2.0, right - left):.1f}" '
        f'height="{frame.bottom - frame.top}"><title>{escape(shade.label)}</title></rect>'
    )


def _axes(frame: _Frame, kpi: Kpi, zone: ZoneInfo) -> list[str]:
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = frame.y(frame.top_value * share)
        parts.append(f'<line class="grid" x1="{frame.left}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = escape(_tick(frame.top_value * share, kpi.unit))
        parts.append(f'<text class="tick" x="{frame.left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    span = frame.end_ms - frame.start_ms
    step = next((step for step in STEPS_MS if span / step <= 7), STEPS_MS[-1])
    offset = round(
        (datetime.fromtimestamp(frame.start_ms / 1000, zone).utcoffset() or timedelta()).total_seconds() * 1000
    )
    moment = -(-(frame.start_ms + offset) // step) * step - offset
    while moment <= frame.end_ms:
        local = datetime.fromtimestamp(moment / 1000, zone)
        midnight = local.hour == local.minute == 0
        text = local.strftime("%d %b") if midnight and span > 86_400_000 // 2 else local.strftime("%H:%M")
        x = frame.x(moment)
        anchor = "end" if x > frame.right - 14 else "middle"
        parts.append(f'<text class="tick" x="{x:.1f}" y="{frame.bottom + 15}" text-anchor="{anchor}">{text}</text>')
        moment += step
    return parts


def _tick(value: float, unit: str) -> str:
    if unit == "ratio":
        percent = value * 100
        return f"{percent:.0f} %" if percent >= 10 or percent == int(percent) else f"{percent:.2g} %"
    return show_count(value) if value == 0 or value >= 10 else f"{value:.3g}"


def _told(kpi: Kpi, points: Sequence[Point]) -> str:
    values = [point.value for point in points if point.value is not None]
    if not values:
        return f"{kpi.name}: no value"
    low, high = show_value(min(values), kpi.unit), show_value(max(values), kpi.unit)
    return f"{kpi.name} over time, from {low} to {high}"
