"""The compose file against everything it names: commands, flags, files, ports, versions."""

import json
import re
import shutil
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from dashboards.panels import DATASOURCE
from dashboards.webhook import main as webhook
from streams.cli import app
from streams.config import load_config
from tests.support.prometheus import require, run

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("funnelwatch:")]
FUNNELWATCH = [name for name in OURS if "entrypoint" not in SERVICES[name]]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def prometheus() -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((ROOT / "config/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    return told


def provisioned(path: str) -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((ROOT / "config/grafana" / path).read_text(encoding="utf-8"))
    assert told["apiVersion"] == 1
    return told


def mounts(service: str) -> dict[str, Path]:
    """Path in the container, by the file or folder of the repository."""
    bound = [one.split(":") for one in SERVICES[service].get("volumes", []) if one.startswith("./")]
    return {inside: ROOT / outside for outside, inside, *_ in bound}


def listens(service: str) -> set[str]:
    published = [one.rsplit(":", 1)[1] for one in SERVICES[service].get("ports", [])]
    return {*published, *SERVICES[service].get("expose", [])}


def parser() -> tuple[str, ...]:
    """The compose program of this machine: Docker's plug-in, or one of the programs of its own."""
    if (docker := shutil.which("docker")) and run(docker, "compose", "version").returncode == 0:
        return docker, "compose"
    return (require("compose", "docker-compose", "podman-compose"),)


def test_a_compose_parser_takes_the_file() -> None:
    told = run(*parser(), "-f", str(ROOT / "docker-compose.yml"), "config")
    assert told.returncode == 0, told.stderr
    for name in SERVICES:
        assert f"\n  {name}:\n" in told.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_restarts_and_is_reached_from_this_machine_only(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", service["image"])
    assert service["restart"] == "unless-stopped"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    # The shop serves nothing that could be asked; when it ends, it is started again.
    assert "healthcheck" in service or name == "shop"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_is_there_and_what_it_waits_for_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    for path in mounts(name).values():
        assert path.exists(), f"{name} mounts {path}"
    assert all(one.endswith(":ro") for one in service.get("volumes", []) if one.startswith("./"))
    volumes = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["volumes"]
    assert {one.split(":")[0] for one in service.get("volumes", []) if not one.startswith("./")} <= set(volumes)
    for other, condition in service.get("depends_on", {}).items():
        assert condition == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", FUNNELWATCH)
def test_the_command_of_a_service_exists_with_its_flags(name: str) -> None:
    command, *words = SERVICES[name]["command"]
    known = getattr(get_command(app), "commands", {})
    assert command in known
    flags = {flag for parameter in known[command].params for flag in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= flags
    config = words[words.index("--config") + 1]
    load_config(mounts(name)[config])
    host, port = words[words.index("--bootstrap") + 1].split(":")
    listeners = SERVICES[host]["environment"]["KAFKA_LISTENERS"]
    assert f"://:{port}," in listeners
    assert f"://{host}:{port}," in SERVICES[host]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_every_worker_is_scraped_where_it_listens() -> None:
    workers = {name for name in FUNNELWATCH if SERVICES[name]["command"][0] == "run"}
    assert len(workers) >= 2
    port = load_config(ROOT / "config/shop.example.toml").metrics.port
    targets = prometheus()["scrape_configs"][0]["static_configs"][0]["targets"]
    assert set(targets) == {f"{name}:{port}" for name in workers}
    for name in workers:
        assert str(port) in listens(name)
        assert SERVICES[name]["command"][-2:] == ["--metrics-host", "0.0.0.0"]
        assert f":{port}/healthz" in SERVICES[name]["healthcheck"]["test"][-1]
    assert f"EXPOSE {port}" in DOCKERFILE


def test_prometheus_finds_its_rules_and_alertmanager() -> None:
    assert set(prometheus()["rule_files"]) <= set(mounts("prometheus"))
    (target,) = prometheus()["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert port in listens(name)
    for service in ("prometheus", name):
        config = next(one for one in SERVICES[service]["command"] if one.startswith("--config.file="))
        assert config.removeprefix("--config.file=") in mounts(service)


def test_alerts_reach_the_service_that_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    alertmanager = yaml.safe_load((ROOT / "config/alertmanager/alertmanager.yml").read_text(encoding="utf-8"))
    (receiver,) = alertmanager["receivers"]
    found = re.fullmatch(r"http://([a-z]+):(\d+)/", receiver["webhook_configs"][0]["url"])
    assert found
    name, port = found.groups()
    assert SERVICES[name]["entrypoint"] == ["python", "-m", "dashboards.webhook"]
    assert SERVICES[name]["command"] == ["--host", "0.0.0.0", "--port", port]
    with pytest.raises(SystemExit):
        webhook(["--help"])
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in ("--host", "--port"))


def test_grafana_gets_its_data_source_and_its_boards() -> None:
    (source,) = provisioned("datasources/prometheus.yml")["datasources"]
    assert source["uid"] == DATASOURCE
    host, port = source["url"].removeprefix("http://").split(":")
    assert port in listens(host)
    (provider,) = provisioned("dashboards/funnelwatch.yml")["providers"]
    boards = mounts("grafana")[provider["options"]["path"]]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (boards / Path(home).name).is_file()
    assert all(json.loads(board.read_text(encoding="utf-8"))["uid"] for board in boards.iterdir())


def test_versions_are_those_that_the_project_is_built_and_tested_with() -> None:
    sdk = next(one for one in requires("funnelwatch") or () if one.startswith("grafana-foundation-sdk"))
    minor = re.search(r"!(\d+\.\d+)\.", sdk)
    assert minor
    assert SERVICES["grafana"]["image"].startswith(f"grafana/grafana:{minor[1]}.")
    pom = (ROOT / "tests/support/kafka/pom.xml").read_text(encoding="utf-8")
    kafka = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([^<]+)</version>", pom)
    assert kafka
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka[1]}"


def test_the_image_is_small_and_runs_as_nobody_in_particular() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert len(stages) == 2
    assert "apt-get" not in stages[1]
    assert "pip" not in stages[1]
    user = re.findall(r"^USER (\w+)$", stages[1], re.MULTILINE)
    assert user == ["funnelwatch"]
    assert 'ENTRYPOINT ["funnelwatch"]' in stages[1]


def test_what_the_image_is_built_from_is_there_and_not_kept_out() -> None:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    ]
    assert {"pyproject.toml", "streams", "detectors", "dashboards"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in kept


@pytest.mark.parametrize("name", OURS)
def test_our_services_cannot_change_their_file_system_or_gain_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
