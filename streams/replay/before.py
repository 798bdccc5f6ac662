"""Sums over the periods that a range is compared with, and the section of the report that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from zoneinfo import ZoneInfo

from streams.compare import PERIODS, Change, Period, change, earlier
from streams.engine.rows import WHOLE, Row
from streams.kpis import Kpi, counters_of
from streams.merge import MergedWindow, combine
from streams.replay.plots import show_count, show_value
from streams.replay.words import table

__all__ = ["Before", "compared_with"]

NAMES: dict[Period, str] = {
    "previous": "the period before",
    "yesterday": "the day before",
    "last_week": "a week before",
    "last_year": "a year before",
}


@dataclass(slots=True)
class _Sum:
    start_ms: int
    end_ms: int
    total: Row | None = None
    windows: int = 0


class Before:
    """Adds up the whole over each earlier period as its windows come.

    Parameters
    ----------
    since_ms, until_ms
        The range; without both of them there is nothing to compare.
    zone
        The clock by which yesterday is told.
    window_ms
        Length of a window.
    """

    def __init__(self, since_ms: int | None, until_ms: int | None, zone: ZoneInfo, window_ms: int) -> None:
        self._window_ms = window_ms
        self._sums: dict[Period, _Sum] = {}
        if since_ms is not None and until_ms is not None:
            self._sums = {period: _Sum(*earlier(since_ms, until_ms, period, zone)) for period in PERIODS}

    def add(self, window: MergedWindow) -> None:
        """Take a window in its final form."""
        whole = window.rows.get(WHOLE)
        if window.kind != "window" or whole is None:
            return
        for each in self._sums.values():
            if each.start_ms <= window.start_ms and window.end_ms <= each.end_ms:
                each.total = combine([whole] if each.total is None else [each.total, whole])
                each.windows += 1

    def told(self) -> dict[Period, tuple[Row, bool]]:
        """By period the sum, and whether all of its windows were there; a period without any is left out."""
        return {
            period: (each.total, each.windows * self._window_ms == each.end_ms - each.start_ms)
            for period, each in self._sums.items()
            if each.total is not None
        }


def compared_with(kpis: tuple[Kpi, ...], totals: Row | None, before: dict[Period, tuple[Row, bool]]) -> str:
    """A table of every KPI over the range beside the earlier periods; empty where there are none."""
    if totals is None or not before:
        return ""
    now = counters_of(totals)
    rows = []
    for kpi in kpis:
        too_short = totals.end_ms - totals.start_ms < kpi.min_window_ms
        # The share of bought traffic needs the segments of a window, which sums of the whole do not have.
        if kpi.horizon_ms is not None or too_short or "sessions_paid" in kpi.numerator:
            continue
        changes = [change(kpi, now, counters_of(total)) for total, _ in before.values()]
        rows.append(
            [kpi.name, _with_counts(changes[0].value, changes[0].counts, kpi), *(_told(kpi, c) for c in changes)]
        )
    partial = [NAMES[period] for period, (_, whole) in before.items() if not whole]
    note = f'<p class="note">Only a part is known of {escape(", ".join(partial))}.</p>' if partial else ""
    heads = ["", "this range", *(NAMES[period] for period in before)]
    return (
        '<h2>Compared with before</h2>\n<p class="soft">The change, and the figure at that time with its counts.</p>\n'
        + note
        + table(heads, rows, numbers=len(heads) - 1)
    )


def _told(kpi: Kpi, told: Change) -> str:
    if told.before is None or told.difference is None:
        return "–"
    if kpi.unit == "ratio":
        by = f"{told.difference * 100:+.1f} points"
    else:
        by = "new" if told.share is None else f"{told.share:+.0%}"
    return f"{by} · {_with_counts(told.before, told.counts_before, kpi)}"


def _with_counts(value: float | None, counts: tuple[float, float | None], kpi: Kpi) -> str:
    successes, trials = counts
    if trials is None or kpi.unit != "ratio":
        return show_value(value, kpi.unit)
    return f"{show_value(value, kpi.unit)} ({show_count(successes)} of {show_count(trials)})"
