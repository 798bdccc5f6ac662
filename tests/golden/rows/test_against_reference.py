"""Whole rows files of a simulated shop beside the independent reading of the semantics: files and merged partitions."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from streams.engine.batch import Batch
from streams.engine.rows import Row, Segment, encode_row, row_order
from streams.engine.spec import EngineSpec
from streams.merge import MergedWindow
from streams.replay import Driver, Listener, ReplayOptions, replay_file
from streams.replay.driver import final_rows
from streams.simulate import Shop, ShopSpec
from streams.simulate.writer import simulate_to_file
from tests.support.reference import SourceRecord, arrival_order, read_lines, reference_rows
from tests.support.stories import START_MS

MINUTE = 60_000
SPEC = EngineSpec()
Place = tuple[str, int, int | None, Segment]


def troubled(seed: int) -> ShopSpec:
    return ShopSpec(seed=seed, sessions_per_minute=15, late_ratio=0.05, duplicate_ratio=0.02, poison_ratio=0.01)


def place_of(told: dict[str, Any]) -> Place:
    return told["row"], told["start_ms"], told.get("horizon_ms"), tuple(sorted(told["segment"].items()))


def agree(told: dict[str, Any], expected: dict[str, Any]) -> None:
    """The same row but for the estimate of visitors, which is within four standard errors."""
    told.pop("visitors_sketch", None)
    estimate, visitors = told.pop("visitors", 0), expected.pop("visitors", 0)
    assert told == expected
    assert estimate == pytest.approx(visitors, rel=4 * 0.023, abs=0.5)


def test_the_rows_of_a_file_are_those_of_the_reference(tmp_path: Path) -> None:
    events, rows = tmp_path / "shop.jsonl", tmp_path / "rows.jsonl"
    simulate_to_file(troubled(7), events, START_MS, START_MS + 75 * MINUTE)
    replay_file(events, ReplayOptions(rows=rows, progress=False))
    told = [json.loads(line) for line in rows.read_bytes().splitlines()]
    expected = {place_of(row): row for row in (each.as_dict(SPEC) for each in reference_rows(read_lines(events), SPEC))}
    assert {place_of(row) for row in told} == expected.keys()
    for row in told:
        agree(row, expected[place_of(row)])


class Sink(Listener):
    def __init__(self) -> None:
        self.rows: list[Row] = []

    def settled(self, window: MergedWindow) -> None:
        self.rows += final_rows(window)


def test_the_merged_rows_of_three_partitions_are_the_sums_of_the_reference() -> None:
    partitions: dict[int, list[Any]] = defaultdict(list)
    for record in Shop(troubled(8)).events(START_MS, START_MS + 75 * MINUTE):
        partitions[sum(record.key or b"") % 3].append(record)
    counters: dict[Place, Counter[str]] = defaultdict(Counter)
    visitors: dict[Place, set[str]] = defaultdict(set)
    sink = Sink()
    driver = Driver(SPEC, sorted(partitions), listener=sink)
    for partition, records in partitions.items():
        sources: dict[str, list[SourceRecord]] = defaultdict(list)
        for record in records:
            offset = len(sources[record.topic])
            sources[record.topic].append(SourceRecord(record.topic, offset, record.append_ms, record.key, record.value))
            driver.push(Batch(record.topic, partition, [offset], [record.append_ms], [record.key], [record.value]))
        for each in reference_rows(arrival_order(sources.values()), SPEC):
            place = (each.kind, each.start_ms, each.horizon_ms, each.segment)
            counters[place].update(each.counters)
            visitors[place] |= each.visitors
        for source in SPEC.sources:
            driver.caught_up(source.topic, partition)
    for partition in partitions:
        driver.finish(partition)
    assert [row_order(row) for row in sink.rows] == sorted(row_order(row) for row in sink.rows)
    told = {place_of(row): row for row in (json.loads(encode_row(row)) for row in sink.rows)}
    assert told.keys() == counters.keys()
    for place, row in told.items():
        assert row["counters"] == dict(counters[place]), place
        assert row.get("visitors", 0) == pytest.approx(len(visitors[place]), rel=4 * 0.023, abs=0.5), place
