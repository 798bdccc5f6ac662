"""PromQL built from the metric catalogue: a series or a label nobody declared is an error here, not an empty panel."""

from __future__ import annotations

import re
from typing import NamedTuple

from streams.telemetry import names

__all__ = ["JOB", "PARTS", "WHOLE", "Recording", "age", "each", "harmless", "recorded", "series"]

JOB = "funnelwatch"
WHOLE = f'dimension="{names.ALL}"'
PARTS = f'dimension!="{names.ALL}"'
SERIES = "kpi, dimension, value"
TARGET_LABELS = frozenset({"job", "instance"})
FOREIGN_LABELS = frozenset({"alertname", "alertstate", "severity"})
_MATCHER = re.compile(r'(?P<label>[a-z_]+)(=|!=|=~|!~)"[^"]*"')


class Recording(NamedTuple):
    """A recording rule, named ``level:metric:operations``; ``labels`` are what its series keep."""

    name: str
    expr: str
    labels: tuple[str, ...] = ()


def series(name: str, *matchers: str) -> str:
    """A selector of one exported series; raises ``KeyError`` for a name or label that is not in the catalogue.

    >>> series("funnel_kpi_value", 'kpi="conversion_ratio"', WHOLE)
    'funnel_kpi_value{kpi="conversion_ratio",dimension="all"}'
    >>> series("funnel_kpi_value", 'channel="sem"')
    Traceback (most recent call last):
    KeyError: 'funnel_kpi_value has no label channel'
    """
    labels = FOREIGN_LABELS if name in names.FOREIGN else frozenset(names.metric(name).labels)
    return _selector(name, labels | TARGET_LABELS, matchers)


def recorded(name: str, *matchers: str) -> str:
    """A selector of one recorded series, checked in the same way."""
    from dashboards.rules.recording import RECORDINGS

    rule = next((each for each in RECORDINGS if each.name == name), None)
    if rule is None:
        raise KeyError(f"{name} is not recorded")
    return _selector(name, frozenset(rule.labels), matchers)


def each(name: str, *matchers: str) -> str:
    """A judge's series without the worker that exports it, so that its identity survives a change of the judge."""
    return f"max by ({SERIES}) ({series(name, *matchers)})"


def age(moments: str) -> str:
    """Seconds since a moment: the moment is exported, the age is computed where it is read."""
    return f"time() - {moments}"


def harmless(*sides: str) -> str:
    """KPIs that hurt on the given sides: for ``unless on (kpi)``, so that a KPI nobody described still alerts."""
    return series("funnel_kpi_info", f'hurts=~"{"|".join(sides)}"')


def _selector(name: str, labels: frozenset[str], matchers: tuple[str, ...]) -> str:
    for matcher in matchers:
        found = _MATCHER.fullmatch(matcher)
        if not found or found["label"] not in labels:
            raise KeyError(f"{name} has no label {found['label'] if found else matcher}")
    return name + ("{" + ",".join(matchers) + "}" if matchers else "")
