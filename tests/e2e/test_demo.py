"""The demonstration runs unattended, ends by itself, and its outage is caught."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from dashboards.stack import missing_programs
from streams.events import REASONS
from tests.support.brokers import missing

SECONDS = 100


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> tuple[dict, Path]:
    place = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "streams.cli", "demo", "--for", f"{SECONDS}s", "--json", "--metrics-port", "0"]
    ended = subprocess.run(command, cwd=place, env=environment(), capture_output=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    lines = ended.stdout.splitlines()
    assert len(lines) == 1, ended.stdout
    return orjson.loads(lines[0]), place


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def test_the_outage_is_caught_and_told_as_one(outcome):
    told, _ = outcome
    assert told["outage"]["caught"] is True, told["incidents"]
    found = [one for one in told["incidents"] if one["is_the_outage"]]
    assert found[0]["kind"] in {"drop", "stop"}
    assert any("payment" in kpi for kpi in found[0]["kpis"])
    assert found[0]["onset"] <= found[0]["detected"] <= found[0]["told"]
    assert told["windows_closed"] > 150


def test_the_outage_is_put_on_the_provider_that_failed_with_its_cost(outcome):
    told, _ = outcome
    (found,) = (one for one in told["incidents"] if one["is_the_outage"])
    named = [blame["segment"].get("payment_provider") for blame in found["attribution"]]
    # Of an alert on the provider's own series the rest of the sentence says where.
    assert "psp-1" in named or "in payment_provider=psp-1" in found["summary"], found
    assert found["orders_lost"] > 0
    assert found["money_lost_minor"] > 0


def test_an_alert_about_it_reaches_the_webhook(outcome):
    if programs := missing_programs():
        missing("prometheus", f"{', '.join(programs)} not installed")
    told, _ = outcome
    assert told["alerts_delivered"] >= 1
    assert any("payment" in one["kpi"] or one["kpi"] in {"orders", "conversion_ratio"} for one in told["alerts"])


def test_what_went_in_is_counted_and_what_was_broken_is_rejected_by_reason(outcome):
    told, _ = outcome
    assert 0 < told["records_absorbed"] <= told["events_in"]
    assert told["rejected"]  # which kinds of broken records a short run holds is chance
    assert set(told["rejected"]) <= set(REASONS)
    assert told["duplicates"] > 0


def test_the_events_of_the_run_are_left_with_their_labels(outcome):
    told, place = outcome
    labels = orjson.loads((place / told["left"]["labels"]).read_bytes())
    assert [one["kind"] for one in labels["incidents"]] == ["payment_outage"]
    assert (place / told["left"]["events"]).stat().st_size > 100_000
    assert (place / told["left"]["config"]).exists()


def test_an_interrupted_demonstration_stops_everything_and_starts_again_at_once(tmp_path):
    for reached in ("the worker", "pre-playing"):
        command = [sys.executable, "-m", "streams.cli", "demo", "--calm", "--metrics-port", "0"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            assert running.stdout is not None
            for line in running.stdout:
                if reached in line:
                    break
            running.send_signal(signal.SIGINT)
            rest, errors = running.communicate(timeout=60)
        assert running.returncode == 0, errors
        assert "events went in" in rest
        deadline = time.monotonic() + 10
        while (left := started_by(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == []


def started_by(place: Path) -> list[str]:
    """Command lines of the processes that still run in this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")) == place:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
