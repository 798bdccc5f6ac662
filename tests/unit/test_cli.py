"""What a user meets at the command line: one clear line and an exit code for whatever is given wrongly."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from streams.cli import main


@pytest.fixture
def events(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run(["simulate", "--out", "events.jsonl", "--length", "3m", "--rate", "30", "--seed", "3"])
    capsys.readouterr()
    return tmp_path / "events.jsonl"


def run(arguments: list[str]) -> int:
    before, sys.argv = sys.argv, ["funnelwatch", *arguments]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    finally:
        sys.argv = before
    return 0


WRONG = {
    "simulate --out none/x.jsonl": "--out = 'none/x.jsonl'",
    "simulate --out -": "--out = '-'",
    "simulate --out /dev/null": "--out = '/dev/null'",
    "simulate --out x --rate 0": "--rate = 0.0",
    "simulate --out x --rate inf": "--rate = inf",
    "simulate --out x --rate nan": "--rate = nan",
    "simulate --out x --length 0s": "--length = '0s'",
    "simulate --out x --length 5": "--length",
    f"simulate --out x --length {'9' * 400}d": "--length",
    "simulate --out x --start soon": "--start = 'soon'",
    "simulate --out x --incident alien": "incident = 'alien'",
    "simulate --out x --follow": "--follow",
    "simulate --out x --bootstrap b:9092": "--bootstrap",
    "simulate --bootstrap 127.0.0.1:99999": "--bootstrap",
    "replay none.jsonl": "'none.jsonl'",
    "replay .": "'.'",
    "replay events.jsonl events.jsonl": "events.jsonl",
    "replay events.jsonl --bootstrap b:9092": "--bootstrap",
    "replay events.jsonl --from noon": "--from = 'noon'",
    "replay events.jsonl --from 2026-03-02 --to 2026-03-01": "--to",
    "replay events.jsonl --speed 0": "--speed = 0.0",
    "replay events.jsonl --speed nan": "--speed = nan",
    "replay events.jsonl --format xml": "format = 'xml'",
    "replay events.jsonl --rows -": "--rows = '-'",
    "replay events.jsonl --rows none/rows": "--rows = 'none/rows'",
    "replay events.jsonl --rows events.jsonl": "--rows = 'events.jsonl'",
    "replay events.jsonl --rows ./one --report one": "--report = 'one'",
    "replay events.jsonl --report /dev/null": "--report = '/dev/null'",
    "replay events.jsonl --report .": "--report = '.'",
    "replay events.jsonl --config none.toml": "--config = 'none.toml'",
    "judge none.jsonl": "'none.jsonl'",
    "judge events.jsonl": "line 1 is not a KPI row",
    "judge events.jsonl --out events.jsonl": "--out = 'events.jsonl'",
    "check --bootstrap host:port": "--bootstrap",
    "run --bootstrap 127.0.0.1:0": "--bootstrap",
    "topics --bootstrap ,": "--bootstrap",
    "demo --for soon": "--for",
    "note sale --from 2026-06-18": "--to: is missing",
    "note sale --from noon --to 2026-06-19": "--from = 'noon'",
    "note sale --from 2026-06-18 --to 2026-06-18": "--to = '2026-06-18': is not after --from",
    "note sale --from 2026-06-18 --to 2026-08-18": "--to = '2026-08-18': is more than 60 days",
    "note sale --from 2026-06-18 --to 2026-06-19 --kind party": "--kind = 'party'",
    "note sale --from 2026-06-18 --to 2026-06-19 --segment luck=1": "--segment = 'luck=1'",
    "note sale --from 2026-06-18 --to 2026-06-19 --channel sem --segment channel=seo": "--segment",
    "note sale --remove 1a": "--remove",
    "note sale --list": "--list",
    "label 1a lucky": "LABEL = 'lucky'",
    "judge events.jsonl --calendar none.jsonl": "--calendar = 'none.jsonl'",
    "replay events.jsonl --calendar events.jsonl": "line 1 is no note",
    "demo --for 1s": "--for",
    "demo --metrics-port 70000": "--metrics-port = 70000",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_argument_is_told_in_one_line_that_names_it(
    line: str, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = events.read_bytes()
    assert run(line.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith("funnelwatch: ")
    assert WRONG[line] in told.err
    assert sorted(path.name for path in events.parent.iterdir()) == ["events.jsonl", "events.labels.json"]
    assert events.read_bytes() == before


CONFIGS = {
    "x = [": "is no TOML",
    "[shop]\ntimezon = 'UTC'": "shop.timezon = 'UTC': unknown key; did you mean \"timezone\"?",
    "[shop]\ntimezone = 'Mars/X'": "shop.timezone = 'Mars/X'",
    "shop = 3": "shop = 3: has to be a table [shop]",
    "[source]\ntopic = 'a'": "has to be a table [[source]]",
    "[[source]]\nformat = 'native'": "source.0.topic: is missing",
    "[[source]]\ntopic = 'a'\nformat = 'xml'": "source.0.format = 'xml': no such format; use one of native",
    "[kafka]\nbootstrap = 'shop:kafka'": "kafka.bootstrap = 'shop:kafka'",
    "[kafka]\nsasl_password = 'secret'": "kafka.sasl_password: unknown key",
    "[time]\ngrace = '5 parsecs'": "time.grace = '5 parsecs'",
    "[time]\ngrace = '99999999d'": "time.grace = '99999999d'",
    "[detection]\nsegment_kpis = ['luck']": "detection.segment_kpis = 'luck'",
    "[detection]\nsegment_dimensions = ['luck']": "detection.segment_dimensions: 'luck'",
    "[privacy]\nsalt_file = '/none'": "privacy.salt_file = '/none'",
}


@pytest.mark.parametrize("text", CONFIGS)
def test_a_wrong_configuration_is_told_by_its_key(
    text: str, events: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "shop.toml").write_text(text, encoding="utf-8")
    assert run(["replay", "events.jsonl", "--config", "shop.toml"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert CONFIGS[text] in told.err


@pytest.mark.parametrize(
    "arguments",
    [["check"], ["topics"], ["replay"], ["simulate", "--length", "1m"], ["note"], ["label", "1a", "expected"]],
)
def test_without_a_broker_the_exit_code_is_three(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--bootstrap", "127.0.0.1:1"]) == 3
    told = capsys.readouterr()
    assert "no broker answers" in told.out + told.err
    assert told.err.count("\n") == (arguments != ["check"])


@pytest.mark.parametrize("url", ["prometheus:9090", "http://a b", "http://127.0.0.1:port", "http://127.0.0.1:1"])
def test_what_is_no_prometheus_is_a_finding(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--bootstrap", "127.0.0.1:1", "--prometheus", url]) == 3
    told = capsys.readouterr()
    assert f"{url}: does not answer as a Prometheus" in told.out
    assert told.err == ""


def test_json_is_alone_on_standard_output(events: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--out", "more.jsonl", "--length", "1m", "--rate", "30", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["to"] == "more.jsonl"
    assert run(["replay", "events.jsonl", "--rows", "rows.jsonl", "--report", "report.html", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] > 0
    assert run(["judge", "rows.jsonl"]) == 0
    assert all(json.loads(line)["record"] for line in capsys.readouterr().out.splitlines())
    assert run(["check", "--bootstrap", "127.0.0.1:1", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert not list(events.parent.glob("*.part*"))
    assert not list(events.parent.glob(".*"))


def test_a_file_without_events_is_replayed_to_nothing(events: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (events.parent / "empty.jsonl").touch()
    (events.parent / "binary.jsonl").write_bytes(bytes(range(256)) * 20)
    for name in ("empty.jsonl", "binary.jsonl"):
        assert run(["replay", name]) == 0
        told = capsys.readouterr()
        assert "No event was counted" in told.out
        assert told.err == ""


@pytest.mark.parametrize("command", ["run", "demo", "simulate", "replay", "judge", "check", "topics", "note", "label"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert f"funnelwatch {command}" in capsys.readouterr().out
