"""The configuration of a native run, and what is said when it cannot run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dashboards.links import Links
from dashboards.rules.alerts import ALERTS
from dashboards.stack import Pace, missing_programs, running_stack, write_stack_config
from streams.errors import FunnelwatchError
from tests.support.brokers import missing


def written(directory: Path, **told: object) -> tuple[dict, dict, dict]:  # type: ignore[type-arg]
    files = write_stack_config(
        directory,
        targets=["127.0.0.1:9464", "127.0.0.1:9466"],
        alertmanager_url="http://127.0.0.1:9093/",
        webhook_url="http://127.0.0.1:9465/",
        **told,  # type: ignore[arg-type]
    )
    return tuple(json.loads(path.read_text(encoding="utf-8")) for path in files)  # type: ignore[return-value]


def test_the_files_name_the_workers_the_alertmanager_and_the_receiver(tmp_path: Path) -> None:
    prometheus, _, alertmanager = written(tmp_path / "made", pace=Pace(scrape_seconds=2, evaluation_seconds=3))
    assert prometheus["scrape_configs"][0]["static_configs"] == [{"targets": ["127.0.0.1:9464", "127.0.0.1:9466"]}]
    assert prometheus["global"] == {"scrape_interval": "2s", "evaluation_interval": "3s"}
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"] == [{"targets": ["127.0.0.1:9093"]}]
    assert alertmanager["receivers"][0]["webhook_configs"][0]["url"] == "http://127.0.0.1:9465/"


def test_a_speedup_shortens_waiting_and_leaves_the_meaning_alone(tmp_path: Path) -> None:
    usual, quick = (
        {rule["alert"]: rule for rule in told[1]["groups"][0]["rules"] if "alert" in rule}
        for told in (written(tmp_path / "usual"), written(tmp_path / "quick", pace=Pace(speedup=60)))
    )
    for alert in ALERTS:
        assert quick[alert.name]["expr"] == usual[alert.name]["expr"]
        assert quick[alert.name]["for"] == f"{alert.hold_seconds // 60}s"
    assert usual["FunnelLagGrowing"]["for"] == "10m"


def test_links_are_changed_in_one_place(tmp_path: Path) -> None:
    links = Links(runbooks="https://wiki.shop.example/funnel/", grafana="https://grafana.shop.example")
    _, rules, _ = written(tmp_path, links=links)
    told = [rule["annotations"] for rule in rules["groups"][0]["rules"] if "alert" in rule]
    assert all(one["runbook_url"].startswith("https://wiki.shop.example/funnel/Funnel") for one in told)
    assert all(one["dashboard_url"].startswith("https://grafana.shop.example/d/funnelwatch-") for one in told)


def test_a_program_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_programs() == ["prometheus", "alertmanager"]
    with (
        pytest.raises(FunnelwatchError, match="alertmanager: is not installed; install alertmanager"),
        running_stack(tmp_path / "stack", targets=[], webhook_url="http://127.0.0.1:9/"),
    ):
        pass


KEEPER = """
import sys, time
from pathlib import Path
from dashboards.stack import running_stack
from streams.broker import die_with_parent

made = running_stack(Path(sys.argv[1]), targets=[], webhook_url="http://127.0.0.1:9/", before_start=die_with_parent())
with made as stack:
    print(stack.prometheus_url, stack.alertmanager_url, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a child with its parent")
def test_both_programs_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    if programs := missing_programs():
        missing("prometheus", f"{', '.join(programs)} not installed")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KEEPER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline().startswith(b"http://127.0.0.1:")
        assert len(programs_of(tmp_path)) == 2
        keeper.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while programs_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert programs_of(tmp_path) == []


def programs_of(directory: Path) -> list[int]:
    """Process ids of running programs whose arguments name the directory, our keeper's apart."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if f"={directory}/".encode() in arguments:
            found.append(int(place.name))
    return found
