"""The rule file: recording and alerting rules as Prometheus reads them."""

from __future__ import annotations

from typing import Any

from dashboards.links import Links
from dashboards.rules.alerts import ALERTS, Alert
from dashboards.rules.recording import RECORDINGS

__all__ = ["rule_file", "span"]


def rule_file(
    *, links: Links | None = None, speedup: float = 1, interval_seconds: float | None = None
) -> dict[str, Any]:
    """The rule file as plain data.

    Parameters
    ----------
    links
        Where runbooks and boards are served.
    speedup
        Divides ``for`` and ``keep_firing_for`` and nothing else, for demonstrations and tests.
    interval_seconds
        Evaluation interval of the groups; None leaves it to Prometheus' own.
    """
    links = links or Links()
    told: dict[str, Any] = {} if interval_seconds is None else {"interval": span(interval_seconds)}
    recording = [{"record": rule.name, "expr": rule.expr} for rule in RECORDINGS]
    # One group: rules of a group run in order, so the alerts see what was recorded in the same evaluation.
    rules = recording + [_alerting(alert, links, speedup) for alert in ALERTS]
    return {"groups": [{"name": "funnelwatch", **told, "rules": rules}]}


def span(seconds: float) -> str:
    """A duration as Prometheus and Alertmanager write it.

    >>> span(180), span(90), span(0.5)
    ('3m', '90s', '500ms')
    """
    if seconds and seconds % 60 == 0:
        return f"{int(seconds // 60)}m"
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{round(seconds * 1000)}ms"


def _alerting(alert: Alert, links: Links, speedup: float) -> dict[str, Any]:
    told: dict[str, Any] = {"alert": alert.name, "expr": alert.expr, "for": span(alert.hold_seconds / speedup)}
    if alert.keep_seconds:
        told["keep_firing_for"] = span(alert.keep_seconds / speedup)
    told["labels"] = {"severity": alert.severity}
    told["annotations"] = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": links.runbook(alert.name),
        "dashboard_url": links.board(alert.board, alert.board_query),
    }
    return told
