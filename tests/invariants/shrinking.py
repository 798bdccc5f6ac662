"""Makes a failing scenario small: leaves out records as long as the failure stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace

from streams.engine.spec import EngineSpec
from tests.support.reference import SourceRecord
from tests.support.strategies import Scenario

__all__ = ["shrunk", "tell"]


def shrunk(scenario: Scenario, fails: Callable[[Scenario], bool]) -> Scenario:
    """A scenario that still fails, of which no single record can be left out."""
    size = max(1, sum(len(log) for log in scenario.logs) // 2)
    while size:
        smaller = _pass(scenario, fails, size)
        if smaller is scenario:
            size //= 2
        scenario = smaller
    return _plain_spec(scenario, fails)


def _pass(scenario: Scenario, fails: Callable[[Scenario], bool], size: int) -> Scenario:
    for place, log in enumerate(scenario.logs):
        start = 0
        while start < len(scenario.logs[place]):
            log = scenario.logs[place]
            candidate = _with_log(scenario, place, log[:start] + log[start + size :])
            if fails(candidate):
                scenario = candidate
            else:
                start += size
    return scenario


def _with_log(scenario: Scenario, place: int, log: tuple[SourceRecord, ...]) -> Scenario:
    return replace(scenario, logs=tuple(log if n == place else old for n, old in enumerate(scenario.logs)))


def _plain_spec(scenario: Scenario, fails: Callable[[Scenario], bool]) -> Scenario:
    """Back to the defaults, field by field, where the failure does not need them."""
    plain = asdict(EngineSpec())
    for name in plain:
        candidate = replace(scenario, spec=replace(scenario.spec, **{name: getattr(EngineSpec(), name)}))
        if name != "sources" and fails(candidate):
            scenario = candidate
    return scenario


def tell(scenario: Scenario) -> str:
    """The scenario as text: what differs in the spec, and each record in arrival order."""
    plain = EngineSpec()
    names = [
        name for name in asdict(plain) if name != "sources" and getattr(scenario.spec, name) != getattr(plain, name)
    ]
    lines = ["spec: " + (", ".join(f"{name}={getattr(scenario.spec, name)!r}" for name in names) or "defaults")]
    for record in scenario.arrivals():
        value = (record.value or b"").decode("utf-8", "backslashreplace")
        lines.append(
            f"{record.topic}@{record.offset} append={record.append_ms} key={json.dumps(str(record.key))} {value}"
        )
    return "\n".join(lines)
