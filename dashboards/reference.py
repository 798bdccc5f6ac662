"""Two pages for readers, written from the catalogues: what is exported, and which alerts there are."""

from __future__ import annotations

from dashboards.rules.alerts import ALERTS, PIPELINE, SHOP, Alert
from dashboards.rules.group import span
from dashboards.rules.recording import RECORDINGS
from streams.telemetry.names import ALL, CATALOGUE

__all__ = ["alerts_page", "metrics_page"]

NOTE = "<!-- Written by `python -m dashboards.build`. -->\n"

METRICS = f"""\
Each worker serves `/metrics`, `/healthz` (503 with the problem while its watchdog finds one) and `/readyz` on
`metrics.port`. Counters are totals of the process and start at zero. Series by `partition` belong to the worker that
owns it and vanish with it. From `funnel_window_end_timestamp_seconds` on, series are exported by one worker only, the
judge; `dimension` and `value` name the segment, and the whole shop is `dimension="{ALL}"`. Label values come from
closed sets: never a person, an order or the text of an error."""
RUNBOOKS = """\
`critical` is for now, `warning` for today, `info` for knowing. An alert fires when its expression has held for the
time given. Rules: `dashboards/rules/alerts.py`; what silences what: `dashboards/stack.py`."""


def metrics_page() -> str:
    """Every exported and every recorded series, as Markdown."""
    exported = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
        for one in CATALOGUE
    ]
    recorded = [f"| `{rule.name}` | `{_escaped(rule.expr)}` |" for rule in RECORDINGS]
    return "\n".join(
        [
            "# Metrics",
            "",
            NOTE,
            METRICS,
            "",
            "| series | type | labels | meaning |",
            "| --- | --- | --- | --- |",
            *exported,
            "",
            "Recorded by Prometheus, without the worker that exported it:",
            "",
            "| series | expression |",
            "| --- | --- |",
            *recorded,
            "",
        ]
    )


def alerts_page() -> str:
    """Every alert with its severity and its runbook, as Markdown."""
    return "\n".join(
        [
            "# Runbooks",
            "",
            NOTE,
            RUNBOOKS,
            "",
            "## The shop",
            "",
            *_table(SHOP),
            "",
            "## The pipeline",
            "",
            *_table(PIPELINE),
            "",
            f"{len(ALERTS)} alerts in all.",
            "",
        ]
    )


def _table(alerts: tuple[Alert, ...]) -> list[str]:
    rows = [f"| [{one.name}]({one.name}.md) | {one.severity} | {_after(one.hold_seconds)} |" for one in alerts]
    return ["| alert | severity | after |", "| --- | --- | --- |", *rows]


def _after(seconds: int) -> str:
    return span(seconds) if seconds else "at once"


def _escaped(expr: str) -> str:
    return expr.replace("|", "\\|")
