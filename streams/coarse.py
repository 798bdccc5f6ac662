"""Longer windows out of shorter ones: 5 minutes, a quarter, an hour, a day of the shop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from streams.engine.rows import Row, RowKind, Segment
from streams.engine.spec import DAY_MS, HOUR_MS
from streams.errors import ConfigError
from streams.merge import MergedWindow, combine

__all__ = ["Coarser", "bucket", "zone_of"]


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name; ``ConfigError`` where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            "no such time zone", key="shop.timezone", value=name, way_out="use an IANA name such as Asia/Shanghai"
        ) from error


def bucket(moment_ms: int, size_ms: int, zone: ZoneInfo | None = None) -> tuple[int, int]:
    """Start and end of the longer window that holds a moment.

    Windows below an hour are aligned to the epoch, hours and days to the clock of the shop: a day is from midnight
    to midnight there, and has 23 or 25 hours where the clock is changed.

    >>> bucket(1_767_225_600_000, 86_400_000, ZoneInfo("Asia/Shanghai"))  # 2026-01-01T00:00Z, 08:00 in Shanghai
    (1767196800000, 1767283200000)
    """
    if zone is None or size_ms < HOUR_MS:
        start = moment_ms - moment_ms % size_ms
        return start, start + size_ms
    local = datetime.fromtimestamp(moment_ms / 1000, zone)
    if size_ms % DAY_MS == 0:
        midnight = datetime(local.year, local.month, local.day, tzinfo=zone)
        start_day = midnight - timedelta(days=midnight.toordinal() % (size_ms // DAY_MS))
        return _ms(start_day), _ms(start_day + timedelta(days=size_ms // DAY_MS))
    offset = local.utcoffset() or timedelta()
    shift = round(offset.total_seconds() * 1000)
    start = (moment_ms + shift) // size_ms * size_ms - shift
    return start, start + size_ms


@dataclass(slots=True)
class _Bucket:
    end_ms: int
    totals: dict[Segment, Row] = field(default_factory=dict)
    newest: dict[int, Mapping[Segment, Row]] = field(default_factory=dict)
    """Rows by start of their window, as they were added: a revision replaces them."""
    missing: dict[int, tuple[int, ...]] = field(default_factory=dict)
    revision: int = -1


class Coarser:
    """Adds windows up; a longer window is returned when a window behind its end comes.

    A revision of a window that was already added is added as its difference; where its longer window was returned,
    it is returned again with a higher revision and not judged. Windows and cohorts of a horizon need one each.

    Parameters
    ----------
    size_ms
        Length of the longer windows.
    zone
        Clock of the shop, for hours and days.
    keep
        How many returned windows are kept for revisions.

    Examples
    --------
    >>> minute = lambda n: Row("window", n * 60_000, (n + 1) * 60_000, (), None, {"sessions": n + 1}, "f")
    >>> five = Coarser(300_000)
    >>> done = [five.push(MergedWindow(row.start_ms, row.end_ms, {(): row})) for row in map(minute, range(6))]
    >>> [(window.end_ms, dict(window.rows[()].counters)) for window in done[-1]]
    [(300000, {'sessions': 15})]
    """

    def __init__(self, size_ms: int, zone: ZoneInfo | None = None, keep: int = 2) -> None:
        self.size_ms, self.zone, self.keep = size_ms, zone, keep
        self._buckets: dict[int, _Bucket] = {}
        self._judged_ms: int | None = None
        self._lane: tuple[RowKind, int | None] = ("window", None)

    def push(self, window: MergedWindow) -> list[MergedWindow]:
        """Add a window; the longer windows that are complete now, or have changed."""
        start_ms, end_ms = bucket(window.start_ms, self.size_ms, self.zone)
        self._lane = (window.kind, window.horizon_ms)
        if self._judged_ms is not None and end_ms <= self._judged_ms and start_ms not in self._buckets:
            return []
        told = self._buckets.setdefault(start_ms, _Bucket(end_ms))
        _add(told, window)
        done = [self._window(start_ms, judge=False)] if told.revision >= 0 else []
        for start in sorted(self._buckets):
            each = self._buckets[start]
            if each.revision < 0 and each.end_ms <= window.start_ms:
                done.append(self._window(start, judge=True))
                self._judged_ms = max(self._judged_ms or each.end_ms, each.end_ms)
        for start in sorted(start for start, each in self._buckets.items() if each.revision >= 0)[: -self.keep]:
            del self._buckets[start]
        return done

    def flush(self) -> list[MergedWindow]:
        """What is left, complete or not."""
        left = [self._window(start, judge=False) for start, each in sorted(self._buckets.items()) if each.revision < 0]
        self._buckets.clear()
        return left

    def _window(self, start_ms: int, *, judge: bool) -> MergedWindow:
        told = self._buckets[start_ms]
        told.revision += 1
        rows = {
            segment: row._replace(start_ms=start_ms, end_ms=told.end_ms, revision=told.revision)
            for segment, row in sorted(told.totals.items(), key=lambda item: (len(item[0]), item[0]))
        }
        missing = tuple(sorted({partition for each in told.missing.values() for partition in each}))
        return MergedWindow(start_ms, told.end_ms, rows, missing, told.revision, judge, *self._lane)


def _add(told: _Bucket, window: MergedWindow) -> None:
    before = told.newest.get(window.start_ms, {})
    for segment, row in window.rows.items():
        old = before.get(segment)
        added = row if old is None else row._replace(counters=_difference(old.counters, row.counters))
        total = told.totals.get(segment)
        told.totals[segment] = combine([added] if total is None else [total, added])
    told.newest[window.start_ms] = window.rows
    told.missing[window.start_ms] = window.missing


def _difference(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    changed: dict[str, int] = defaultdict(int, after)
    for name, count in before.items():
        changed[name] -= count
    return dict(changed)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
