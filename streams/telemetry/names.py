"""The metric catalogue: every series funnelwatch exports, once, with its type, help and label names."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = [
    "ALL",
    "CATALOGUE",
    "DIRECTIONS",
    "FOREIGN",
    "KINDS",
    "LABELS",
    "LASTING",
    "NOTE_KINDS",
    "REASONS",
    "RECORD_COUNTERS",
    "STAGES",
    "STATES",
    "TROUBLES",
    "Metric",
    "metric",
]

MetricKind = Literal["gauge", "counter"]

ALL = "all"
"""Label of the whole, in ``dimension`` and in ``value``: an empty label is no label to Prometheus, and easily lost."""

STAGES = ("visit", "product", "cart", "checkout", "ordered", "paid")
KINDS = ("drop", "stop", "rise", "tracking", "silence", "bots", "drift")
STATES = ("warming_up", "calm", "suspect", "alert", "waiting", "unsure")
NOTE_KINDS = ("campaign", "holiday")
LABELS = ("incident", "expected", "new-normal")
DIRECTIONS = ("below", "above")
LASTING = ("partition_silent", "clock_ahead", "clock_behind")
"""Troubles that are the state of a partition, and are told by whoever owns it."""

TROUBLES = ("records_lost", "log_went_back", "partition_added", *LASTING)
"""What can be wrong with a source topic."""

REASONS = (
    "not_json",
    "no_event_type",
    "unknown_event_type",
    "no_event_time",
    "bad_event_time",
    "no_session",
    "future",
    "too_late",
    "too_large",
    "other",
)
"""Reasons of a rejection, all exported from the start, so that the first one shows as an increase."""

RECORD_COUNTERS = {
    "records": "funnel_records_total",
    "duplicates": "funnel_duplicate_records_total",
    "late": "funnel_late_records_total",
    "behind_watermark": "funnel_behind_watermark_records_total",
    "clamped": "funnel_clamped_records_total",
    "dead_letters": "funnel_dead_letter_records_total",
    "miskeyed": "funnel_miskeyed_records_total",
    "lost": "funnel_lost_records_total",
    "fetches_read_again": "funnel_fetches_read_again_total",
    "windows": "funnel_windows_total",
    "judged_anew": "funnel_judged_anew_total",
}
"""The metric of each process total of the view that has no label."""

FOREIGN = (
    "up",
    "process_start_time_seconds",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "ALERTS",
    "scrape_duration_seconds",
)
"""Series that boards and rules use and that Prometheus or its client library makes."""


class Metric(NamedTuple):
    """One family: ``name`` ends in its unit, a counter in ``_total``, a moment in ``_timestamp_seconds``."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()


SERIES = ("kpi", "dimension", "value")

CATALOGUE: tuple[Metric, ...] = (
    # The worker.
    Metric("funnel_worker_info", "gauge", "Always 1; says who the worker is.", ("worker", "version")),
    Metric("funnel_worker_ready", "gauge", "1 while the worker is ready and healthy, else 0."),
    Metric("funnel_assigned_partitions", "gauge", "Source partitions this worker owns."),
    Metric("funnel_source_partitions", "gauge", "Source partitions there are, as this worker sees them."),
    Metric("funnel_dropped_series", "gauge", "KPI series left out of this scrape by the series cap."),
    # Records; totals of this process, from zero at its start.
    Metric("funnel_records_total", "counter", "Records absorbed by the engine, of every source topic."),
    Metric("funnel_rejected_records_total", "counter", "Records refused, by reason.", ("reason",)),
    Metric("funnel_duplicate_records_total", "counter", "Records whose event had been counted before."),
    Metric("funnel_late_records_total", "counter", "Records of a window already closed, counted in a correction."),
    Metric("funnel_behind_watermark_records_total", "counter", "Records older than the watermark, window still open."),
    Metric("funnel_clamped_records_total", "counter", "Records whose event time was ahead of their append time."),
    Metric("funnel_field_defects_total", "counter", "Optional fields dropped because unreadable.", ("field",)),
    Metric("funnel_dead_letter_records_total", "counter", "Records sent to the dead-letter topic."),
    Metric("funnel_miskeyed_records_total", "counter", "Records in another partition than their key belongs to."),
    Metric("funnel_lost_records_total", "counter", "Records that retention removed before they were read."),
    Metric("funnel_fetches_read_again_total", "counter", "Fetches lost inside the worker and read again."),
    # Source topics; what each kind means is in docs/runbooks/FunnelSourceTrouble.md.
    Metric("funnel_source_troubles_total", "counter", "Times that a source was found in trouble, by kind.", ("kind",)),
    Metric(
        "funnel_source_trouble_timestamp_seconds",
        "gauge",
        "Moment at which a source was last found in trouble.",
        ("kind", "topic", "partition"),
    ),
    # Partitions this worker owns.
    Metric("funnel_last_record_timestamp_seconds", "gauge", "Moment of the last record of any source.", ("partition",)),
    Metric("funnel_lag_records", "gauge", "Records not yet absorbed: end offset minus next.", ("topic", "partition")),
    Metric("funnel_watermark_timestamp_seconds", "gauge", "Up to here a partition is complete.", ("partition",)),
    Metric("funnel_snapshot_timestamp_seconds", "gauge", "Moment of the last durable snapshot.", ("partition",)),
    Metric("funnel_snapshot_bytes", "gauge", "Size of the last durable snapshot.", ("partition",)),
    Metric("funnel_open_sessions", "gauge", "Sessions open in the partitions of this worker."),
    # The judge: one worker of many exports these.
    Metric("funnel_window_end_timestamp_seconds", "gauge", "End of the latest closed and merged window."),
    Metric("funnel_window_missing_partitions", "gauge", "Partitions whose rows the latest window went without."),
    Metric("funnel_windows_total", "counter", "Windows closed and merged by this process."),
    Metric("funnel_stage_sessions", "gauge", "Sessions that reached a stage, latest window.", ("stage", "reach")),
    Metric("funnel_kpi_info", "gauge", "Always 1; a KPI's unit and hurting side.", ("kpi", "unit", "hurts")),
    Metric("funnel_kpi_value", "gauge", "Value of a KPI in its latest window, in the KPI's unit.", SERIES),
    Metric("funnel_kpi_successes", "gauge", "Numerator of a KPI, or its count.", SERIES),
    Metric("funnel_kpi_trials", "gauge", "Denominator of a ratio KPI.", SERIES),
    Metric("funnel_kpi_expected", "gauge", "What was expected of the KPI, in its unit.", SERIES),
    Metric("funnel_kpi_lower", "gauge", "Lower end of the expected range.", SERIES),
    Metric("funnel_kpi_upper", "gauge", "Upper end of the expected range.", SERIES),
    Metric("funnel_kpi_score", "gauge", "How unusual: 0 is calm, 1 the border, without a ceiling.", SERIES),
    Metric(
        "funnel_kpi_smallest_visible_drop_ratio",
        "gauge",
        "Smallest change for the worse that ten windows would show now, as a share; 1 is all of it.",
        SERIES,
    ),
    Metric("funnel_kpi_active", "gauge", "1 while a persisted verdict stands, by side.", (*SERIES, "direction")),
    Metric("funnel_kpi_unsure", "gauge", "1 while the expectation cannot be trusted.", SERIES),
    Metric("funnel_verdict_series", "gauge", "Judged series by state of their latest verdict.", ("state",)),
    Metric("funnel_open_incidents", "gauge", "Incidents not yet recovered, by kind.", ("kind",)),
    Metric("funnel_open_incident_kpis", "gauge", "Open incidents that hold a KPI, by kind.", ("kind", "kpi")),
    Metric(
        "funnel_open_incident_loss_ratio",
        "gauge",
        "Share of the loss of the open incidents of a KPI that one segment holds; part is rate, mix or volume.",
        (*SERIES, "part"),
    ),
    Metric("funnel_calendar_notes", "gauge", "Announced times in force at the latest window, by kind.", ("kind",)),
    Metric("funnel_calendar_labels", "gauge", "Incidents that an operator has labelled, by label.", ("label",)),
    Metric("funnel_judged_anew_total", "counter", "Times that the past was judged anew after a note or a label."),
    Metric("funnel_lost_orders", "gauge", "Orders that the open incidents have cost, estimated."),
    Metric("funnel_lost_money_minor", "gauge", "Money that the open incidents have cost, estimated.", ("currency",)),
)

_BY_NAME = {entry.name: entry for entry in CATALOGUE}


def metric(name: str) -> Metric:
    """The catalogue's entry of ``name``; raises ``KeyError`` for a series nobody declared.

    >>> metric("funnel_lag_records").labels
    ('topic', 'partition')
    """
    return _BY_NAME[name]
