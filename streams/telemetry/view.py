"""The view: what the shell tells about itself, kept as plain dicts that readers on other threads may look at."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from detectors.base import Incident, Observation, Verdict
from streams.engine.rows import WHOLE, Row, Segment

__all__ = ["JudgementLike", "KpiLike", "KpiReading", "PartitionView", "Seen", "View", "WindowLike", "WindowView"]

SeriesKey = tuple[str, Segment]
RECOVERED_KEPT = 20
FORGOTTEN_MS = 2 * 86_400_000
"""A series not told for this long is gone: the longest window is a day, and a value is remembered for a day."""


class KpiLike(Protocol):
    """What the view asks of a KPI of the catalogue."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def hurts(self) -> str | None: ...


class WindowLike(Protocol):
    """What the view asks of a merged window."""

    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...
    @property
    def rows(self) -> Mapping[Segment, Row]: ...
    @property
    def missing(self) -> Sequence[int]: ...


class JudgementLike(Protocol):
    """What the view asks of a judgement."""

    @property
    def verdicts(self) -> Sequence[Verdict]: ...
    @property
    def incidents(self) -> Sequence[Incident]: ...


class PartitionView(NamedTuple):
    """Where one owned partition stands; lag is by source topic."""

    lag_records: Mapping[str, int]
    watermark_ms: int | None
    snapshot_ms: int | None
    snapshot_bytes: int | None
    open_sessions: int


class KpiReading(NamedTuple):
    """A KPI's value in its latest window, with the counts under it; ``value`` is None where there is none."""

    start_ms: int
    end_ms: int
    value: float | None
    successes: float
    trials: float | None


class WindowView(NamedTuple):
    """The latest closed, merged window of the basic length; ``counters`` are the whole's."""

    start_ms: int
    end_ms: int
    counters: Mapping[str, int]
    missing: tuple[int, ...]

    @property
    def length_ms(self) -> int:
        """End minus start."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class Seen:
    """One consistent look at the view; nothing in it changes afterwards.

    ``units`` is ``(unit, hurts)`` by KPI, ``totals`` are process totals by name (``records``, ``late``,
    ``rejected.<reason>`` ...), ``problem`` is None while healthy, ``incidents`` is by id and holds the open ones.
    """

    worker: str
    version: str
    phase: str
    problem: str | None
    judging: bool
    source_partitions: int | None
    partitions: Mapping[int, PartitionView]
    totals: Mapping[str, int]
    window: WindowView | None
    readings: Mapping[SeriesKey, KpiReading]
    units: Mapping[str, tuple[str, str]]
    verdicts: Mapping[SeriesKey, Verdict]
    incidents: Mapping[str, Incident]
    recovered: tuple[Incident, ...]
    incident_kpis: Mapping[tuple[str, str], int]
    judged_series: Mapping[str, int]


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
        self._problem: str | None = None
        self._source_partitions: int | None = None
        self._partitions: dict[int, PartitionView] = {}
        self._engine_counts: dict[int, Mapping[str, int]] = {}
        self._totals: dict[str, int] = {}
        self._judging = False
        self._units: dict[str, tuple[str, str]] = {}
        self._window: WindowView | None = None
        self._readings: dict[SeriesKey, KpiReading] = {}
        self._verdicts: dict[SeriesKey, Verdict] = {}
        self._incidents: dict[str, Incident] = {}
        self._incident_kpis: dict[tuple[str, str], int] = {}
        self._states: dict[str, int] = {}
        self._recovered: tuple[Incident, ...] = ()

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

    # Records and partitions.

    def assigned(self, partitions: Collection[int], source_partitions: int) -> None:
        """Take the outcome of a rebalance: partitions not owned any more vanish from the metrics."""
        for partition in set(self._partitions) - set(partitions):
            self.drop_partition(partition)
        missing = {one: PartitionView({}, None, None, None, 0) for one in partitions if one not in self._partitions}
        self._partitions = {**self._partitions, **missing}
        self._source_partitions = source_partitions

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
            ``Engine.counts``: totals since this engine object was made. Only their growth is added, and totals
            that are lower than before are taken as those of a new engine.
        watermark_ms
            Event time up to which the partition is complete, None before the first record.
        lag_records
            End offset minus next offset, by source topic.
        open_sessions
            Sessions open in the engine.
        """
        before = self._partitions.get(partition)
        snapshot = (before.snapshot_ms, before.snapshot_bytes) if before else (None, None)
        told = PartitionView(dict(lag_records), watermark_ms, *snapshot, open_sessions)
        self._partitions = {**self._partitions, partition: told}
        self._add_growth(partition, counts)

    def snapshot_saved(self, partition: int, *, moment_ms: int, size_bytes: int) -> None:
        """Take the moment (wall clock) and the size of a snapshot that is durable now."""
        before = self._partitions.get(partition) or PartitionView({}, None, None, None, 0)
        told = before._replace(snapshot_ms=moment_ms, snapshot_bytes=size_bytes)
        self._partitions = {**self._partitions, partition: told}

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

    # The judge.

    def judge_rebuilding(self) -> None:
        """This worker becomes the judge and reads its past: what it learns is kept, but not exported yet."""
        self._forget_judgement()
        self._judging = False

    def judge_live(self) -> None:
        """The judge has caught up: KPI series are exported from now on."""
        self._judging = True

    def drop_judge(self) -> None:
        """Another worker is the judge now: every KPI series and incident vanishes here."""
        self._forget_judgement()
        self._judging = False

    def kpis(self, kpis: Iterable[KpiLike]) -> None:
        """Take unit and hurting direction of every KPI; once, before the first window."""
        self._units = {kpi.name: (kpi.unit, kpi.hurts or "none") for kpi in kpis}

    def window(self, window: WindowLike, observations: Iterable[Observation] = ()) -> None:
        """Take a closed, merged window; cohorts, coarser windows and older ones are ignored.

        Parameters
        ----------
        window
            A window of the basic length: its whole gives the funnel. A later revision of the latest replaces it.
        observations
            KPIs of any window length that nobody judges; what ``judged`` brings need not be told here.
        """
        self._read(observations)
        whole, latest = window.rows.get(WHOLE), self._window
        if whole is None or whole.kind != "window":
            return
        told = WindowView(window.start_ms, window.end_ms, dict(whole.counters), tuple(window.missing))
        if latest and (told.length_ms, -told.end_ms) > (latest.length_ms, -latest.end_ms):
            return
        if latest is None or told.end_ms > latest.end_ms:
            self._add({"windows": 1})
        self._window = told

    def judged(self, judgement: JudgementLike) -> None:
        """Take verdicts (the latest of each series stands) and the incidents that changed."""
        self._read(judgement.verdicts)
        verdicts = dict(self._verdicts)
        for verdict in judgement.verdicts:
            latest = verdicts.get((verdict.kpi, verdict.segment))
            if latest is None or latest.end_ms <= verdict.end_ms:
                verdicts[verdict.kpi, verdict.segment] = verdict
        verdicts = {key: verdict for key, verdict in verdicts.items() if key in self._readings}
        incidents, recovered = dict(self._incidents), list(self._recovered)
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
            phase=self._phase,
            problem=self._problem,
            judging=self._judging,
            source_partitions=self._source_partitions,
            partitions=self._partitions,
            totals=self._totals,
            window=self._window,
            readings=self._readings,
            units=self._units,
            verdicts=self._verdicts,
            incidents=self._incidents,
            recovered=self._recovered,
            incident_kpis=self._incident_kpis,
            judged_series=self._states,
        )

    def _forget_judgement(self) -> None:
        self._window = None
        self._readings, self._verdicts, self._incidents = {}, {}, {}
        self._incident_kpis, self._states, self._recovered = {}, {}, ()

    def _read(self, told: Iterable[Observation | Verdict]) -> None:
        readings = dict(self._readings)
        for one in told:
            key = one.kpi, one.segment
            if key not in readings or readings[key].end_ms <= one.end_ms:
                value = one.value if one.value is not None and math.isfinite(one.value) else None
                readings[key] = KpiReading(one.start_ms, one.end_ms, value, one.successes, one.trials)
        latest = max((one.end_ms for one in readings.values()), default=0)
        self._readings = {key: one for key, one in readings.items() if latest - one.end_ms <= FORGOTTEN_MS}

    def _add_growth(self, partition: int, counts: Mapping[str, int]) -> None:
        before = self._engine_counts.get(partition, {})
        if any(total < before.get(name, 0) for name, total in counts.items()):
            before = {}
        self._engine_counts[partition] = dict(counts)
        self._add({name: total - before.get(name, 0) for name, total in counts.items()})

    def _add(self, growth: Mapping[str, int]) -> None:
        totals = dict(self._totals)
        for name, more in growth.items():
            totals[name] = totals.get(name, 0) + more
        self._totals = totals
