"""A rows file says what the reference says: the same rows in the same order, field by field."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from streams.engine.rows import encode_row
from streams.engine.spec import EngineSpec
from streams.replay import ReplayOptions, replay_file, replay_values
from tests.support.reference import reference_rows
from tests.support.strategies import Scenario, adversarial_scenario


def files(first: int, count: int) -> list[Scenario]:
    """Scenarios that are files."""
    found = (adversarial_scenario(Random(seed), size=60) for seed in range(first, first + 100 * count))
    return [scenario for scenario, _ in zip((one for one in found if one.is_file), range(count), strict=False)]


def values(scenario: Scenario) -> list[bytes]:
    return [record.value or b"" for record in scenario.logs[0]]


def expected(scenario: Scenario) -> list[dict[str, Any]]:
    return [row.as_dict(scenario.spec) for row in reference_rows(scenario.arrivals(), scenario.spec)]


def agree(told: list[dict[str, Any]], should: list[dict[str, Any]]) -> None:
    """Equal but for the sketch, which the reference has not, and the estimate, which is rounded."""
    for row, other in zip(told, should, strict=True):
        assert bool(row.pop("visitors_sketch", None)) == ("visitors" in other)
        assert row.pop("visitors", 0) == pytest.approx(other.pop("visitors", 0), rel=0.05, abs=0.5)
        assert row == other


@pytest.mark.parametrize("first", [0, 10_000, 20_000])
def test_the_rows_of_a_replayed_file_are_those_of_the_reference(first: int) -> None:
    for scenario in files(first, 8):
        rows = replay_values(values(scenario), scenario.spec)
        agree([json.loads(encode_row(row)) for row in rows], expected(scenario))


def test_a_rows_file_holds_the_same_bytes_each_time(tmp_path: Path) -> None:
    for number, scenario in enumerate(files(30_000, 2)):
        file = tmp_path / f"{number}.jsonl"
        file.write_bytes(b"".join(value.replace(b"\n", b" ") + b"\n" for value in values(scenario)))
        written = []
        for time in range(2):
            rows = tmp_path / f"{number}.{time}.rows"
            replay_file(file, ReplayOptions(engine=scenario.spec, rows=rows, progress=False))
            written.append(rows.read_bytes())
        assert written[0] == written[1] != b""
        agree([json.loads(line) for line in written[0].splitlines()], expected(scenario))


def test_no_record_at_all_gives_no_row() -> None:
    assert replay_values([], EngineSpec()) == []
    assert replay_values([b"nothing", b"{}"], EngineSpec()) == []
