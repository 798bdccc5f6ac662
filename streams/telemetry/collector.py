"""The collector: turns one look at the view into metric families, at scrape time."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from detectors.base import Incident, Verdict
from streams.engine.rows import Segment
from streams.telemetry import names
from streams.telemetry.seen import KpiReading, Seen, SeriesKey
from streams.telemetry.view import View

__all__ = ["ViewCollector", "registry_of", "segment_labels"]

LABEL_LENGTH = 64
MOST_BLAMES = 3
"""Segments told of one incident: what a person reads at night."""

BELOW = ("drop", "stop", "silence")
_WORD = re.compile(r"[a-z][a-z0-9_.]{0,63}")


class ViewCollector(Collector):
    """Renders a view; nothing is kept between scrapes, so a series that is not told any more is gone.

    Parameters
    ----------
    view
        What the shell tells.
    max_series
        Most KPI series of one scrape. The whole comes first, then series with an active verdict, then the
        largest; the rest is left out and counted in ``funnel_dropped_series``.
    """

    def __init__(self, view: View, *, max_series: int = 20_000) -> None:
        self._view, self._max_series = view, max_series

    def collect(self) -> Iterator[Metric]:
        """Every family of the catalogue that this worker has something to say about."""
        seen = self._view.snapshot()
        families = _Families()
        _worker(families, seen)
        _records(families, seen.totals)
        _troubles(families, seen)
        _partitions(families, seen)
        if seen.judging:
            _judge(families, seen)
            dropped = _kpis(families, seen, self._max_series)
            families.add("funnel_dropped_series", (), dropped)
        return families.rendered()


def registry_of(view: View, *, max_series: int = 20_000) -> CollectorRegistry:
    """A registry of its own with the view and the figures of the process."""
    registry = CollectorRegistry()
    registry.register(ViewCollector(view, max_series=max_series))
    ProcessCollector(registry=registry)
    return registry


def segment_labels(segment: Segment) -> tuple[str, str]:
    """Labels ``dimension`` and ``value`` of a segment; a pair is joined by commas.

    Values are text of the shop's own events: they are cut at 64 characters and made valid UTF-8, because one
    bad value would fail the whole scrape.

    >>> segment_labels(()), segment_labels((("channel", "sem"), ("device", "ios")))
    (('all', 'all'), ('channel,device', 'sem,ios'))
    """
    if not segment:
        return names.ALL, names.ALL
    dimension, value = (",".join(part) for part in zip(*segment, strict=True))
    return _text(dimension), _text(value)


class _Families:
    """The families of one scrape, each made when its first sample comes."""

    def __init__(self) -> None:
        self._families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}

    def add(self, name: str, labels: Sequence[str], value: float | None) -> None:
        if value is None:
            return
        family = self._families.get(name)
        if family is None:
            told = names.metric(name)
            made = GaugeMetricFamily if told.kind == "gauge" else CounterMetricFamily
            family = self._families[name] = made(name, told.help, labels=told.labels)
        family.add_metric(labels, value)

    def rendered(self) -> Iterator[Metric]:
        return iter(self._families.values())


def _worker(families: _Families, seen: Seen) -> None:
    families.add("funnel_worker_info", (_text(seen.worker), _text(seen.version)), 1)
    families.add("funnel_worker_ready", (), int(seen.phase == "ready" and seen.problem is None))
    families.add("funnel_assigned_partitions", (), len(seen.partitions))
    families.add("funnel_source_partitions", (), seen.source_partitions)


def _records(families: _Families, totals: Mapping[str, int]) -> None:
    for name, metric in names.RECORD_COUNTERS.items():
        families.add(metric, (), totals.get(name, 0))
    rejected = dict.fromkeys(names.REASONS, 0)
    defects: dict[str, int] = {}
    for name, total in totals.items():
        family, _, label = name.partition(".")
        if family == "rejected":
            known = label if label in rejected else "other"
            rejected[known] += total
        elif family == "field_defects":
            known = label if _WORD.fullmatch(label) else "other"
            defects[known] = defects.get(known, 0) + total
    for reason, total in rejected.items():
        families.add("funnel_rejected_records_total", (reason,), total)
    for field, total in defects.items():
        families.add("funnel_field_defects_total", (field,), total)


def _troubles(families: _Families, seen: Seen) -> None:
    for kind in names.TROUBLES:
        families.add("funnel_source_troubles_total", (kind,), seen.totals.get(f"trouble.{kind}", 0))
    for (kind, topic, partition), moment_ms in seen.troubles.items():
        families.add("funnel_source_trouble_timestamp_seconds", (kind, topic, str(partition)), _seconds(moment_ms))


def _partitions(families: _Families, seen: Seen) -> None:
    for number, told in seen.partitions.items():
        partition = str(number)
        for topic, lag in told.lag_records.items():
            families.add("funnel_lag_records", (topic, partition), lag)
        families.add("funnel_last_record_timestamp_seconds", (partition,), _seconds(told.heard_ms))
        families.add("funnel_watermark_timestamp_seconds", (partition,), _seconds(told.watermark_ms))
        families.add("funnel_snapshot_timestamp_seconds", (partition,), _seconds(told.snapshot_ms))
        families.add("funnel_snapshot_bytes", (partition,), told.snapshot_bytes)
    families.add("funnel_open_sessions", (), sum(told.open_sessions for told in seen.partitions.values()))


def _judge(families: _Families, seen: Seen) -> None:
    if seen.window:
        families.add("funnel_window_end_timestamp_seconds", (), _seconds(seen.window.end_ms))
        families.add("funnel_window_missing_partitions", (), len(seen.window.missing))
        _funnel(families, seen.window.counters)
    for kpi, (unit, hurts) in seen.units.items():
        families.add("funnel_kpi_info", (kpi, unit, hurts), 1)
    for state in names.STATES:
        families.add("funnel_verdict_series", (state,), seen.judged_series.get(state, 0))
    now_ms = seen.window.end_ms if seen.window else 0
    for kind in names.NOTE_KINDS:
        held = sum(note.kind == kind and note.start_ms < now_ms <= note.end_ms for note in seen.notes)
        families.add("funnel_calendar_notes", (kind,), held)
    for label in names.LABELS:
        families.add("funnel_calendar_labels", (label,), seen.labels.count(label))
    incidents = seen.incidents.values()
    for kind in names.KINDS:
        families.add("funnel_open_incidents", (kind,), sum(incident.kind == kind for incident in incidents))
    for (kind, kpi), held in seen.incident_kpis.items():
        families.add("funnel_open_incident_kpis", (kind, kpi), held)
    _losses(families, incidents)
    families.add("funnel_lost_orders", (), sum(incident.orders_lost or 0 for incident in incidents))
    lost: dict[str, float] = {}
    for incident in incidents:
        if incident.currency:
            lost[incident.currency] = lost.get(incident.currency, 0) + (incident.money_lost_minor or 0)
    for currency, money in lost.items():
        families.add("funnel_lost_money_minor", (currency,), money)


def _losses(families: _Families, incidents: Collection[Incident]) -> None:
    """Add where the losses sit, the largest part of each segment: several incidents may hold a KPI."""
    shares: dict[tuple[str, str, str, str], float] = {}
    for incident in incidents:
        for kpi in incident.kpis:
            for blame in incident.attribution[:MOST_BLAMES]:
                place = (kpi, *segment_labels(blame.segment), str(blame.kind))
                shares[place] = max(shares.get(place, 0.0), blame.share)
    for labels, share in shares.items():
        families.add("funnel_open_incident_loss_ratio", labels, share)


def _funnel(families: _Families, counters: Mapping[str, int]) -> None:
    families.add("funnel_stage_sessions", ("visit", "observed"), counters.get("sessions", 0))
    for stage in names.STAGES[1:]:
        families.add("funnel_stage_sessions", (stage, "observed"), counters.get(f"reached.{stage}", 0))
        families.add("funnel_stage_sessions", (stage, "implied"), counters.get(f"implied.{stage}", 0))


def _kpis(families: _Families, seen: Seen, max_series: int) -> int:
    """Add the KPI series, most important first; returns how many did not fit."""
    room, dropped = max_series, 0
    taken: set[tuple[str, str, str]] = set()
    for (kpi, segment), reading in _by_importance(seen):
        labels = (kpi, *segment_labels(segment))
        samples = list(_samples(reading, seen.verdicts.get((kpi, segment))))
        # Two values that are equal once cut would be one series told twice, which fails the scrape.
        if labels in taken or len(samples) > room:
            dropped += len(samples)
            continue
        taken.add(labels)
        room -= len(samples)
        for name, more, value in samples:
            families.add(name, (*labels, *more), value)
    return dropped


def _by_importance(seen: Seen) -> Iterable[tuple[SeriesKey, KpiReading]]:
    def order(item: tuple[SeriesKey, KpiReading]) -> tuple[bool, bool, float, SeriesKey]:
        key, reading = item
        verdict = seen.verdicts.get(key)
        volume = reading.successes if reading.trials is None else reading.trials
        return bool(key[1]), not (verdict and verdict.active), -volume, key

    return sorted(seen.readings.items(), key=order)


def _samples(reading: KpiReading, verdict: Verdict | None) -> Iterator[tuple[str, tuple[str, ...], float]]:
    if reading.value is not None:
        yield "funnel_kpi_value", (), reading.value
    yield "funnel_kpi_successes", (), reading.successes
    if reading.trials is not None:
        yield "funnel_kpi_trials", (), reading.trials
    if verdict is None:
        return
    for name, bound in (("expected", verdict.expected), ("lower", verdict.lower), ("upper", verdict.upper)):
        if bound is not None:
            yield f"funnel_kpi_{name}", (), bound
    yield "funnel_kpi_score", (), verdict.score
    if verdict.smallest_drop is not None:
        yield "funnel_kpi_smallest_visible_drop_ratio", (), verdict.smallest_drop
    side = _direction(verdict)
    for direction in names.DIRECTIONS:
        yield "funnel_kpi_active", (direction,), int(verdict.active and direction == side)
    yield "funnel_kpi_unsure", (), int(verdict.state == "unsure")


def _direction(verdict: Verdict) -> str:
    """The side of its range on which an active verdict stands: by its kind, else by value and expectation."""
    if verdict.kind in BELOW or verdict.kind == "rise":
        return "below" if verdict.kind in BELOW else "above"
    if verdict.value is None or verdict.expected is None:
        return "below"
    return "above" if verdict.value > verdict.expected else "below"


def _seconds(moment_ms: int | None) -> float | None:
    return None if moment_ms is None else moment_ms / 1000


def _text(value: str) -> str:
    return value[:LABEL_LENGTH].encode("utf-8", "replace").decode()
