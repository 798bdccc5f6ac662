"""Alerting rules: ``Funnel`` and the symptom, each with its runbook in ``docs/runbooks``."""

from __future__ import annotations

from typing import Literal, NamedTuple

from dashboards.links import FUNNEL_BOARD, HEALTH_BOARD
from dashboards.queries import JOB, PARTS, WHOLE, age, harmless, recorded, series

__all__ = ["ALERTS", "Alert"]

Severity = Literal["critical", "warning", "info"]


class Alert(NamedTuple):
    """One alerting rule.

    ``hold_seconds`` is how long the expression must hold before it fires (``for``), ``keep_seconds`` how long it
    goes on firing afterwards (``keep_firing_for``); ``board`` is the board it links to, ``board_query`` sets the
    board's variables. ``critical`` is for now, ``warning`` for today, ``info`` for knowing.
    """

    name: str
    severity: Severity
    expr: str
    hold_seconds: int
    summary: str
    description: str
    keep_seconds: int = 0
    board: str = HEALTH_BOARD
    board_query: str = ""


MINUTE = 60
AT_ONCE = 0
"""For verdicts: the judge has already made sure that they persist."""
OURS = f'job="{JOB}"'
KPI_QUERY = "var-kpi={{ $labels.kpi }}"
WATERMARK = f"max by (partition) ({series('funnel_watermark_timestamp_seconds')})"
WINDOW_END = "job:funnel_window_end_timestamp_seconds:max"
SUCCESSES, TRIALS = "kpi:funnel_kpi_successes:max", "kpi:funnel_kpi_trials:max"


def _told(metric: str, *, segment: bool) -> str:
    """A template that looks up one figure of the alert's KPI, or says that there is none."""
    # %q, because a segment's value is text of the shop and may hold a quote.
    place = ",dimension=%q,value=%q" if segment else f",{WHOLE}".replace('"', '\\"')
    labels = "$labels.kpi $labels.dimension $labels.value" if segment else "$labels.kpi"
    query = f'{{{{ with query (printf "kpi:funnel_kpi_{metric}:max{{kpi=%q{place}}}" {labels}) }}}}'
    return query + '{{ . | first | value | printf "%.5g" }}{{ else }}unknown{{ end }}'


def _range(*, segment: bool = False) -> str:
    value, low, high = (_told(metric, segment=segment) for metric in ("value", "lower", "upper"))
    return f"It is {value}, expected between {low} and {high}."


def _losses() -> str:
    """Where the loss of the KPI's incidents sits and what all of them have cost, as far as that is known."""
    share = series("funnel_open_incident_loss_ratio", 'kpi="%q"').replace('"%q"', "%q")
    largest = f'query (printf "topk(1, max by (dimension, value, part) ({share}))" $labels.kpi)'
    place = "{{ .Labels.dimension }}={{ .Labels.value }} ({{ .Labels.part }})"
    where = f" {{{{ .Value | humanizePercentage }}}} of the loss is {place}."
    orders = 'query "max(' + series("funnel_lost_orders") + ') >= 1"'
    cost = ' About {{ . | first | value | printf "%.0f" }} orders lost.'
    return (
        f"{{{{ with {largest} }}}}{{{{ with index . 0 }}}}{where}{{{{ end }}}}{{{{ end }}}}"
        f"{{{{ with {orders} }}}}{cost}{{{{ end }}}}"
    )


def _active(direction: str, place: str) -> str:
    side = recorded("kpi:funnel_kpi_active:max", place, f'direction="{direction}"')
    other = "up" if direction == "below" else "down"
    # A judge that catches up passes through old verdicts: they are no news.
    recent = f"{age(recorded(WINDOW_END))} < 600"
    return f"(({side} == 1) unless on (kpi) {harmless(other, 'none')}) and on () ({recent})"


def _incident(*kinds: str) -> str:
    held = series("funnel_open_incident_kpis", f'kind=~"{"|".join(kinds)}"')
    return f"max by (kpi, kind) ({held}) > 0"


def _at_zero() -> str:
    # Cohorts tell of sessions that opened a quarter of an hour ago: they would page long after the end.
    prompt = (WHOLE, 'kpi!~"cohort_.*"')
    successes, trials = recorded(SUCCESSES, *prompt), recorded(TRIALS, *prompt)
    # A day, not an hour, as the measure of usual: an hour of zeros would make zero usual and end the alert.
    return (
        f"max_over_time({successes}[5m]) == 0"
        f" and avg_over_time({successes}[1d] offset 5m) >= 3"
        f" and avg_over_time({trials}[5m]) > 0.3 * avg_over_time({trials}[1d] offset 5m)"
        f" unless on (kpi) {harmless('up', 'none')}"
    )


def _snapshot_age() -> str:
    # A partition that never had a snapshot has no moment to export: then the start of the process counts.
    start = f"scalar(max({series('process_start_time_seconds', OURS)}))"
    moment = f"(max by (partition) ({series('funnel_snapshot_timestamp_seconds')}) or {WATERMARK} * 0 + {start})"
    return f"{age(moment)} > 300 and on () {recorded('job:funnel_records:rate5m')} > 0"


def _silent() -> str:
    # By what it has missed, not by time alone: sessions come in bursts, and a small shop has few of them.
    quiet = age(f"max by (partition) ({series('funnel_last_record_timestamp_seconds')})")
    share = f"scalar({recorded('job:funnel_records:rate5m')} / max({series('funnel_source_partitions')}))"
    # A worker that catches up brings much of the past of some partitions, and that is no measure of now.
    behind = f"sum({recorded('topic:funnel_lag_records:sum')}) > 1000"
    return f"(({quiet}) * {share} > 200 and {quiet} > 600) unless on () {behind}"


def _trouble() -> str:
    # The moment and not the count: a worker that finds a trouble at its start has no count before it.
    moment = series("funnel_source_trouble_timestamp_seconds", 'kind!="partition_silent"')
    return f"{age(f'max by (kind, topic, partition) ({moment})')} < 900"


SHOP: tuple[Alert, ...] = (
    Alert(
        "FunnelKpiBelowRange",
        "critical",
        _active("below", WHOLE),
        AT_ONCE,
        "{{ $labels.kpi }} has fallen below its expected range",
        f"{_range()} The verdict has been confirmed over several windows.{_losses()}",
        keep_seconds=3 * MINUTE,
        board=FUNNEL_BOARD,
        board_query=KPI_QUERY,
    ),
    Alert(
        "FunnelKpiAboveRange",
        "warning",
        _active("above", WHOLE),
        AT_ONCE,
        "{{ $labels.kpi }} has risen above its expected range",
        f"{_range()} For this KPI a rise is what costs money.{_losses()}",
        keep_seconds=3 * MINUTE,
        board=FUNNEL_BOARD,
        board_query=KPI_QUERY,
    ),
    Alert(
        "FunnelSegmentBelowRange",
        "warning",
        _active("below", PARTS),
        AT_ONCE,
        "{{ $labels.kpi }} has fallen where {{ $labels.dimension }} is {{ $labels.value }}",
        f"{_range(segment=True)} The shop as a whole may still look fine.",
        keep_seconds=3 * MINUTE,
        board=FUNNEL_BOARD,
        board_query=f"{KPI_QUERY}&var-dimension={{{{ $labels.dimension }}}}",
    ),
    Alert(
        "FunnelKpiAtZero",
        "critical",
        _at_zero(),
        MINUTE,
        "{{ $labels.kpi }} is at zero while shoppers keep trying",
        "Not one success in five minutes, although the trials under it go on. "
        "This needs no learnt expectation, so it also holds while one is being learnt.",
        board=FUNNEL_BOARD,
        board_query=KPI_QUERY,
    ),
    Alert(
        "FunnelTrackingLost",
        "warning",
        _incident("tracking", "silence"),
        MINUTE,
        "The events behind {{ $labels.kpi }} have stopped arriving",
        "Their neighbours in the funnel go on, so this is probably lost tracking and not lost business.",
        board=FUNNEL_BOARD,
        board_query=KPI_QUERY,
    ),
    Alert(
        "FunnelBotTraffic",
        "warning",
        _incident("bots"),
        MINUTE,
        "Sessions that do not shop dilute {{ $labels.kpi }}",
        "Sessions rose and the first step of the funnel fell by as much: crawlers or bots, not a broken shop.",
        board=FUNNEL_BOARD,
        board_query=KPI_QUERY,
    ),
    Alert(
        "FunnelBaselineUnsure",
        "info",
        f"max by (kpi) ({series('funnel_kpi_unsure', WHOLE)}) == 1",
        30 * MINUTE,
        "The expectation of {{ $labels.kpi }} cannot be trusted",
        "It has been in alarm too often, so the model is more likely wrong than the shop; it is not watched meanwhile.",
        board=FUNNEL_BOARD,
        board_query=KPI_QUERY,
    ),
)

PIPELINE: tuple[Alert, ...] = (
    Alert(
        "FunnelDataSilent",
        "critical",
        f"{recorded('job:funnel_records:rate5m')} == 0",
        5 * MINUTE,
        "No record has arrived for ten minutes",
        "Workers are up and read nothing: the trackers, the producer or the broker stands still.",
    ),
    Alert(
        "FunnelDataStale",
        "critical",
        f"{age(recorded(WINDOW_END))} > 300",
        2 * MINUTE,
        "The latest closed window ended {{ $value | humanizeDuration }} ago",
        "Every KPI shown is that old, and no verdict is about now.",
    ),
    Alert(
        "FunnelPartitionStale",
        "warning",
        f"{age(WATERMARK)} > 300",
        5 * MINUTE,
        "Partition {{ $labels.partition }} is complete only up to {{ $value | humanizeDuration }} ago",
        "Windows are judged without the shoppers of this partition, and corrected when it catches up.",
    ),
    Alert(
        "FunnelJudgeMissing",
        "critical",
        f"absent({recorded(WINDOW_END)}) and on () {recorded('job:funnel_records:rate5m')} > 0",
        5 * MINUTE,
        "Records are processed, but no worker judges the KPIs",
        "No worker exports a closed window: the KPI topic has no owner, or its owner is still reading the past.",
    ),
    Alert(
        "FunnelWorkerDown",
        "critical",
        f"{series('up', OURS)} == 0 or absent({series('up', OURS)})",
        2 * MINUTE,
        "{{ with $labels.instance }}Worker {{ . }}{{ else }}Every worker{{ end }} is gone: it cannot be scraped",
        "Its partitions move to the other workers; with none left, nothing is watched.",
    ),
    Alert(
        "FunnelWorkerNotReady",
        "warning",
        f"{series('funnel_worker_ready')} == 0",
        5 * MINUTE,
        "Worker {{ $labels.instance }} is up but not ready",
        "It is still starting or restoring state, or its own watchdog found it stuck.",
    ),
    Alert(
        "FunnelPartitionsUnowned",
        "critical",
        f"max({series('funnel_source_partitions')}) - sum({series('funnel_assigned_partitions')}) > 0",
        2 * MINUTE,
        "{{ $value }} source partitions have no worker",
        "Their shoppers are in no figure until a worker takes them over.",
    ),
    Alert(
        "FunnelLagGrowing",
        "warning",
        f"{recorded('topic:funnel_lag_records:sum')} > 1000"
        f" and deriv({recorded('topic:funnel_lag_records:sum')}[10m]) > 0",
        10 * MINUTE,
        "{{ $labels.topic }} is {{ $value | humanize }} records behind, and the lag grows",
        "Records arrive faster than they are processed, so verdicts come later and later.",
    ),
    Alert(
        "FunnelRecordsRejected",
        "warning",
        f"sum by (reason) (rate({series('funnel_rejected_records_total')}[5m]))"
        f" / on () group_left () {recorded('job:funnel_records:rate5m')} > 0.01",
        5 * MINUTE,
        "{{ $value | humanizePercentage }} of the records are rejected: {{ $labels.reason }}",
        "They are in the dead-letter topic with their coordinates, and in no figure.",
    ),
    Alert(
        "FunnelRecordsLate",
        "warning",
        f"sum(rate({series('funnel_late_records_total')}[15m]))"
        f" / sum(rate({series('funnel_records_total')}[15m])) > 0.02",
        15 * MINUTE,
        "{{ $value | humanizePercentage }} of the records come after their window was judged",
        "They correct the figures afterwards, but verdicts were made without them.",
    ),
    Alert(
        "FunnelSourceTrouble",
        "warning",
        _trouble(),
        AT_ONCE,
        "Source {{ $labels.topic }}, partition {{ $labels.partition }}: {{ $labels.kind }}",
        "What was read of it is not what was written, or not when. The worker's log tells offsets and numbers.",
    ),
    Alert(
        "FunnelPartitionSilent",
        "warning",
        _silent(),
        MINUTE,
        "Partition {{ $labels.partition }} is silent: about {{ $value | humanize }} records were to be expected",
        "The other partitions go on, so a part of the shoppers does not reach this one any more.",
    ),
    Alert(
        "FunnelSnapshotStale",
        "warning",
        _snapshot_age(),
        2 * MINUTE,
        "Partition {{ $labels.partition }} has had no snapshot for {{ $value | humanizeDuration }}",
        "Nothing is lost, but a restart would have to read all of that again.",
    ),
    Alert(
        "FunnelSeriesDropped",
        "info",
        f"max({series('funnel_dropped_series')}) > 0",
        15 * MINUTE,
        "{{ $value }} KPI series are left out of the metrics",
        "The cap on exported series is reached; the smallest segments are not shown and raise no alert.",
    ),
)

ALERTS: tuple[Alert, ...] = (*SHOP, *PIPELINE)
