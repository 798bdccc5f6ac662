"""From a verdict to the pager: worker page, Prometheus, rules, Alertmanager, webhook, all of them real."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time
from typing import NamedTuple

import pytest

from dashboards.stack import Pace, Stack, missing_programs, running_stack, start_prometheus
from dashboards.webhook import Notification, WebhookReceiver
from streams.errors import FunnelwatchError
from streams.telemetry.server import MetricsServer
from streams.telemetry.view import View
from tests.support.prometheus import KPIS, Told, require, until, verdict, window

PACE = Pace(scrape_seconds=0.5, evaluation_seconds=0.5, speedup=60)
IOS = (("device", "ios"),)


class Chain(NamedTuple):
    view: View
    received: list[Notification]
    stack: Stack

    def wait(self, wanted: Callable[[], object]) -> object:
        """Wait for ``wanted`` while records go on arriving: silence would explain, and so inhibit, everything else."""

        def look() -> object:
            records = self.view.snapshot().totals.get("records", 0)
            self.view.partition(0, counts={"records": records + 3}, watermark_ms=None, lag_records={})
            return wanted()

        return until(look)

    def told(self, alert: str, status: str) -> list[Notification]:
        return [one for one in self.received if (one.alert, one.status) == (alert, status)]


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    require("prometheus", "prometheus")
    require("prometheus", "prometheus-alertmanager", "alertmanager")
    view, received = View(worker="w-1", version="0.1.0"), []
    view.assigned((0,), 1)
    view.kpis(KPIS)
    view.judge_live()
    view.ready()
    with (
        WebhookReceiver(received.append) as webhook,
        MetricsServer(view, port=0) as server,
        running_stack(tmp_path, targets=[f"127.0.0.1:{server.port}"], webhook_url=webhook.url, pace=PACE) as stack,
    ):
        yield Chain(view, received, stack)


def judge(view: View, end_ms: int, *, outage: bool) -> None:
    """Tell a window in which the conversion of the shop, most of all on iOS, has or has not fallen."""
    moment = {"start_ms": end_ms - 60_000, "end_ms": end_ms}
    told = {"value": 0.013, "active": True, "kind": "drop", "state": "alert", "score": 3.5} if outage else {}
    view.window(window(end_ms))
    view.judged(Told((verdict(**moment, **told), verdict(segment=IOS, **moment, **told), verdict("orders", **moment))))


def test_an_outage_is_delivered_once_names_its_kpi_and_is_taken_back(chain: Chain) -> None:
    now_ms = int(time() * 1000)
    judge(chain.view, now_ms - 120_000, outage=False)
    judge(chain.view, now_ms - 60_000, outage=True)
    assert chain.wait(lambda: chain.told("FunnelKpiBelowRange", "firing"))
    fired = chain.told("FunnelKpiBelowRange", "firing")[0]
    assert fired.labels["kpi"] == "conversion_ratio"
    assert fired.labels["severity"] == "critical"
    assert fired.annotations["summary"] == "conversion_ratio has fallen below its expected range"
    assert fired.annotations["description"].startswith("It is 0.013, expected between 0.021 and 0.047.")
    assert fired.annotations["runbook_url"].endswith("docs/runbooks/FunnelKpiBelowRange.md")
    assert fired.annotations["dashboard_url"].endswith("/d/funnelwatch-funnel?var-kpi=conversion_ratio")
    assert fired.line().startswith("firing critical FunnelKpiBelowRange: conversion_ratio")
    judge(chain.view, now_ms, outage=False)
    assert chain.wait(lambda: chain.told("FunnelKpiBelowRange", "resolved"))
    assert {one.labels["kpi"] for one in chain.received if "kpi" in one.labels} == {"conversion_ratio"}
    assert not chain.told("FunnelSegmentBelowRange", "firing"), "explained by the alert of the whole shop"


def test_old_figures_page_for_being_old_and_not_for_what_they_say(chain: Chain) -> None:
    old_ms = int(time() * 1000) - 420_000
    judge(chain.view, old_ms, outage=False)
    assert chain.wait(lambda: chain.told("FunnelDataStale", "firing"))
    judge(chain.view, old_ms + 60_000, outage=True)

    def suppressed() -> set[str]:
        with urllib.request.urlopen(f"{chain.stack.alertmanager_url}/api/v2/alerts", timeout=10) as answer:
            alerts = json.load(answer)
        return {one["labels"]["alertname"] for one in alerts if one["status"]["inhibitedBy"]}

    wanted = {"FunnelKpiBelowRange", "FunnelSegmentBelowRange"}
    assert chain.wait(lambda: wanted <= suppressed())
    assert not [one for one in chain.received if one.alert in wanted]


def test_a_configuration_that_is_refused_names_the_log(tmp_path: Path) -> None:
    require("prometheus", "prometheus")
    assert "prometheus" not in missing_programs()
    config = tmp_path / "prometheus.yml"
    config.write_text("scrape_configs: 7\n", encoding="utf-8")
    with (
        pytest.raises(FunnelwatchError, match=r"ended at the start; its log is .*data\.log"),
        start_prometheus(config, data=tmp_path / "data", port=1),
    ):
        pass
