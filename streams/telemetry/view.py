"""The view: what the shell tells about itself, kept as plain dicts that readers on other threads may look at."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from detectors.base import Incident, Observation, Verdict
from streams.engine.rows import WHOLE, Row
from streams.telemetry.names import LASTING, RECORD_COUNTERS
from streams.telemetry.seen import (
    CountersOf,
    KpiLike,
    KpiReading,
    NoteLike,
    PartitionView,
    Seen,
    SeriesKey,
    WindowLike,
    WindowView,
    figures,
    readable,
)

__all__ = ["JudgementLike", "View"]

RECOVERED_KEPT = 20
FORGOTTEN_MS = 2 * 86_400_000
"""A series not told for this long is gone: the longest window is a day, and a value is remembered for a day."""


class JudgementLike(Protocol):
    """What the view asks of a judgement."""

    @property
    def verdicts(self) -> Sequence[Verdict]: ...
    @property
    def incidents(self) -> Sequence[Incident]: ...


class View:
    """What one worker tells; written by the shell once a batch or window, read by any thread at any time.

    Every write builds the new mapping first and then swaps it in, so a reader never waits and never sees half
    of a change. Counters are totals of this process and start at zero: a total restored from a snapshot would be
    a little lower than the last scrape, and Prometheus would add the whole of it as an increase.

    Parameters
    ----------
    worker, version
        Name of the worker and version of the program, for ``funnel_worker_info``.
    """

    def __init__(self, *, worker: str = "", version: str = "") -> None:
        self.worker, self.version = worker, version
        self._phase = "starting"
        self._cut_off = False
        self._problem: str | None = None
        self._source_partitions: int | None = None
        self._partitions: dict[int, PartitionView] = {}
        self._engine_counts: dict[int, Mapping[str, int]] = {}
        self._totals: dict[str, int] = {}
        self._troubles: dict[tuple[str, str, int], int] = {}
        self._judging = False
        self._catalogue: tuple[KpiLike, ...] = ()
        self._counters_of: CountersOf | None = None
        self._kinds: Mapping[str, str] = {}
        self._unread: dict[tuple[str, int | None, int], WindowLike] = {}
        self._units: dict[str, tuple[str, str]] = {}
        self._window: WindowView | None = None
        self._readings: dict[SeriesKey, KpiReading] = {}
        self._verdicts: dict[SeriesKey, Verdict] = {}
        self._incidents: dict[str, Incident] = {}
        self._incident_kpis: dict[tuple[str, str], int] = {}
        self._states: dict[str, int] = {}
        self._recovered: tuple[Incident, ...] = ()
        self._notes: tuple[NoteLike, ...] = ()
        self._labels: tuple[str, ...] = ()

    # The worker's own state.

    def starting(self) -> None:
        """The worker joins, recovers or rebalances: ``/readyz`` says no, ``/healthz`` yes."""
        self._phase = "starting"

    def ready(self) -> None:
        """The worker processes records."""
        self._phase = "ready"

    def stopping(self) -> None:
        """The worker winds down: not ready, still healthy."""
        self._phase = "stopping"

    def health(self, problem: str | None) -> None:
        """Say what is wrong (``/healthz`` answers 503 with it), or None when nothing is."""
        self._problem = problem

    def cut_off(self, silent: bool) -> None:
        """Say whether the broker has been silent for so long that others may own what this worker still holds.

        Meanwhile nothing of partitions and of the judge is exported, and the worker is not ready; all of it comes back
        where nothing was taken away.
        """
        self._cut_off = silent

    # Records and partitions.

    def assigned(self, partitions: Collection[int], source_partitions: int) -> None:
        """Take the outcome of a rebalance: partitions not owned any more vanish from the metrics.

        So does the trouble that lasts, which their new owner sees as well; what has happened to them stays.
        """
        for partition in set(self._partitions) - set(partitions):
            self.drop_partition(partition)
        missing = {one: PartitionView({}, None, None, None, 0) for one in partitions if one not in self._partitions}
        self._partitions = {**self._partitions, **missing}
        self._source_partitions = source_partitions
        self._troubles = {
            place: moment_ms
            for place, moment_ms in self._troubles.items()
            if place[0] not in LASTING or place[2] in partitions
        }

    def partition(
        self,
        partition: int,
        *,
        counts: Mapping[str, int],
        watermark_ms: int | None,
        lag_records: Mapping[str, int],
        open_sessions: int = 0,
    ) -> None:
        """Take where a partition stands after a batch.

        Parameters
        ----------
        partition
            Number of the source partition.
        counts
            ``Engine.counts``: totals since this engine object was made. Only their growth is added, and a total
            that is lower than before is taken as that of a new engine.
        watermark_ms
            Event time up to which the partition is complete, None before the first record.
        lag_records
            End offset minus next offset, by source topic.
        open_sessions
            Sessions open in the engine.
        """
        before = self._partitions.get(partition) or PartitionView({}, None, None, None, 0)
        told = before._replace(lag_records=dict(lag_records), watermark_ms=watermark_ms, open_sessions=open_sessions)
        self._partitions = {**self._partitions, partition: told}
        self._add_growth(partition, counts)

    def snapshot_saved(self, partition: int, *, moment_ms: int, size_bytes: int) -> None:
        """Take the moment (wall clock) and the size of a snapshot that is durable now."""
        before = self._partitions.get(partition) or PartitionView({}, None, None, None, 0)
        told = before._replace(snapshot_ms=moment_ms, snapshot_bytes=size_bytes)
        self._partitions = {**self._partitions, partition: told}

    def heard(self, partition: int, moment_ms: int) -> None:
        """Take the moment (wall clock) at which a partition last brought a record, or came to this worker."""
        before = self._partitions.get(partition) or PartitionView({}, None, None, None, 0)
        self._partitions = {**self._partitions, partition: before._replace(heard_ms=moment_ms)}

    def drop_partition(self, partition: int) -> None:
        """Stop exporting a partition that another worker owns now; its share of the totals stays."""
        self._partitions = {number: one for number, one in self._partitions.items() if number != partition}
        self._engine_counts.pop(partition, None)

    def rejected(self, reason: str, records: int = 1) -> None:
        """Count records that the shell itself refused (the engine's own are in its counts)."""
        self._add({f"rejected.{reason}": records})

    def dead_letters(self, records: int) -> None:
        """Count records sent to the dead-letter topic."""
        self._add({"dead_letters": records})

    def miskeyed(self, records: int) -> None:
        """Count records found in another partition than their key belongs to."""
        self._add({"miskeyed": records})

    def read_again(self) -> None:
        """Count a fetch that got lost inside the worker, and is read again."""
        self._add({"fetches_read_again": 1})

    def trouble(self, kind: str, topic: str, partition: int, *, moment_ms: int, lost: int = 0) -> None:
        """Take a trouble with a source, of ``names.TROUBLES``, and how many records it has cost."""
        self._troubles = {**self._troubles, (kind, topic, partition): moment_ms}
        self._add({f"trouble.{kind}": 1, "lost": lost})

    # The judge.

    def judge_rebuilding(self) -> None:
        """This worker becomes the judge and reads its past: what it learns is kept, but not exported yet."""
        self._forget_judgement()
        self._judging = False

    def judge_live(self) -> None:
        """The judge has caught up: KPI series are exported from now on."""
        self._read_windows()
        self._judging = True

    def drop_judge(self) -> None:
        """Another worker is the judge now: every KPI series and incident vanishes here."""
        self._forget_judgement()
        self._judging = False

    def kpis(
        self, kpis: Iterable[KpiLike], counters_of: CountersOf | None = None, kinds: Mapping[str, str] | None = None
    ) -> None:
        """Take the catalogue, once, before the first window.

        Parameters
        ----------
        kpis
            Unit and hurting side of each are exported.
        counters_of
            What formulas are evaluated on, from a row and the rows of its window. With it, every KPI is read from
            every window's rows, in each segment that its formula may be split by; without, only judged KPIs are.
        kinds
            Kind of each dimension, as ``Kpi.may_split`` wants it.
        """
        self._catalogue, self._counters_of, self._kinds = tuple(kpis), counters_of, kinds or {}
        self._units = {kpi.name: (kpi.unit, kpi.hurts or "none") for kpi in self._catalogue}

    def window(self, window: WindowLike) -> None:
        """Take a closed, merged window or the cohorts of one; only a basic window of the latest end gives the funnel.

        A later revision of a window replaces it. KPIs are read in any window that is long enough for them.
        """
        whole = window.rows.get(WHOLE)
        if whole is None:
            return
        self._unread[whole.kind, whole.horizon_ms, window.end_ms - window.start_ms] = window
        if self._judging:
            self._read_windows()
        if whole.kind != "window":
            return
        told, latest = _window_view(window, whole), self._window
        if latest and (told.length_ms, -told.end_ms) > (latest.length_ms, -latest.end_ms):
            return
        if latest is None or told.end_ms > latest.end_ms:
            self._add({"windows": 1})
        self._window = told

    def judged(self, judgement: JudgementLike) -> None:
        """Take verdicts (the latest of each series stands) and the incidents that changed."""
        self._take_judgement(judgement, dict(self._verdicts), dict(self._incidents), list(self._recovered))

    def judged_anew(self, judgement: JudgementLike) -> None:
        """Take the last verdict of every series and all incidents in place of those told so far."""
        self._take_judgement(judgement, {}, {}, [])

    def count_anew(self) -> None:
        """Count that the past was judged anew, because of what an operator announced or said."""
        self._add({"judged_anew": 1})

    def calendar(self, notes: Sequence[NoteLike], labels: Sequence[str]) -> None:
        """Take what is announced, and the label of each incident that has one."""
        self._notes, self._labels = tuple(notes), tuple(labels)

    def _take_judgement(
        self,
        judgement: JudgementLike,
        verdicts: dict[SeriesKey, Verdict],
        incidents: dict[str, Incident],
        recovered: list[Incident],
    ) -> None:
        self._read(judgement.verdicts)
        for verdict in judgement.verdicts:
            latest = verdicts.get((verdict.kpi, verdict.segment))
            if latest is None or latest.end_ms <= verdict.end_ms:
                verdicts[verdict.kpi, verdict.segment] = verdict
        verdicts = {key: verdict for key, verdict in verdicts.items() if key in self._readings}
        for incident in judgement.incidents:
            incidents.pop(incident.id, None)
            if incident.state == "recovered":
                recovered = [one for one in recovered if one.id != incident.id] + [incident]
            else:
                incidents[incident.id] = incident
        # Kept at zero once seen: an alert on them resolves at once instead of waiting for staleness.
        held = dict.fromkeys(self._incident_kpis, 0)
        for incident in incidents.values():
            for kpi in incident.kpis:
                held[incident.kind, kpi] = held.get((incident.kind, kpi), 0) + 1
        states: dict[str, int] = {}
        for verdict in verdicts.values():
            states[verdict.state] = states.get(verdict.state, 0) + 1
        self._verdicts, self._incidents, self._incident_kpis = verdicts, incidents, held
        self._recovered, self._states = tuple(recovered[-RECOVERED_KEPT:]), states

    # Readers.

    def snapshot(self) -> Seen:
        """One look at everything, for the collector and for tables; safe on any thread."""
        return Seen(
            worker=self.worker,
            version=self.version,
            phase="starting" if self._cut_off and self._phase == "ready" else self._phase,
            problem=self._problem,
            judging=self._judging and not self._cut_off,
            source_partitions=self._source_partitions,
            partitions={} if self._cut_off else self._partitions,
            totals=self._totals,
            troubles=self._troubles,
            window=self._window,
            readings=self._readings,
            units=self._units,
            verdicts=self._verdicts,
            incidents=self._incidents,
            recovered=self._recovered,
            incident_kpis=self._incident_kpis,
            judged_series=self._states,
            notes=self._notes,
            labels=self._labels,
        )

    def _forget_judgement(self) -> None:
        self._window = None
        self._unread = {}
        self._readings, self._verdicts, self._incidents = {}, {}, {}
        self._incident_kpis, self._states, self._recovered = {}, {}, ()
        self._notes, self._labels = (), ()

    def _read(self, told: Iterable[Observation | Verdict]) -> None:
        readings = dict(self._readings)
        for one in told:
            key = one.kpi, one.segment
            if key not in readings or readings[key].end_ms <= one.end_ms:
                value = one.value if one.value is not None and math.isfinite(one.value) else None
                readings[key] = KpiReading(one.start_ms, one.end_ms, value, one.successes, one.trials, one.end_ms)
        latest = max((one.end_ms for one in readings.values()), default=0)
        self._readings = {key: one for key, one in readings.items() if latest - one.told_ms <= FORGOTTEN_MS}

    def _read_windows(self) -> None:
        # Only the latest of each kind: a judge that reads a year of rows must not form a year of figures.
        if self._counters_of:
            for window in self._unread.values():
                kpis = readable(window, self._catalogue)
                self._read(figures(window, kpis, self._counters_of, self._kinds))
                self._hush(window, {kpi.name for kpi in kpis})
            self._unread = {}

    def _hush(self, window: WindowLike, kpis: Collection[str]) -> None:
        """Zeros for what was told before and has no row in this window."""
        start_ms, end_ms = window.start_ms, window.end_ms
        self._readings = {
            (kpi, segment): one.silent(start_ms, end_ms) if kpi in kpis and one.end_ms < end_ms else one
            for (kpi, segment), one in self._readings.items()
        }

    def _add_growth(self, partition: int, counts: Mapping[str, int]) -> None:
        before = self._engine_counts.get(partition, {})
        told = {name: total for name, total in counts.items() if _only_grows(name)}
        self._engine_counts[partition] = told
        # A total that is lower than before is that of a new engine.
        self._add({name: total - (was if (was := before.get(name, 0)) <= total else 0) for name, total in told.items()})

    def _add(self, growth: Mapping[str, int]) -> None:
        totals = dict(self._totals)
        for name, more in growth.items():
            totals[name] = totals.get(name, 0) + more
        self._totals = totals


def _only_grows(name: str) -> bool:
    return name in RECORD_COUNTERS or name.startswith(("rejected.", "field_defects."))


def _window_view(window: WindowLike, whole: Row) -> WindowView:
    return WindowView(window.start_ms, window.end_ms, dict(whole.counters), tuple(window.missing))
