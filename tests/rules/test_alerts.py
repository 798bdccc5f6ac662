"""One alert, one rule, one promtool pair, one runbook; and pairs that notice a minute more or less."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.rules.alerts import ALERTS, Alert
from dashboards.rules.group import rule_file
from dashboards.rules.recording import RECORDINGS
from dashboards.stack import INHIBITIONS
from streams.telemetry import names
from tests.support.prometheus import require, run

ROOT = Path(__file__).parents[2]
PAIRS = Path(__file__).parent
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = ROOT / "dashboards" / "generated" / "rules.yml"
NAMES = [alert.name for alert in ALERTS]
by_alert = pytest.mark.parametrize("alert", ALERTS, ids=NAMES)


@pytest.fixture(scope="module")
def promtool() -> str:
    return require("prometheus", "promtool")


def cases(alert: Alert) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = yaml.safe_load((PAIRS / f"{alert.name}.yml").read_text(encoding="utf-8"))["tests"]
    return told


def moments(case: dict[str, Any]) -> Iterator[tuple[timedelta, bool]]:
    for check in case["alert_rule_test"]:
        number, unit = re.fullmatch(r"(\d+)([mh])", check["eval_time"]).groups()  # type: ignore[union-attr]
        yield timedelta(**{{"m": "minutes", "h": "hours"}[unit]: int(number)}), bool(check["exp_alerts"])


def test_the_rules_are_rules(promtool: str) -> None:
    told = run(promtool, "check", "rules", str(RULES))
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"SUCCESS: {len(ALERTS) + len(RECORDINGS)} rules found" in told.stdout


def test_every_alert_has_one_rule_one_pair_and_one_runbook() -> None:
    assert len(set(NAMES)) == len(NAMES)
    rules = [rule["alert"] for rule in rule_file()["groups"][0]["rules"] if "alert" in rule]
    assert rules == NAMES
    assert sorted(path.stem for path in PAIRS.glob("*.yml")) == sorted(NAMES)
    assert sorted(path.stem for path in RUNBOOKS.glob("Funnel*.md")) == sorted(NAMES)


@by_alert
def test_it_fires_when_it_should_and_only_then(promtool: str, alert: Alert) -> None:
    told = run(promtool, "test", "rules", str(PAIRS / f"{alert.name}.yml"))
    assert told.returncode == 0, told.stdout + told.stderr


@by_alert
def test_its_pair_knows_the_first_minute_and_a_time_to_be_silent(alert: Alert) -> None:
    first_minute = [
        case["name"]
        for case in cases(alert)
        for (before, silent), (after, fires) in zip(list(moments(case)), list(moments(case))[1:], strict=False)
        if not silent and fires and after - before == timedelta(minutes=1)
    ]
    assert first_minute
    assert [case["name"] for case in cases(alert) if not any(fires for _, fires in moments(case))]


@pytest.mark.parametrize(
    ("alert", "seconds"),
    [(alert, seconds) for alert in ALERTS for seconds in (-60, 60) if alert.hold_seconds + seconds >= 0],
    ids=lambda told: str(told) if isinstance(told, int) else told.name,
)
def test_its_pair_notices_a_minute_more_or_less(promtool: str, alert: Alert, seconds: int, tmp_path: Path) -> None:
    rules = rule_file()
    for rule in rules["groups"][0]["rules"]:
        if rule.get("alert") == alert.name:
            rule["for"] = f"{alert.hold_seconds + seconds}s"
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    pair = yaml.safe_load((PAIRS / f"{alert.name}.yml").read_text(encoding="utf-8")) | {"rule_files": ["rules.yml"]}
    (tmp_path / "pair.yml").write_text(yaml.safe_dump(pair), encoding="utf-8")
    assert run(promtool, "test", "rules", str(tmp_path / "pair.yml")).returncode != 0


@by_alert
def test_it_says_how_severe_it_is_what_to_read_and_where_to_look(alert: Alert) -> None:
    rule = next(rule for rule in rule_file()["groups"][0]["rules"] if rule.get("alert") == alert.name)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    told = rule["annotations"]
    assert all(told[name] for name in ("summary", "description", "runbook_url", "dashboard_url"))
    assert (ROOT / told["runbook_url"]).is_file()
    assert "/d/funnelwatch-" in told["dashboard_url"]


@by_alert
def test_its_expression_reads_declared_series_only(alert: Alert) -> None:
    known = {metric.name for metric in names.CATALOGUE} | {rule.name for rule in RECORDINGS} | set(names.FOREIGN)
    used = set(re.findall(r"\b(?:[a-z]+:)?(?:funnel|process)_[a-z0-9_]+(?::[a-z0-9]+)?\b", alert.expr))
    assert used or "up{" in alert.expr
    assert used <= known


def test_what_explains_and_what_is_explained_exist() -> None:
    for explains, explained, _ in INHIBITIONS:
        assert set(f"{explains}|{explained}".split("|")) <= set(NAMES)
        assert not set(explains.split("|")) & set(explained.split("|")), "an alert would silence itself"
