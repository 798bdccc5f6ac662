"""Prometheus and Alertmanager for funnelwatch: their configuration, and both as processes of this machine."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep  # noqa: TID251 - waits for processes, not for events
from typing import Any, NamedTuple

from dashboards.links import Links
from dashboards.queries import JOB
from dashboards.rules.group import rule_file, span
from streams.errors import FunnelwatchError

__all__ = [
    "Pace",
    "Stack",
    "StackFiles",
    "alertmanager_config",
    "missing_programs",
    "prometheus_config",
    "running_stack",
    "start_alertmanager",
    "start_prometheus",
    "write_stack_config",
]

PROMETHEUS = ("prometheus",)
ALERTMANAGER = ("alertmanager", "prometheus-alertmanager")
START_SECONDS, STOP_SECONDS = 30, 10
SHOP_ALERTS = "FunnelKpiBelowRange|FunnelKpiAboveRange|FunnelSegmentBelowRange"
KPI_ALERTS = f"{SHOP_ALERTS}|FunnelKpiAtZero|FunnelTrackingLost|FunnelBotTraffic"

# (what explains, what it explains, labels that must agree)
INHIBITIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("FunnelDataSilent|FunnelDataStale|FunnelJudgeMissing", KPI_ALERTS, ()),
    ("FunnelDataSilent", "FunnelDataStale|FunnelPartitionStale|FunnelPartitionSilent|FunnelJudgeMissing", ()),
    ("FunnelDataStale", "FunnelPartitionStale", ()),
    ("FunnelTrackingLost|FunnelBotTraffic", SHOP_ALERTS, ("kpi",)),
    ("FunnelKpiAtZero", "FunnelKpiBelowRange", ("kpi",)),
    ("FunnelKpiAtZero|FunnelKpiBelowRange", "FunnelSegmentBelowRange", ("kpi",)),
)


class StackFiles(NamedTuple):
    """The configuration files of one stack."""

    prometheus: Path
    rules: Path
    alertmanager: Path


class Pace(NamedTuple):
    """How quickly a stack looks and speaks.

    ``speedup`` divides ``for`` of the alerts and Alertmanager's waits, and nothing else: 1 is for a shop,
    60 lets a minute pass in a second for a demonstration.
    """

    scrape_seconds: float = 15
    evaluation_seconds: float = 15
    speedup: float = 1


class Stack(NamedTuple):
    """A running stack: base addresses without a slash at the end."""

    prometheus_url: str
    alertmanager_url: str
    files: StackFiles


def prometheus_config(
    targets: Sequence[str],
    alertmanager: str,
    rules: str,
    pace: Pace = Pace(),  # noqa: B008 - immutable
) -> dict[str, Any]:
    """Prometheus' configuration as plain data.

    Parameters
    ----------
    targets
        ``host:port`` of each worker's metrics page.
    alertmanager
        ``host:port`` of Alertmanager.
    rules
        Path of the rule file, as Prometheus sees it.
    pace
        Intervals between scrapes and between evaluations of the rules.
    """
    return {
        "global": {
            "scrape_interval": span(pace.scrape_seconds),
            "evaluation_interval": span(pace.evaluation_seconds),
        },
        "rule_files": [rules],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {
                "job_name": JOB,
                "scrape_timeout": span(min(10, pace.scrape_seconds)),
                # A runaway segment must not fill the server: the worker's own cap is well below.
                "sample_limit": 50_000,
                "static_configs": [{"targets": list(targets)}],
            }
        ],
    }


def alertmanager_config(webhook_url: str, *, speedup: float = 1) -> dict[str, Any]:
    """Alertmanager's configuration as plain data: one notification per alert, and none for what is explained.

    Parameters
    ----------
    webhook_url
        Where notifications are posted.
    speedup
        Divides the waiting times of grouping.
    """
    waits = {"group_wait": 10, "group_interval": 60, "repeat_interval": 4 * 3600}
    return {
        "route": {
            "receiver": "webhook",
            # KPIs that fall together are one page, not one each.
            "group_by": ["alertname"],
            **{name: span(max(1, seconds / speedup)) for name, seconds in waits.items()},
        },
        "inhibit_rules": [_inhibition(*one) for one in INHIBITIONS],
        "receivers": [{"name": "webhook", "webhook_configs": [{"url": webhook_url, "send_resolved": True}]}],
    }


def write_stack_config(
    directory: Path,
    *,
    targets: Sequence[str],
    alertmanager_url: str,
    webhook_url: str,
    pace: Pace = Pace(),  # noqa: B008 - immutable
    links: Links | None = None,
) -> StackFiles:
    """Write the three files of a native run into ``directory``; they are JSON, which every YAML reader takes."""
    directory.mkdir(parents=True, exist_ok=True)
    files = StackFiles(directory / "prometheus.yml", directory / "rules.yml", directory / "alertmanager.yml")
    alertmanager = alertmanager_url.removeprefix("http://").rstrip("/")
    told: Mapping[Path, dict[str, Any]] = {
        files.prometheus: prometheus_config(targets, alertmanager, str(files.rules.resolve()), pace),
        files.rules: rule_file(links=links, speedup=pace.speedup),
        files.alertmanager: alertmanager_config(webhook_url, speedup=pace.speedup),
    }
    for path, content in told.items():
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return files


def missing_programs() -> list[str]:
    """Which of the two programs a native run would miss on this machine."""
    return [names[0] for names in (PROMETHEUS, ALERTMANAGER) if not any(map(shutil.which, names))]


@contextmanager
def start_prometheus(
    config: Path, *, data: Path, port: int, before_start: Callable[[], None] | None = None
) -> Iterator[str]:
    """Run Prometheus on loopback for the length of a ``with`` block; yields its address once it is ready."""
    arguments = [
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with _process(PROMETHEUS, arguments, port=port, log=data.with_suffix(".log"), before_start=before_start) as url:
        yield url


@contextmanager
def start_alertmanager(
    config: Path, *, data: Path, port: int, before_start: Callable[[], None] | None = None
) -> Iterator[str]:
    """Run Alertmanager on loopback, without a cluster, for the length of a ``with`` block."""
    arguments = [
        f"--config.file={config}",
        f"--storage.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    with _process(ALERTMANAGER, arguments, port=port, log=data.with_suffix(".log"), before_start=before_start) as url:
        yield url


@contextmanager
def running_stack(
    directory: Path,
    *,
    targets: Sequence[str],
    webhook_url: str,
    pace: Pace = Pace(),  # noqa: B008 - immutable
    links: Links | None = None,
    before_start: Callable[[], None] | None = None,
) -> Iterator[Stack]:
    """Both programs on free loopback ports, configured for ``targets``, their data in ``directory``.

    ``before_start`` is called in each of the new processes (``preexec_fn``), so that they can be tied to ours.

    Raises
    ------
    FunnelwatchError
        A program is missing or does not get ready; the message names its log.
    """
    ports = _free_ports(2)
    files = write_stack_config(
        directory,
        targets=targets,
        alertmanager_url=f"http://127.0.0.1:{ports[0]}",
        webhook_url=webhook_url,
        pace=pace,
        links=links,
    )
    with (
        start_alertmanager(
            files.alertmanager, data=directory / "alertmanager", port=ports[0], before_start=before_start
        ) as alertmanager_url,
        start_prometheus(
            files.prometheus, data=directory / "prometheus", port=ports[1], before_start=before_start
        ) as prometheus_url,
    ):
        yield Stack(prometheus_url, alertmanager_url, files)


def _inhibition(explains: str, explained: str, equal: tuple[str, ...]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "source_matchers": [f'alertname=~"{explains}"'],
        "target_matchers": [f'alertname=~"{explained}"'],
    }
    return {**told, "equal": list(equal)} if equal else told


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


@contextmanager
def _process(
    names: Sequence[str], arguments: list[str], *, port: int, log: Path, before_start: Callable[[], None] | None
) -> Iterator[str]:
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        way_out = f"install {names[0]} (Debian: {names[-1]})"
        raise FunnelwatchError("is not installed", key=names[0], way_out=way_out)
    url = f"http://127.0.0.1:{port}"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [program, *arguments],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            preexec_fn=before_start,  # noqa: PLW1509 - the caller's word that it is safe between fork and exec
        )
    try:
        _wait_until_ready(process, url, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    while not _is_ready(url):
        if process.poll() is not None or monotonic() > deadline:
            what = "ended" if process.poll() is not None else "was not ready in time"
            raise FunnelwatchError(f"{what} at the start", key=url, way_out=f"its log is {log}")
        sleep(0.05)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:  # noqa: S310 - a loopback address made here
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
