"""The judge: reads the KPI topic from its beginning, merges, judges, and publishes what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from detectors.base import Incident
from streams.anomalies import encode_incident
from streams.engine.cube import Cube, decode_record
from streams.engine.rows import WHOLE, encode_row, row_key
from streams.errors import InputError
from streams.kpis import counters_of
from streams.live.logs import get_logger
from streams.live.outbox import Outbox
from streams.live.settings import LiveSettings
from streams.merge import MergedWindow, Merger, keep_ms
from streams.monitor import Judgement, Monitor
from streams.telemetry.view import View

__all__ = ["JUDGE", "Watch"]

JUDGE = -1
"""Owner, in the outbox, of what the judge writes."""

CLOCK_MARGIN_MS = 1_000
"""A window is given up for a missing partition this much later by the clock than by the records, whose times come
from the clocks of other workers: who reads the topic again then decides as it was decided."""

logger = get_logger("watch")


class Watch:
    """Merges and judges on the one worker that owns the KPI topic; a new owner rebuilds all by reading.

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
        self._merger: Merger | None = None
        self._monitor = Monitor(settings.monitor)
        self._heard_ms = 0
        self._live_from_ms = 0
        self._live = False
        self._told: dict[str, Incident] = {}
        self.position = 0
        """Offset of the next record to be read."""

    @property
    def owned(self) -> bool:
        """Whether this worker is the judge."""
        return self._merger is not None

    def open(self, start: int, partitions: int) -> None:
        """Become the judge: with nothing in mind, reading from this offset.

        Parameters
        ----------
        start
            First kept offset of the KPI topic.
        partitions
            Number of partitions whose rows are waited for.
        """
        self.position = start
        self._merger = Merger(range(partitions), self._settings.merge_wait_ms, keep_ms=keep_ms(self._settings.engine))
        self._monitor = Monitor(self._settings.monitor)
        self._heard_ms, self._live, self._told = 0, False, {}
        self._live_from_ms = self._now_ms() - self._settings.republish_ms
        self._view.judge_rebuilding()

    def close(self) -> None:
        """Be the judge no more."""
        if self._merger is not None:
            self._view.drop_judge()
        self._merger = None

    def take(self, records: Sequence[Any]) -> None:
        """Take records of the KPI topic, in order.

        Parameters
        ----------
        records
            aiokafka's records; those that are no rows are counted and passed over.
        """
        merger = self._merger
        if merger is None:
            return
        for record in records:
            if record.offset < self.position:
                continue
            self.position = record.offset + 1
            if record.value is None:
                continue
            try:
                row = decode_record(record.value)
            except InputError as error:
                logger.warning("no_row at=%s[0]@%d: %s", self._settings.kpi_topic, record.offset, error)
                self._view.rejected("other")
                continue
            if isinstance(row, Cube):
                merger.push_cube(row)
                continue
            if row.partition is None:
                continue
            if record.timestamp > self._heard_ms:
                # What was due by then left before this row came, in the first reading as in every other.
                self._heard_ms = record.timestamp
                self._judge(merger.ready(self._heard_ms))
            merger.push(row, self._heard_ms)
            if row.segment == WHOLE:
                self._judge(merger.ready(self._heard_ms))

    def tick(self, caught_up: bool) -> None:
        """Let time pass: a window is not waited for longer than ``merge_wait``, also when no more rows come.

        Parameters
        ----------
        caught_up
            Whether everything in the topic has been taken.
        """
        if self._merger is None or not caught_up:
            return
        if not self._live:
            self._live = True
            self._view.judge_live()
            for incident in self._told.values():
                self._outbox.put(JUDGE, self._settings.anomalies_topic, *encode_incident(incident), 0)
            logger.info("judging offset=%d incidents=%d", self.position, len(self._told))
        now_ms = self._now_ms() - CLOCK_MARGIN_MS
        if now_ms > self._heard_ms:
            self._heard_ms = now_ms
            self._judge(self._merger.ready(now_ms))

    def _judge(self, windows: Sequence[MergedWindow]) -> None:
        for window in windows:
            judgement = self._monitor.observe(window)
            self._view.window(window)
            self._view.judged(judgement)
            if self._live or self._heard_ms >= self._live_from_ms:
                self._publish(window, judgement)
            else:
                # Told once, in its last state, when the past has been read.
                self._told.update({incident.id: incident for incident in judgement.incidents})

    def _publish(self, window: MergedWindow, judgement: Judgement) -> None:
        for row in window.rows.values():
            self._outbox.put(JUDGE, self._settings.kpi_topic, row_key(row), encode_row(row), 0)
        for key, value in judgement.records():
            self._outbox.put(JUDGE, self._settings.anomalies_topic, key, value, 0)
        for incident in judgement.incidents:
            self._told.pop(incident.id, None)
