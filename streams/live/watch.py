"""The judge: reads the KPI topic from its beginning, merges, judges, and publishes what it finds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from detectors.base import Incident
from streams.anomalies import encode_incident
from streams.calendar import Calendar, LabelName
from streams.engine.rows import Row, encode_row, row_key
from streams.engine.spec import DAY_MS
from streams.errors import BrokerError, InputError
from streams.kafka import read_topic
from streams.kpis import counters_of
from streams.live.echoes import Echoes
from streams.live.fold import Bookmarks, Fold, JudgeState, Left, Told
from streams.live.logs import get_logger
from streams.live.outbox import Outbox
from streams.live.settings import LiveSettings
from streams.merge import Merger, keep_ms
from streams.monitor import Judgement
from streams.monitor_labels import labelled
from streams.telemetry.view import View

__all__ = ["JUDGE", "Watch"]

JUDGE = -1
"""Owner, in the outbox, of what the judge writes."""

CLOCK_MARGIN_MS = 1_000
"""A window is given up for a missing partition this much later by the clock than by the records, whose times come
from the clocks of other workers: who reads the topic again then decides as it was decided."""

RETRY_SECONDS = 1.0
SLICE_SECONDS = 0.02
"""Judging anew goes on for so long before others have the event loop for as long."""

logger = get_logger("watch")


class Watch:
    """Merges and judges on the one worker that owns the KPI topic; a new owner rebuilds all by reading.

    What operators announce or say of the past is applied by judging anew from before it, beside the judging of what
    comes in; so the judge is always in the state that reading everything again would give.

    Parameters
    ----------
    settings
        Of the worker.
    outbox
        Takes merged rows, verdicts and incidents.
    view
        Is told of windows and judgements.
    now_ms
        The clock.
    """

    def __init__(self, settings: LiveSettings, outbox: Outbox, view: View, *, now_ms: Callable[[], int]) -> None:
        self._settings, self._outbox, self._view, self._now_ms = settings, outbox, view, now_ms
        judged = settings.monitor
        counted = partial(counters_of, paid_channels=judged.paid_channels)
        view.kpis(judged.kpis, counted, dict(judged.dimension_kinds))
        self._fold: Fold | None = None
        self._left: Left | None = None
        self._calendar = Calendar(judged.notes)
        self._bookmarks = Bookmarks(self._now_ms)
        self._start = self._partitions = 0
        self._live_from_ms = 0
        self._live = False
        self._told: dict[str, Incident] = {}
        self._kept: dict[tuple[str, bytes], bytes] = {}
        """What is to be published once the past has been read: the last of each topic and key."""
        self._open: Mapping[str, Incident] = {}
        self._echoes = Echoes()
        self._anew_from_ms: int | None = None
        self._moving = False
        """Whether something is judged anew at this moment: bookmarks are those of the new state then."""
        self._wake = asyncio.Event()

    @property
    def owned(self) -> bool:
        """Whether this worker is the judge."""
        return self._fold is not None

    @property
    def position(self) -> int:
        """Offset of the next record to be read."""
        return 0 if self._fold is None else self._fold.position

    @property
    def heard_ms(self) -> int:
        """Moment up to which time has passed for the judge."""
        return 0 if self._fold is None else self._fold.heard_ms

    @property
    def left_at(self) -> int:
        """Offset up to which this worker had judged when it was the judge last; 0 where nothing is kept of that."""
        return 0 if self._left is None else self._left.state.fold.position

    def state(self) -> JudgeState | None:
        """What the judge knows and has published; None where there is none here, it reads the past or judges anew."""
        return self._known() if self._live else None

    def _known(self) -> JudgeState | None:
        if self._fold is None or self._anew_from_ms is not None or self._moving:
            return None
        return JudgeState(self._fold, self._calendar.notes, self._calendar.labels)

    def recall(self, state: JudgeState, partitions: int) -> None:
        """Know what another judge, or this one before, had found out of so many partitions; before ``open``."""
        self._left = Left(state, Bookmarks(self._now_ms), partitions, {}, {})

    def open(
        self,
        start: int,
        partitions: int,
        calendar: Calendar | None = None,
        standing: Iterable[Incident] = (),
        end: int = 0,
    ) -> None:
        """Become the judge: with nothing in mind, reading from this offset, or from where this worker left off.

        What it had judged is a function of what is on the topic up to there, whoever was the judge in between.

        Parameters
        ----------
        start
            First offset of the KPI topic that matters.
        partitions
            Number of partitions whose rows are waited for.
        calendar
            All that was announced or said before; None: what the configuration says.
        standing
            Incidents that the judge before this one had told and not ended.
        end
            Offset behind the last record of the KPI topic: where this worker left off behind it, the topic is another.
        """
        self._start, self._partitions = start, partitions
        self._calendar = calendar or Calendar(self._settings.monitor.notes)
        self._live, self._told, self._kept, self._anew_from_ms = False, {}, {}, None
        self._echoes = Echoes()
        left, self._left = self._left, None
        if left is not None and self._goes_on_from(left, end):
            self._fold, self._bookmarks = left.state.fold, left.bookmarks
            self._told, self._kept = left.told, left.kept
        else:
            self._bookmarks, self._fold = Bookmarks(self._now_ms), self._fresh()
        self._open = {one.id: one for one in standing}
        self._fold.told_from_ms = self._live_from_ms = self._now_ms() - self._settings.republish_ms
        self._view.judge_rebuilding()

    def close(self) -> None:
        """Be the judge no more."""
        if self._fold is not None:
            self._view.drop_judge()
            known, more = self._known(), (self._bookmarks, self._partitions, self._told, self._kept)
            self._left = None if known is None else Left(known, *more)
        self._fold, self._bookmarks, self._live = None, Bookmarks(self._now_ms), False

    def take(self, records: Sequence[Any]) -> None:
        """Take records of the KPI topic, in order.

        Parameters
        ----------
        records
            aiokafka's records; those that are no rows are counted and passed over.
        """
        fold = self._fold
        if fold is None:
            return
        for record in records:
            try:
                told = fold.take(record)
            except InputError as error:
                logger.warning("no_row at=%s[0]@%d: %s", self._settings.kpi_topic, record.offset, error)
                self._view.rejected("other")
                continue
            if self._live and fold.merged is not None:
                self._echoes.hear(fold.merged, self._now_ms())
            self._tell(fold, told)

    def tick(self, caught_up: bool, known_ms: int | None = None) -> None:
        """Let time pass: a window is not waited for longer than ``merge_wait``, also when no more rows come.

        Parameters
        ----------
        caught_up
            Whether everything in the topic has been taken.
        known_ms
            Moment up to which that is known: time does not pass beyond it. None: up to now.
        """
        fold = self._fold
        if fold is None or not caught_up:
            return
        if not self._live:
            self._go_live(fold)
        now_ms = self._now_ms() if known_ms is None else min(self._now_ms(), known_ms)
        self._tell(fold, fold.pass_time(now_ms - CLOCK_MARGIN_MS))
        rows, incidents = self._echoes.correction(fold, self._now_ms())
        self._publish_rows(rows)
        self._put(incidents)

    def hear(self, records: Iterable[Any]) -> None:
        """Take records of the calendar topic, in order; what concerns the past is judged anew soon."""
        fold = self._fold
        if fold is None:
            return
        changed = False
        for record in records:
            if record.key is None:
                continue
            key = record.key.decode(errors="replace")
            forgotten = record.value is None and key in self._forgettable(fold)
            try:
                since_ms = self._calendar.apply(record.key, record.value)
            except InputError as error:
                logger.warning("no_entry at=%s[0]@%d: %s", self._settings.calendar_topic, record.offset, error)
                continue
            if since_ms is None or forgotten:
                continue
            logger.info("calendar entry=%s since_ms=%d", key, since_ms)
            changed = True
            if since_ms < fold.judged_ms:
                self._anew(since_ms)
        if changed and self._anew_from_ms is None:
            fold.announce(self._calendar)
        if changed:
            self._show_calendar(fold)

    async def run(self) -> None:
        """Judge anew whenever something was said of the past."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._fold is not None and self._anew_from_ms is not None:
                fold, since_ms, self._anew_from_ms = self._fold, self._anew_from_ms, None
                self._moving = True
                try:
                    if not await self._judge_anew(fold, since_ms):
                        self._anew(since_ms)
                except BrokerError as error:
                    logger.warning("not_judged_anew since_ms=%d: %s", since_ms, error)
                    self._anew(since_ms)
                    await asyncio.sleep(RETRY_SECONDS)
                finally:
                    self._moving = False

    def _anew(self, since_ms: int) -> None:
        """What was judged from this moment on is not true any more."""
        self._anew_from_ms = since_ms if self._anew_from_ms is None else min(since_ms, self._anew_from_ms)
        self._bookmarks.forget(since_ms)
        self._wake.set()

    def _goes_on_from(self, left: Left, end: int) -> bool:
        """Whether what is left is what reading the topic now would give."""
        state, calendar = left.state, self._calendar
        told = state.notes == calendar.notes and state.labels == calendar.labels
        return told and self._start <= state.fold.position <= end and left.partitions == self._partitions

    def _fresh(self) -> Fold:
        merger = Merger(range(self._partitions), self._settings.merge_wait_ms, keep_ms=keep_ms(self._settings.engine))
        fold = Fold(self._settings.monitor, merger, self._start, self._calendar)
        fold.told_from_ms = self._now_ms() - self._settings.republish_ms
        return fold

    def _go_live(self, fold: Fold) -> None:
        self._live = True
        for window in fold.windows.values():
            self._view.window(window)
        self._view.judged_anew(fold.latest)
        self._view.judge_live()
        self._show_calendar(fold)
        kept, self._kept = self._kept, {}
        for (topic, key), value in kept.items():
            self._publish(topic, key, value)
        self._put(self._told.values())
        # What the judge before told and nothing explains any more would stand for ever.
        self._withdraw(one for one in self._open.values() if one.id not in fold.incidents)
        logger.info("judging offset=%d incidents=%d", fold.position, len(self._told))

    def _tell(self, fold: Fold, told: Iterable[Told]) -> None:
        for one in told:
            if self._live:
                self._view.window(one.window)
                self._view.judged(one.judgement)
            if self._live or fold.heard_ms >= self._live_from_ms:
                self._publish_rows(one.window.rows.values())
                self._put_judgement(one.judgement)
            else:
                # Told once, in its last state, when the past has been read.
                self._told.update({incident.id: incident for incident in one.judgement.incidents})
            if one.window.judge and self._anew_from_ms is None and not self._moving:
                self._bookmarks.consider(fold)
                self._forget(fold)

    def _put_judgement(self, judgement: Judgement) -> None:
        for key, value in judgement.records():
            self._publish(self._settings.anomalies_topic, key, value)
        for incident in judgement.incidents:
            self._told.pop(incident.id, None)

    def _publish_rows(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._publish(self._settings.kpi_topic, row_key(row), encode_row(row))

    def _publish(self, topic: str, key: bytes, value: bytes) -> None:
        """Write a record, or keep it while the past is read: who ended half-way would put old words over new ones."""
        if self._live:
            self._outbox.put(JUDGE, topic, key, value, 0)
            if topic == self._settings.kpi_topic:
                self._echoes.wrote(key)
        else:
            self._kept[topic, key] = value

    def _put(self, incidents: Iterable[Incident]) -> None:
        for incident in incidents:
            self._outbox.put(JUDGE, self._settings.anomalies_topic, *encode_incident(incident), 0)

    def _withdraw(self, incidents: Iterable[Incident]) -> None:
        """End incidents that judging anew does not find: what was said since explains them."""
        said: dict[str, LabelName] = {label.incident: label.label for label in self._calendar.labels}
        told = (labelled(one, said.get(one.id, "withdrawn")) for one in incidents)
        self._put(replace(one, state="recovered", ended_ms=one.ended_ms or one.updated_ms) for one in told)

    def _forget(self, fold: Fold) -> None:
        """Remove from the topic what is too old to matter; nothing that was judged depends on it."""
        for key in self._forgettable(fold) if self._live else ():
            self._outbox.put(JUDGE, self._settings.calendar_topic, key.encode(), None, 0)

    def _forgettable(self, fold: Fold) -> list[str]:
        """Entries that ended before anything that a new judge would read."""
        return self._calendar.ended(fold.judged_ms - self._settings.judge_history_ms - DAY_MS)

    def _show_calendar(self, fold: Fold) -> None:
        self._view.calendar(self._calendar.notes, [label.label for label in self._calendar.labels])

    # Judging anew.

    async def _judge_anew(self, old: Fold, since_ms: int) -> bool:
        """Read from before a moment up to where the judge stands, and go on from there; False where it was in vain."""
        began, fold = time.monotonic(), self._bookmarks.before(since_ms) or self._fresh()
        fold.told_from_ms = self._now_ms() - self._settings.republish_ms
        fold.announce(self._calendar)
        first, late = fold.judged_ms, []
        logger.info("judging_anew since_ms=%d from_ms=%d offset=%d", since_ms, first, fold.position)
        while fold.position < old.position:
            starts, before = {0: fold.position}, fold.position
            async for _, records in read_topic(self._settings.client_args, self._settings.kpi_topic, [0], starts):
                for record in records:
                    if record.offset >= old.position:
                        break
                    if time.monotonic() - began > SLICE_SECONDS:
                        await asyncio.sleep(SLICE_SECONDS)
                        began = time.monotonic()
                    if self._fold is not old or self._anew_from_ms is not None:
                        return self._fold is not old
                    late += fold.worded(self._quietly(fold, record))
                if records[-1].offset >= old.position - 1:
                    break
            if fold.position == before:
                break
        # From here to the end nothing is awaited: the judge stands still.
        fold.position = max(fold.position, old.position)
        fold.announce(self._calendar)
        late += fold.worded(fold.pass_time(old.heard_ms))
        self._swap(old, fold, late, first)
        return True

    def _quietly(self, fold: Fold, record: Any) -> list[Told]:
        try:
            told = fold.take(record)
        except InputError:
            return []
        if any(one.window.judge for one in told):
            self._bookmarks.consider(fold)
        return told

    def _swap(self, old: Fold, fold: Fold, late: Iterable[Told], first_ms: int) -> None:
        """Go on with another fold of the same records, and publish what it says otherwise."""
        self._fold = fold
        if self._live:
            self._view.judged_anew(fold.latest)
            self._view.count_anew()
        changed = [one for one in fold.incidents.values() if one != old.incidents.get(one.id)]
        gone = [one for one in old.incidents.values() if one.id not in fold.incidents and one.updated_ms > first_ms]
        self._withdraw(gone)
        for one in late:
            self._put_judgement(one.judgement)
        if self._live:
            self._put(changed)
        else:
            self._told = {one.id: one for one in [*self._told.values(), *changed] if one.id in fold.incidents}
        logger.info("judged_anew offset=%d changed=%d withdrawn=%d", fold.position, len(changed), len(gone))
