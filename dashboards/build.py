"""Writes what Grafana, Prometheus, Alertmanager and people read: ``python -m dashboards.build [--check]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from dashboards.boards.funnel import FUNNEL
from dashboards.boards.health import HEALTH
from dashboards.panels import rendered
from dashboards.reference import alerts_page, metrics_page
from dashboards.rules.group import rule_file
from dashboards.stack import alertmanager_config, prometheus_config

__all__ = ["WORKERS", "generated", "main"]

ROOT = Path(__file__).parents[1]
METRICS_PORT = 9464
WORKERS = tuple(f"{service}:{METRICS_PORT}" for service in ("worker-1", "worker-2"))
ALERTMANAGER = "alertmanager:9093"
RECEIVER = "http://alerts:9465/"
HEADER = "# Written by `python -m dashboards.build`; change {source} and run it again.\n"


def generated() -> dict[Path, str]:
    """Every generated file, by its path in the repository."""
    rules = "/etc/prometheus/rules.yml"
    return {
        Path("dashboards/generated/boards/funnel.json"): rendered(FUNNEL),
        Path("dashboards/generated/boards/health.json"): rendered(HEALTH),
        Path("dashboards/generated/rules.yml"): _yaml(rule_file(), "dashboards/rules"),
        Path("docs/metrics.md"): metrics_page(),
        Path("docs/runbooks/README.md"): alerts_page(),
        Path("config/prometheus/prometheus.yml"): _yaml(
            prometheus_config(WORKERS, ALERTMANAGER, rules), "dashboards/stack.py"
        ),
        Path("config/alertmanager/alertmanager.yml"): _yaml(alertmanager_config(RECEIVER), "dashboards/stack.py"),
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the generated files, or say which are not current; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.build", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    told = parser.parse_args(arguments)
    stale = [path for path, text in generated().items() if _text(told.root / path) != text]
    if told.check:
        for path in stale:
            print(f"{path} is not current: run `python -m dashboards.build`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        (told.root / path).parent.mkdir(parents=True, exist_ok=True)
        (told.root / path).write_text(generated()[path], encoding="utf-8")
        print(f"wrote {path}")
    return 0


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _yaml(content: dict[str, Any], source: str) -> str:
    return HEADER.format(source=source) + yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    sys.exit(main())
