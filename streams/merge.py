"""Rows of partitions become one row a window and segment: published once, published again when more arrives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import datasketches

from streams.engine.cube import Cube, add_cubes
from streams.engine.rows import WHOLE, Row, RowKind, Segment
from streams.engine.spec import DAY_MS, HOUR_MS, EngineSpec

__all__ = ["MergedWindow", "Merger", "combine", "keep_ms"]

_NEVER = -(1 << 62)
_ALWAYS = 1 << 62
# A partition that says nothing for a day no longer holds back what is forgotten.
_PATIENCE_MS = DAY_MS


class MergedWindow(NamedTuple):
    """One window (or cohort of a window) of all partitions.

    ``missing`` are the partitions that had not told their rows. ``judge`` is true the first time only, and never
    for a window older than one that was judged; ``kind`` and ``horizon_ms`` tell windows from cohorts. ``cube`` is
    that of the partitions which are not missing, where they have told one, and only in what is judged.
    """

    start_ms: int
    end_ms: int
    rows: dict[Segment, Row]
    missing: tuple[int, ...] = ()
    revision: int = 0
    judge: bool = True
    kind: RowKind = "window"
    horizon_ms: int | None = None
    cube: Cube | None = None


def combine(rows: Iterable[Row]) -> Row:
    """One merged row: counters added, visitor sketches united; the same for any order of ``rows``.

    The rows are of one segment; they may be of several partitions, of several windows, and corrections.

    Raises
    ------
    ValueError
        Where there is no row.

    Examples
    --------
    >>> a = Row("window", 0, 60_000, (), 0, {"sessions": 2}, "f")
    >>> b = Row("correction", 0, 60_000, (), 1, {"sessions": 1, "late": 1}, "f", correction=1)
    >>> dict(combine([a, b]).counters)
    {'sessions': 3, 'late': 1}
    """
    found = list(rows)
    if not found:
        raise ValueError("nothing to combine")
    counters: dict[str, int] = {}
    for row in found:
        for name, count in row.counters.items():
            counters[name] = counters.get(name, 0) + count
    sketch, visitors = _unite([row.sketch for row in found if row.sketch is not None])
    first = found[0]
    specs = {row.spec for row in found}
    return Row(
        kind="window" if first.horizon_ms is None else "cohort",
        start_ms=min(row.start_ms for row in found),
        end_ms=max(row.end_ms for row in found),
        segment=first.segment,
        partition=None,
        counters={name: count for name, count in counters.items() if count},
        # Two fingerprints in one window: the configuration was changed while it was open.
        spec=first.spec if len(specs) == 1 else "+".join(sorted(specs)),
        horizon_ms=first.horizon_ms,
        sketch=sketch,
        visitors=visitors,
    )


def keep_ms(spec: EngineSpec) -> int:
    """How long behind the newest window a row may still change: lateness, the longest horizon, grace, and an hour."""
    horizon = max(spec.cohort_horizons_ms, default=0)
    return spec.max_lateness_ms + horizon + 2 * spec.grace_ms + 2 * spec.window_ms + HOUR_MS


def _unite(sketches: Sequence[bytes]) -> tuple[bytes | None, float | None]:
    if not sketches:
        return None, None
    # Few visitors are kept as a list in order of arrival: sorted, so that the bytes do not depend on it.
    parts = [datasketches.hll_sketch.deserialize(data) for data in sorted(sketches)]
    union = datasketches.hll_union(max(part.lg_config_k for part in parts))
    for part in parts:
        union.update(part)
    return union.get_result(parts[0].tgt_type).serialize_compact(), round(union.get_estimate(), 1)


Lane = tuple[RowKind, int | None]
"""Windows, or the cohorts of one horizon: each is published in its own order."""


@dataclass(slots=True)
class _Slot:
    """What is known of one window."""

    start_ms: int
    end_ms: int
    lane: Lane
    first_ms: int
    parts: dict[Segment, dict[tuple[int, int], Row]] = field(default_factory=lambda: defaultdict(dict))
    """By segment, then by partition and number of correction (0: the row itself)."""
    told: set[int] = field(default_factory=set)
    """Partitions whose row of the whole has come, which is the last of theirs."""
    merged: dict[Segment, Row] = field(default_factory=dict)
    stale: set[Segment] = field(default_factory=set)
    revision: int = -1
    begun: bool = False
    """Whether a row that is no correction has come."""
    missing: tuple[int, ...] = ()
    """Partitions that had told nothing when it was published last."""


class Merger:
    """Waits for the rows of all partitions, then publishes; the same rows in any order give the same windows.

    Parameters
    ----------
    partitions
        Those that are waited for; one that appears later is waited for from then on.
    merge_wait_ms
        How long a window waits after its first row; None: until all have told it (a replay has no hurry).
    keep_ms
        How far behind the newest window rows are kept, to be published again when they change.
    keep_settled
        Whether windows that left are kept for ``settled``.

    Notes
    -----
    The rows of a partition come in order of time, so a partition that has told a later window has nothing left for
    an earlier one. ``now_ms`` is the append time of the record that brought the row: reading the topic again gives
    the same windows.

    Examples
    --------
    >>> merger = Merger([0, 1])
    >>> merger.push(Row("window", 0, 60_000, (), 0, {"sessions": 2}, "f"), now_ms=90_000)
    >>> merger.ready(99_999)
    []
    >>> [(window.missing, dict(window.rows[()].counters)) for window in merger.ready(100_000)]
    [((1,), {'sessions': 2})]
    >>> merger.push(Row("window", 0, 60_000, (), 1, {"sessions": 3}, "f"), now_ms=101_000)
    >>> [(w.missing, dict(w.rows[()].counters), w.revision, w.judge) for w in merger.ready(101_000)]
    [((), {'sessions': 5}, 1, False)]
    """

    def __init__(
        self,
        partitions: Sequence[int],
        merge_wait_ms: int | None = 10_000,
        *,
        keep_ms: int = 3 * HOUR_MS,
        keep_settled: bool = False,
    ) -> None:
        self.merge_wait_ms, self.keep_ms = merge_wait_ms, keep_ms
        self.forgotten = 0
        """Rows that came for a window which had left: not in any published row."""
        self._frontiers: dict[int, int] = dict.fromkeys(sorted(partitions), _NEVER)
        self._cohort_frontiers: dict[tuple[int, Lane], int] = {}
        self._slots: dict[tuple[Lane, int], _Slot] = {}
        self._waiting: dict[Lane, set[int]] = defaultdict(set)
        self._changed: set[tuple[Lane, int]] = set()
        self._incomplete: set[tuple[Lane, int]] = set()
        """Published with partitions missing."""
        self._advanced = False
        self._judged: dict[Lane, int] = {}
        self._left_ms = _NEVER
        self._settled: list[MergedWindow] | None = [] if keep_settled else None
        self._cubes: dict[int, dict[int, Cube]] = defaultdict(dict)
        """By end of the window and partition, until the window is judged."""

    @property
    def partitions(self) -> tuple[int, ...]:
        """Those that are waited for."""
        return tuple(self._frontiers)

    def push(self, row: Row, now_ms: int) -> None:
        """Take a row of a partition. A merged row (no partition) is passed over, a repeated one changes nothing."""
        if row.partition is None:
            return
        if row.partition not in self._frontiers:
            self._frontiers = dict(sorted({**self._frontiers, row.partition: _NEVER}.items()))
        lane: Lane = ("window" if row.horizon_ms is None else "cohort", row.horizon_ms)
        if row.end_ms + self.keep_ms <= self._left_ms:
            self.forgotten += 1
        else:
            self._place(row, row.partition, lane, now_ms)
        if row.segment == WHOLE and row.kind != "correction":
            self._advance(row.partition, lane, row.end_ms)

    def push_cube(self, cube: Cube) -> None:
        """Take the cube of a partition's window, which comes before the row of its whole; nothing waits for it."""
        if cube.partition is not None and cube.end_ms > self._judged.get(("window", None), _NEVER):
            self._cubes[cube.end_ms][cube.partition] = cube

    def close(self, partition: int) -> None:
        """Wait for this partition no longer: it has told everything."""
        self._frontiers[partition] = _ALWAYS

    def ready(self, now_ms: int) -> list[MergedWindow]:
        """Windows to publish now, in the order in which they could be; then those that changed after publication.

        What waited for time comes by when its wait was over, so asking seldom gives the order of asking all the time.
        """
        lanes = sorted(self._waiting, key=_lane_order)
        moments = [*self._waited(now_ms), now_ms]
        published = [window for moment in moments for lane in lanes for window in self._due(lane, moment)]
        if self._advanced:
            self._complete()
        for key in sorted(self._changed, key=lambda key: (key[1], _lane_order(key[0]))):
            published.append(self._publish(self._slots[key], judge=False))
        self._changed.clear()
        self._leave()
        return published

    def published(self, row: Row) -> Row | None:
        """What was published last of the window and segment of a merged row; None where nothing is kept of it."""
        slot = self._slots.get((("window" if row.horizon_ms is None else "cohort", row.horizon_ms), row.end_ms))
        if slot is None or slot.revision < 0 or row.segment not in slot.merged:
            return None
        return slot.merged[row.segment]._replace(revision=slot.revision, missing_partitions=slot.missing)

    def settled(self) -> list[MergedWindow]:
        """Windows that can no longer change and have not been returned before, in order of start, windows first."""
        told, self._settled = self._settled or [], [] if self._settled is not None else None
        return told

    def _waited(self, now_ms: int) -> list[int]:
        """When the waits were over that are over by now."""
        wait = self.merge_wait_ms
        if wait is None:
            return []
        firsts = {self._slots[lane, end_ms].first_ms for lane, ends in self._waiting.items() for end_ms in ends}
        return sorted(first_ms + wait for first_ms in firsts if first_ms + wait <= now_ms)

    def _place(self, row: Row, partition: int, lane: Lane, now_ms: int) -> None:
        key = (lane, row.end_ms)
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = _Slot(row.start_ms, row.end_ms, lane, now_ms)
            self._waiting[lane].add(row.end_ms)
        if row.kind != "correction" and not slot.begun:
            # Until now a correction at most was known: the wait for the other partitions begins with this row.
            slot.begun, slot.first_ms = True, now_ms
            self._waiting[lane].add(row.end_ms)
        place = (partition, row.correction)
        if slot.parts[row.segment].get(place) != row:
            slot.parts[row.segment][place] = row
            if row.correction or partition in slot.told:
                slot.stale.add(row.segment)
        if row.segment == WHOLE and not row.correction and partition not in slot.told:
            slot.told.add(partition)
            slot.stale.update(segment for segment, parts in slot.parts.items() if (partition, 0) in parts)
        if slot.stale and row.end_ms not in self._waiting[lane]:
            self._changed.add(key)

    def _complete(self) -> None:
        """Find windows that miss nobody any more: who has nothing to tell of one shows it by telling later ones."""
        self._advanced = False
        for key in list(self._incomplete):
            if all(self._has_told(each, self._slots[key]) for each in self._frontiers):
                self._incomplete.discard(key)
                self._changed.add(key)

    def _advance(self, partition: int, lane: Lane, end_ms: int) -> None:
        self._advanced = True
        if lane[0] == "window":
            self._frontiers[partition] = max(self._frontiers[partition], end_ms)
        else:
            self._cohort_frontiers[partition, lane] = max(self._cohort_frontiers.get((partition, lane), _NEVER), end_ms)

    def _has_told(self, partition: int, slot: _Slot) -> bool:
        frontier = self._frontiers[partition]
        if partition in slot.told or slot.lane[1] is None:
            return partition in slot.told or frontier >= slot.end_ms
        # Only cohorts with sessions have rows: a partition without is known by what it told of later times.
        later = self._cohort_frontiers.get((partition, slot.lane), _NEVER) >= slot.end_ms
        return later or frontier > slot.end_ms + slot.lane[1]

    def _due(self, lane: Lane, now_ms: int) -> list[MergedWindow]:
        due = []
        for end_ms in sorted(self._waiting[lane]):
            slot = self._slots[lane, end_ms]
            waited = self.merge_wait_ms is not None and now_ms - slot.first_ms >= self.merge_wait_ms
            if not waited and not all(self._has_told(each, slot) for each in self._frontiers):
                if slot.begun:
                    break
                continue
            self._waiting[lane].discard(end_ms)
            judge = slot.begun and end_ms > self._judged.get(lane, _NEVER)
            if judge:
                self._judged[lane] = end_ms
            window = self._publish(slot, judge=judge)
            if lane[0] == "window":
                window = window._replace(cube=self._cube(slot) if judge else None)
            due.append(window)
        return due

    def _cube(self, slot: _Slot) -> Cube | None:
        """The cubes of a window that is judged now, added; those of windows before it are of no use any more."""
        cube = add_cubes(each for n, each in self._cubes.get(slot.end_ms, {}).items() if n in slot.told)
        for end_ms in [end_ms for end_ms in self._cubes if end_ms <= slot.end_ms]:
            del self._cubes[end_ms]
        return cube

    def _publish(self, slot: _Slot, *, judge: bool) -> MergedWindow:
        slot.revision += 1
        for segment in slot.stale:
            parts = slot.parts[segment].items()
            # A partition that is missing is missing in every segment, also where some of its rows have come.
            slot.merged[segment] = combine(row for (each, n), row in parts if n or each in slot.told)
        slot.stale.clear()
        return self._window(slot, judge=judge)

    def _window(self, slot: _Slot, *, judge: bool) -> MergedWindow:
        missing = tuple(each for each in self._frontiers if not self._has_told(each, slot))
        slot.missing = missing
        (self._incomplete.add if missing else self._incomplete.discard)((slot.lane, slot.end_ms))
        rows = {
            segment: slot.merged[segment]._replace(revision=slot.revision, missing_partitions=missing)
            for segment in sorted(slot.merged, key=lambda segment: (len(segment), segment))
        }
        return MergedWindow(slot.start_ms, slot.end_ms, rows, missing, slot.revision, judge, *slot.lane)

    def _leave(self) -> None:
        """Let go of windows that nothing can change any more."""
        running = [frontier for frontier in self._frontiers.values() if frontier != _ALWAYS]
        floor = min(running, default=_ALWAYS)
        if running and self.merge_wait_ms is not None:
            floor = max(floor, max(running) - _PATIENCE_MS)
        if floor <= self._left_ms:
            return
        self._left_ms = floor
        leaving = [slot for slot in self._slots.values() if slot.end_ms + self.keep_ms <= floor and slot.revision >= 0]
        for slot in sorted(leaving, key=lambda slot: (slot.start_ms, _lane_order(slot.lane))):
            del self._slots[slot.lane, slot.end_ms]
            if self._settled is not None:
                self._settled.append(self._window(slot, judge=False))
            self._incomplete.discard((slot.lane, slot.end_ms))


def _lane_order(lane: Lane) -> tuple[bool, int]:
    return (lane[0] != "window", lane[1] or 0)
