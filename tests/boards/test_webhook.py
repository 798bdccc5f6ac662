"""The receiver of notifications: what it takes, what it refuses, how it tells."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from dashboards.webhook import Notification, WebhookReceiver

FIRING = {
    "status": "firing",
    "labels": {"alertname": "FunnelKpiAtZero", "severity": "critical", "kpi": "orders"},
    "annotations": {"summary": "orders is at zero while shoppers keep trying"},
}
RESOLVED = {"status": "resolved", "labels": {"alertname": "FunnelLagGrowing"}}


def post(url: str, body: bytes) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_every_alert_of_a_notification_is_taken_in_order() -> None:
    taken: list[Notification] = []
    with WebhookReceiver(taken.append) as receiver:
        assert post(receiver.url, json.dumps({"version": "4", "alerts": [FIRING, RESOLVED]}).encode()) == 200
    assert [one.line() for one in taken] == [
        "firing critical FunnelKpiAtZero: orders is at zero while shoppers keep trying",
        "resolved FunnelLagGrowing",
    ]


@pytest.mark.parametrize(
    ("told", "status"),
    [
        (b"no json", 400),
        (b"[]", 400),
        (b'{"alerts": 7}', 400),
        (json.dumps({"alerts": [FIRING, {"status": "firing"}]}).encode(), 400),
        (b"", 413),
    ],
)
def test_what_is_no_notification_is_refused_whole(told: bytes, status: int) -> None:
    taken: list[Notification] = []
    with WebhookReceiver(taken.append) as receiver:
        assert post(receiver.url, told) == status
        assert post(receiver.url, json.dumps({"alerts": [FIRING]}).encode()) == 200
    assert len(taken) == 1


def test_the_command_prints_a_line_an_alert() -> None:
    command = [sys.executable, "-m", "dashboards.webhook", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[-1]
            told: dict[str, Any] = {"alerts": [FIRING]}
            assert post(url, json.dumps(told).encode()) == 200
            assert process.stdout.readline() == (
                "firing critical FunnelKpiAtZero: orders is at zero while shoppers keep trying\n"
            )
        finally:
            process.terminate()
