"""The boards: generated files are current, every panel says what it shows, every query finds data."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards import build, queries
from dashboards.boards.funnel import FUNNEL
from dashboards.boards.health import HEALTH
from dashboards.links import FUNNEL_BOARD, HEALTH_BOARD
from dashboards.panels import DATASOURCE
from dashboards.rules.alerts import ALERTS
from dashboards.rules.recording import RECORDINGS
from dashboards.stack import Pace, running_stack
from streams.telemetry import names
from streams.telemetry.server import MetricsServer
from streams.telemetry.view import View
from tests.support.prometheus import Told, ask, busy_view, require, run, until, verdict

ROOT = Path(__file__).parents[2]
BOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in ROOT.glob("dashboards/generated/boards/*")
}
SELECTOR = re.compile(r"\b((?:[a-z]+:)?(?:funnel|process|scrape)_[a-z0-9_]+(?::[a-z0-9]+)?|up|ALERTS)\b(\{[^}]*\})?")


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def board_queries() -> list[str]:
    return sorted({target["expr"] for board in BOARDS.values() for one in panels(board) for target in one["targets"]})


def chosen(expr: str) -> str:
    return expr.replace("$kpi", "payment_success_ratio").replace("$dimension", "device")


def selectors(expr: str) -> set[tuple[str, str]]:
    return {(name, matchers) for name, matchers in SELECTOR.findall(re.sub(r"\b(by|on) \([^)]*\)", "", expr))}


def rule_selectors() -> list[str]:
    exprs = [rule.expr for rule in RECORDINGS] + [alert.expr for alert in ALERTS]
    return sorted({name + matchers for expr in exprs for name, matchers in selectors(expr)})


def test_the_generated_files_are_current() -> None:
    assert build.main(["--check"]) == 0


def test_a_file_that_is_not_current_is_noticed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--root", str(tmp_path)]) == 0
    assert build.main(["--check", "--root", str(tmp_path)]) == 0
    (tmp_path / "dashboards/generated/rules.yml").write_text("groups: []\n", encoding="utf-8")
    assert build.main(["--check", "--root", str(tmp_path)]) == 1
    assert "dashboards/generated/rules.yml is not current" in capsys.readouterr().err


def test_the_boards_keep_the_addresses_that_alerts_link_to() -> None:
    assert {board["uid"] for board in BOARDS.values()} == {FUNNEL_BOARD, HEALTH_BOARD}
    assert {alert.board for alert in ALERTS} == {FUNNEL_BOARD, HEALTH_BOARD}
    chosen_by_links = set(re.findall(r"var-([a-z]+)=", "".join(alert.board_query for alert in ALERTS)))
    assert chosen_by_links <= {choice.name for choice in FUNNEL.choices}


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows_in_which_unit_and_from_where(name: str) -> None:
    shown = panels(BOARDS[name])
    assert len(shown) > 10
    for panel in shown:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": DATASOURCE}
        assert panel["targets"]
    titles = [panel["title"] for panel in shown]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", BOARDS)
def test_no_panel_lies_on_another(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_query_reads_declared_series_only() -> None:
    known = {metric.name for metric in names.CATALOGUE} | {rule.name for rule in RECORDINGS} | set(names.FOREIGN)
    for expr in board_queries():
        used = {name for name, _ in selectors(expr)}
        assert used, expr
        assert used <= known, expr


def test_every_series_of_the_catalogue_is_on_a_board_or_in_an_alert() -> None:
    exprs = [*board_queries(), *(rule.expr for rule in RECORDINGS), *(alert.expr for alert in ALERTS)]
    used = {name for expr in exprs for name, _ in selectors(expr)}
    assert {metric.name for metric in names.CATALOGUE} <= used


def test_a_series_or_a_label_that_nobody_declared_is_refused() -> None:
    with pytest.raises(KeyError, match="funnel_kpi_values"):
        queries.series("funnel_kpi_values")
    with pytest.raises(KeyError, match="funnel_kpi_value has no label channel"):
        queries.series("funnel_kpi_value", 'channel="sem"')
    with pytest.raises(KeyError, match="is not recorded"):
        queries.recorded("kpi:funnel_kpi_values:max")


def test_prometheus_and_alertmanager_take_the_configuration(tmp_path: Path) -> None:
    promtool, amtool = require("prometheus", "promtool"), require("prometheus", "amtool")
    build.main(["--root", str(tmp_path)])
    config = yaml.safe_load((tmp_path / "config/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    config["rule_files"] = [str(tmp_path / "dashboards/generated/rules.yml")]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for command in (
        (promtool, "check", "config", str(tmp_path / "prometheus.yml")),
        (amtool, "check-config", str(tmp_path / "config/alertmanager/alertmanager.yml")),
    ):
        told = run(*command)
        assert told.returncode == 0, told.stdout + told.stderr


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Prometheus after it has scraped a judge in trouble and a second worker."""
    require("prometheus", "prometheus")
    require("prometheus", "prometheus-alertmanager", "alertmanager")
    judge, second = busy_view(), View(worker="w-2", version="0.1.0")
    window_end_ms = judge.snapshot().readings["conversion_ratio", ()].end_ms
    judge.judged(Told((verdict(end_ms=window_end_ms, active=True, kind="drop", state="alert"),)))
    with MetricsServer(judge, port=0) as first, MetricsServer(second, port=0) as other:
        targets = [f"127.0.0.1:{one.port}" for one in (first, other)]
        pace = Pace(scrape_seconds=0.5, evaluation_seconds=0.5, speedup=600)
        directory = tmp_path_factory.mktemp("stack")
        with running_stack(directory, targets=targets, webhook_url="http://127.0.0.1:9/", pace=pace) as stack:
            assert until(
                lambda: ask(stack.prometheus_url, 'ALERTS{alertstate="firing",alertname="FunnelKpiBelowRange"}')
            )
            assert until(lambda: ask(stack.prometheus_url, "job:funnel_records:rate5m"))
            yield stack.prometheus_url


def finds_data(url: str, expr: str) -> bool:
    return bool(until(lambda: ask(url, expr), seconds=5))


def test_every_query_of_every_board_finds_data(prometheus: str) -> None:
    assert not [expr for expr in map(chosen, board_queries()) if not finds_data(prometheus, expr)]


def test_every_series_that_a_rule_reads_has_data(prometheus: str) -> None:
    assert rule_selectors()
    assert not [one for one in rule_selectors() if not finds_data(prometheus, one)]


def test_every_choice_of_a_board_offers_its_first_value(prometheus: str) -> None:
    for board in (FUNNEL, HEALTH):
        for choice in board.choices:
            found = re.fullmatch(r"label_values\((.+), ([a-z]+)\)", choice.query)
            assert found
            offered = {one["metric"].get(found[2]) for one in ask(prometheus, found[1])}
            assert choice.first in offered


def test_the_worker_is_known_by_its_target_and_no_rule_asks_for_it(prometheus: str) -> None:
    told = ask(prometheus, "kpi:funnel_kpi_value:max")
    assert told
    assert not any({"instance", "job"} & set(one["metric"]) for one in told)
