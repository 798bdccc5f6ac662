"""Comparison with an earlier period: the one before (环比), or the same of yesterday, last week, last year (同比)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from streams.kpis import Kpi

__all__ = ["PERIODS", "Change", "Period", "change", "earlier"]

Period = Literal["previous", "yesterday", "last_week", "last_year"]
PERIODS: tuple[Period, ...] = ("previous", "yesterday", "last_week", "last_year")
_DAYS = {"yesterday": 1, "last_week": 7}


class Change(NamedTuple):
    """A figure beside that of an earlier period; ``difference`` is None where either has no value.

    ``share`` is the difference as a share of the earlier value, None where that is zero. The counts (successes, and
    trials of a ratio) travel with both, so that nobody reads much into a change of three orders.
    """

    value: float | None
    before: float | None
    difference: float | None
    share: float | None
    counts: tuple[float, float | None]
    counts_before: tuple[float, float | None]


def change(kpi: Kpi, counters: Mapping[str, float], before: Mapping[str, float]) -> Change:
    """How a KPI differs from an earlier period, from the summed counters of both.

    >>> ratio = Kpi("payment_overall_ratio", ("orders_paid",), ("orders_placed",))
    >>> told = change(ratio, {"orders_paid": 3, "orders_placed": 4}, {"orders_paid": 5, "orders_placed": 10})
    >>> told.value, told.before, told.difference, told.share
    (0.75, 0.5, 0.25, 0.5)
    """
    value, earlier_value = kpi.value(counters), kpi.value(before)
    known = value is not None and earlier_value is not None
    difference = value - earlier_value if value is not None and earlier_value is not None else None
    share = difference / abs(earlier_value) if known and difference is not None and earlier_value else None
    return Change(value, earlier_value, difference, share, kpi.counts(counters), kpi.counts(before))


def earlier(start_ms: int, end_ms: int, period: Period, zone: ZoneInfo) -> tuple[int, int]:
    """Start and end of the period to compare with.

    ``previous`` ends where this one starts and is as long. The others are the same times of the shop's clock on
    another day, so they may be an hour shorter or longer where the clock was changed; last year of 29 February is
    28 February.

    >>> [earlier(86_400_000, 90_000_000, period, ZoneInfo("UTC")) for period in ("previous", "yesterday")]
    [(82800000, 86400000), (0, 3600000)]
    """
    if period == "previous":
        return 2 * start_ms - end_ms, start_ms
    return _moved(start_ms, period, zone), _moved(end_ms, period, zone)


def _moved(moment_ms: int, period: Period, zone: ZoneInfo) -> int:
    local = datetime.fromtimestamp(moment_ms / 1000, zone)
    if period == "last_year":
        leap_day = (local.month, local.day) == (2, 29)
        moved = local.replace(year=local.year - 1, day=28 if leap_day else local.day)
    else:
        moved = local - timedelta(days=_DAYS[period])
    return round(moved.timestamp() * 1000)
