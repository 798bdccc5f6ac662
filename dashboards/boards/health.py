"""The board of who runs the pipeline: do records flow, how far behind, what is refused, what would a restart cost."""

from __future__ import annotations

from dashboards.links import FUNNEL_BOARD, HEALTH_BOARD
from dashboards.panels import Board, Panel, Query, Row
from dashboards.queries import JOB, age, recorded, series

__all__ = ["HEALTH"]

OURS = f'job="{JOB}"'


def _rate(name: str, label: str = "") -> str:
    by = f" by ({label})" if label else ""
    return f"sum{by} (rate({series(name)}[5m]))"


def _by_partition(name: str) -> str:
    return f"max by (partition) ({series(name)})"


WORKERS = Row(
    "Workers",
    (
        Panel(
            "Workers up",
            "1 while a worker's metrics page answers.",
            "short",
            (Query(series("up", OURS), "{{instance}}"),),
            "stat",
            width=8,
            height=4,
        ),
        Panel(
            "Workers ready",
            "1 while a worker is ready and its watchdog finds nothing wrong.",
            "short",
            (Query(series("funnel_worker_ready"), "{{instance}}"),),
            "stat",
            width=8,
            height=4,
        ),
        Panel(
            "Partitions without a worker",
            "Source partitions that no worker owns: their shoppers are in no figure.",
            "short",
            (
                Query(
                    f"max({series('funnel_source_partitions')}) - sum({series('funnel_assigned_partitions')})", "none"
                ),
            ),
            "stat",
            width=8,
            height=4,
            alarm_from=1,
        ),
        Panel(
            "Memory",
            "Resident memory of each worker.",
            "bytes",
            (Query(series("process_resident_memory_bytes", OURS), "{{instance}}"),),
            width=8,
        ),
        Panel(
            "Processor",
            "Processor time a second of each worker: 1 is a whole core.",
            "percentunit",
            (Query(f"rate({series('process_cpu_seconds_total', OURS)}[5m])", "{{instance}}"),),
            width=8,
        ),
        Panel(
            "Partitions owned",
            "Source partitions of each worker.",
            "short",
            (Query(series("funnel_assigned_partitions"), "{{instance}}"),),
            width=8,
        ),
        Panel(
            "Programs",
            "Name and version of each worker.",
            "short",
            (Query(series("funnel_worker_info")),),
            "table",
            width=24,
            height=5,
        ),
    ),
)

FLOW = Row(
    "Records",
    (
        Panel(
            "Records",
            "Records absorbed a second, all workers and topics.",
            "rps",
            (Query(recorded("job:funnel_records:rate5m"), "records"),),
        ),
        Panel(
            "Lag",
            "Records in the source topics that are not yet absorbed.",
            "short",
            (Query(recorded("topic:funnel_lag_records:sum"), "{{topic}}"),),
        ),
        Panel(
            "Time complete up to",
            "Age of each partition's watermark: how far behind now its figures are.",
            "s",
            (Query(age(_by_partition("funnel_watermark_timestamp_seconds")), "{{partition}}"),),
            alarm_from=300,
        ),
        Panel(
            "Age of the latest window",
            "Time since the end of the latest closed, merged window. About two minutes is usual.",
            "s",
            (Query(age(recorded("job:funnel_window_end_timestamp_seconds:max")), "age"),),
            alarm_from=300,
        ),
        Panel(
            "Windows closed",
            "Windows closed and merged a minute.",
            "short",
            (Query(f"60 * {_rate('funnel_windows_total')}", "windows"),),
        ),
        Panel(
            "Partitions missing in the latest window",
            "Partitions whose rows did not come in time; they correct the window afterwards.",
            "short",
            (Query(f"max({series('funnel_window_missing_partitions')})", "missing"),),
            alarm_from=1,
        ),
    ),
)

QUALITY = Row(
    "Quality of the records",
    (
        Panel(
            "Rejected",
            "Records refused a second, by reason. They are in the dead-letter topic with their coordinates.",
            "rps",
            (Query(_rate("funnel_rejected_records_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            "Out of order, late, repeated",
            "Records a second that came behind the watermark, after their window, twice, or with a clock ahead.",
            "rps",
            (
                Query(_rate("funnel_behind_watermark_records_total"), "behind the watermark"),
                Query(_rate("funnel_late_records_total"), "late"),
                Query(_rate("funnel_duplicate_records_total"), "duplicate"),
                Query(_rate("funnel_clamped_records_total"), "clock ahead"),
            ),
        ),
        Panel(
            "Unreadable fields",
            "Optional fields dropped a second; the event itself counts.",
            "cps",
            (Query(_rate("funnel_field_defects_total", "field"), "{{field}}"),),
        ),
        Panel(
            "Dead letters and wrong partitions",
            "Records a second sent to the dead-letter topic, and records in another partition than their key's.",
            "rps",
            (
                Query(_rate("funnel_dead_letter_records_total"), "dead letters"),
                Query(_rate("funnel_miskeyed_records_total"), "wrong partition"),
            ),
        ),
    ),
)

SOURCES = Row(
    "Source topics",
    (
        Panel(
            "Troubles of sources",
            "How often in an hour a source was found to have lost records, begun anew, changed its partitions, "
            "fallen silent, or to be written by a wrong clock.",
            "short",
            (Query(f"sum by (kind) (increase({series('funnel_source_troubles_total')}[1h]))", "{{kind}}"),),
            width=8,
            alarm_from=1,
        ),
        Panel(
            "Latest troubles",
            "Time since a source was last found in trouble.",
            "s",
            (
                Query(
                    age(f"max by (kind, topic, partition) ({series('funnel_source_trouble_timestamp_seconds')})"),
                    "{{kind}} {{topic}}[{{partition}}]",
                ),
            ),
            width=8,
        ),
        Panel(
            "Records lost",
            "Records that retention removed before a worker had read them, since the start of the workers.",
            "short",
            (Query(f"sum({series('funnel_lost_records_total')})", "lost"),),
            "stat",
            width=8,
            alarm_from=1,
        ),
        Panel(
            "Fetches read again",
            "Fetches that got lost between client and engine and were read again. No row is wrong for it.",
            "short",
            (Query(f"sum(increase({series('funnel_fetches_read_again_total')}[1h]))", "read again"),),
            width=8,
        ),
        Panel(
            "Time since the last record",
            "How long each partition has brought no record of any source.",
            "s",
            (Query(age(_by_partition("funnel_last_record_timestamp_seconds")), "{{partition}}"),),
            width=16,
        ),
    ),
)

STATE = Row(
    "State",
    (
        Panel(
            "Age of the snapshot",
            "Time since the last durable snapshot of each partition: what a restart has to read again.",
            "s",
            (Query(age(_by_partition("funnel_snapshot_timestamp_seconds")), "{{partition}}"),),
            alarm_from=300,
        ),
        Panel(
            "Size of the snapshot",
            "Bytes of the last durable snapshot of each partition.",
            "bytes",
            (Query(_by_partition("funnel_snapshot_bytes"), "{{partition}}"),),
        ),
        Panel(
            "Sessions open",
            "Sessions that may still go on, all partitions.",
            "short",
            (Query(f"sum({series('funnel_open_sessions')})", "sessions"),),
        ),
        Panel(
            "Judged series",
            "KPIs and segments by the state of their latest verdict.",
            "short",
            (Query(f"max by (state) ({series('funnel_verdict_series')})", "{{state}}"),),
        ),
        Panel(
            "Series left out",
            "KPI series above the cap of the metrics page.",
            "short",
            (Query(f"max({series('funnel_dropped_series')})", "left out"),),
            alarm_from=1,
        ),
        Panel(
            "Time to scrape",
            "How long Prometheus waits for each worker's metrics page.",
            "s",
            (Query(series("scrape_duration_seconds", OURS), "{{instance}}"),),
        ),
    ),
)

HEALTH = Board(
    HEALTH_BOARD,
    "Pipeline",
    "Do records flow, how far behind are the figures, what is refused, what would a restart cost.",
    (),
    (WORKERS, FLOW, QUALITY, SOURCES, STATE),
    ("Funnel", FUNNEL_BOARD),
)
