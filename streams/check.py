"""``funnelwatch check``: what is wrong with config, broker, topics and Prometheus, before anything runs."""

from __future__ import annotations

import asyncio
import http.client
import urllib.request
from typing import Any

import orjson

from streams.config import Config
from streams.live.configured import live_settings
from streams.live.sources import check_sources
from streams.live.topics import Finding, check_topics

__all__ = ["check"]

TIMEOUT_SECONDS = 5.0


def check(config: Config, *, bootstrap: str | None = None, prometheus: str | None = None) -> list[Finding]:
    """Every finding, good ones included; nothing is changed anywhere.

    Parameters
    ----------
    config
        Parsed already: what it cannot be parsed for is an error of its own.
    bootstrap
        Overrides the broker of the file.
    prometheus
        ``http://host:port`` of a Prometheus to be asked, None: not asked.

    Raises
    ------
    ConfigError
        Where the configuration parses, but cannot be used (credentials, KPIs).
    """
    settings = live_settings(config, bootstrap=bootstrap)
    found = [Finding("ok", "config", f"{len(config.catalogue())} KPIs over {', '.join(settings.source_topics)}")]
    if not settings.engine.salt:
        found.append(
            Finding(
                "warning",
                "privacy.salt_file",
                "is empty: hashes of user ids could be guessed",
                "put a random text in a file, or in FUNNELWATCH_SALT",
            )
        )
    topics = asyncio.run(check_topics(settings))
    found += topics
    if not any(finding.level == "error" for finding in topics):
        found += asyncio.run(check_sources(settings))
    return found + (_check_prometheus(prometheus) if prometheus else [])


def _check_prometheus(url: str) -> list[Finding]:
    try:
        targets = _ask(url, "/api/v1/targets?state=active")["activeTargets"]
        groups = _ask(url, "/api/v1/rules")["groups"]
        return _prometheus_findings(url, targets, groups)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return [Finding("error", url, f"does not answer as a Prometheus ({error})", "correct the address, or start it")]


def _prometheus_findings(url: str, targets: list[Any], groups: list[Any]) -> list[Finding]:
    found = []
    workers = [target for target in targets if "funnelwatch" in target["labels"].get("job", "")]
    up = [target for target in workers if target["health"] == "up"]
    if not workers:
        found.append(Finding("error", url, "scrapes no job funnelwatch", "use config/prometheus/prometheus.yml"))
    elif len(up) < len(workers):
        down = ", ".join(target["scrapeUrl"] for target in workers if target["health"] != "up")
        found.append(Finding("warning", url, f"cannot scrape {down}", "start those workers, or correct the targets"))
    else:
        found.append(Finding("ok", url, f"scrapes {len(up)} workers"))
    names = {rule["name"] for group in groups for rule in group["rules"]}
    if not any(name.startswith("Funnel") for name in names):
        found.append(
            Finding("error", url, "has none of our alert rules", "load dashboards/generated/rules.yml as a rule file")
        )
    else:
        found.append(Finding("ok", url, f"has {sum(name.startswith('Funnel') for name in names)} alert rules"))
    return found


def _ask(url: str, path: str) -> Any:
    if not url.startswith(("http://", "https://")):
        raise ValueError("write it as http://host:port")
    with urllib.request.urlopen(url.rstrip("/") + path, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  # scheme checked
        return orjson.loads(answer.read())["data"]
