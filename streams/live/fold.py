"""The judge's state: a function of the records of the KPI topic and of the calendar, whoever reads them and when."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from detectors.base import Incident, SegmentKey, Verdict
from detectors.seasonal import Note
from streams.calendar import Calendar, Label
from streams.engine.cube import Cube, decode_record
from streams.engine.rows import WHOLE, Row
from streams.engine.spec import DAY_MS, HOUR_MS
from streams.merge import MergedWindow, Merger
from streams.monitor import Judgement, Monitor, MonitorSpec

__all__ = ["Bookmarks", "Fold", "JudgeState", "Left", "Told"]

APART_MS = 6 * HOUR_MS
RECENT_MS = 48 * HOUR_MS


class Told(NamedTuple):
    """A merged window and what was found in it."""

    window: MergedWindow
    judgement: Judgement


class Fold:
    """Takes the records of the KPI topic in order; says nothing to anybody.

    Parameters
    ----------
    spec
        What is judged.
    merger
        Adds the partitions up.
    start
        Offset of the first record.
    calendar
        What is announced, and what was said of incidents.
    """

    def __init__(self, spec: MonitorSpec, merger: Merger, start: int, calendar: Calendar) -> None:
        self.position = start
        """Offset of the next record to be taken."""
        self.heard_ms = 0
        self.told_from_ms = 0
        """Before this moment verdicts are not put into words."""
        self.incidents: dict[str, Incident] = {}
        """The last state of every incident."""
        self.verdicts: dict[tuple[str, SegmentKey], Verdict] = {}
        """The last verdict on every series."""
        self.merged: Row | None = None
        """The record that was taken last, where it is a merged row: some judge has written it."""
        self.windows: dict[tuple[str, int | None], MergedWindow] = {}
        """The latest window, and the latest cohorts of each horizon."""
        self._merger = merger
        self._monitor = Monitor(spec)
        self.announce(calendar)

    @property
    def judged_ms(self) -> int:
        """End of the last window that was judged; -1 before any."""
        return self._monitor.last_end_ms

    @property
    def latest(self) -> Judgement:
        """What a reader has to know who has heard nothing so far."""
        return Judgement(tuple(self.verdicts.values()), tuple(self.incidents.values()))

    def published(self, row: Row) -> Row | None:
        """What was found last of the window and segment of a merged row; None where nothing is kept of it."""
        return self._merger.published(row)

    def worded(self, told: list[Told]) -> list[Told]:
        """What was just found, where verdicts of that time are put into words: as a new judge would publish it."""
        return told if self.heard_ms >= self.told_from_ms else []

    def announce(self, calendar: Calendar) -> None:
        """Go on with this calendar; what differs must lie behind the last window judged."""
        self._monitor.announce(calendar.notes, calendar.labels)

    def take(self, record: Any) -> list[Told]:
        """Take a record, whose place is behind those taken before; an older one changes nothing.

        Raises
        ------
        InputError
            Where the record is no row; it is passed over then.
        """
        self.merged = None
        if record.offset < self.position:
            return []
        self.position = record.offset + 1
        if record.value is None:
            return []
        row = decode_record(record.value)
        if row.partition is None:
            self.merged = row if isinstance(row, Row) else None
            return []
        if isinstance(row, Cube):
            self._merger.push_cube(row)
            return []
        # What was due by then left before this row came, in the first reading as in every other.
        told = self.pass_time(record.timestamp)
        self._merger.push(row, self.heard_ms)
        if row.segment == WHOLE:
            told += self._judged()
        return told

    def pass_time(self, now_ms: int) -> list[Told]:
        """Let time pass: windows that have waited long enough are judged."""
        if now_ms <= self.heard_ms:
            return []
        self.heard_ms = now_ms
        return self._judged()

    def _judged(self) -> list[Told]:
        told = []
        for window in self._merger.ready(self.heard_ms):
            judgement = self._monitor.observe(window, told=self.heard_ms >= self.told_from_ms)
            self.incidents.update({one.id: one for one in judgement.incidents})
            self.verdicts.update({(one.kpi, one.segment): one for one in judgement.verdicts})
            if window.judge:
                self.windows[window.kind, window.horizon_ms] = window
            told.append(Told(window, judgement))
        return told


class JudgeState(NamedTuple):
    """A fold, and what was announced and said when it was made."""

    fold: Fold
    notes: tuple[Note, ...]
    labels: tuple[Label, ...]


class Left(NamedTuple):
    """What a judge knew when it lost the topic; ``kept`` is what it had found out of the past and not published yet."""

    state: JudgeState
    bookmarks: Bookmarks
    partitions: int
    told: dict[str, Incident]
    kept: dict[tuple[str, bytes], bytes]


class Bookmarks:
    """Past states of a fold, packed, so that a late word on an incident needs no reading from the beginning.

    One for every quarter of the last two days, and one a day before that.

    Parameters
    ----------
    now_ms
        The clock: of days long past not every quarter is taken to begin with.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._kept: dict[int, bytes] = {}
        """By the end of the last window that was judged."""

    def consider(self, fold: Fold) -> None:
        """Keep the state of a fold where the last one kept is old enough."""
        now_ms = fold.judged_ms
        apart_ms = APART_MS if self._now_ms() - now_ms < RECENT_MS else DAY_MS
        if self._kept and now_ms - max(self._kept) < apart_ms:
            return
        self._kept[now_ms] = zlib.compress(pickle.dumps(fold, pickle.HIGHEST_PROTOCOL), 1)
        days: dict[int, int] = {}
        for end_ms in sorted(self._kept):
            if end_ms <= now_ms - RECENT_MS:
                days.setdefault(end_ms // DAY_MS, end_ms)
        kept = {*days.values(), *(end_ms for end_ms in self._kept if end_ms > now_ms - RECENT_MS)}
        self._kept = {end_ms: packed for end_ms, packed in self._kept.items() if end_ms in kept}

    def before(self, moment_ms: int) -> Fold | None:
        """A fold as it was when it had judged nothing from the moment on; None where none is kept."""
        found = max((end_ms for end_ms in self._kept if end_ms < moment_ms), default=None)
        return None if found is None else self._unpacked(found)

    def forget(self, moment_ms: int) -> None:
        """Leave the states that have judged windows from the moment on: they are not true any more."""
        self._kept = {end_ms: packed for end_ms, packed in self._kept.items() if end_ms < moment_ms}

    @property
    def size_bytes(self) -> int:
        """Memory that they take."""
        return sum(map(len, self._kept.values()))

    def _unpacked(self, end_ms: int) -> Fold:
        fold: Fold = pickle.loads(zlib.decompress(self._kept[end_ms]))  # noqa: S301 - written by this very process
        return fold
