"""The engine agrees with the reference, cell by cell, on streams made to break it."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from random import Random

import pytest

from streams.engine.spec import EngineSpec
from streams.simulate import Shop, ShopSpec
from tests.invariants.driving import (
    Cells,
    cells_of,
    differences,
    engine_cells,
    reference_cells,
    run_roughly,
    unequal_cells,
)
from tests.invariants.shrinking import shrunk, tell
from tests.support.reference import SourceRecord
from tests.support.stories import START_MS
from tests.support.strategies import Scenario, adversarial_scenario

SEEDS = 240
CHUNK = 20
HUNT = int(os.environ.get("FUNNELWATCH_HUNT", "0"))
"""How many more streams than usual; from ``FUNNELWATCH_HUNT_FROM`` on."""
HUNT_FROM = int(os.environ.get("FUNNELWATCH_HUNT_FROM", "10000"))


def usual_size(seed: int) -> int:
    return 40 + 20 * (seed % 8)


def check(seed: int, size: int) -> None:
    rng = Random(seed)
    scenario = adversarial_scenario(rng, size=size)
    cut = Random(seed) if seed % 2 else None
    if not differences(scenario, cut):
        return
    small = shrunk(scenario, disagree)
    found = differences(small) or differences(scenario, cut)
    pytest.fail(f"seed {seed}, size {size}:\n{tell(small)}\n" + "\n".join(found[:20]))


def disagree(scenario: Scenario) -> bool:
    return bool(differences(scenario))


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_engine_and_reference_agree_in_every_cell(first: int) -> None:
    for seed in range(first, first + CHUNK):
        check(seed, size=usual_size(seed))


@pytest.mark.parametrize("first", range(0, 60, CHUNK))
def test_engine_and_reference_agree_through_silences_restarts_and_repeated_pieces(first: int) -> None:
    for seed in range(first, first + CHUNK):
        scenario = adversarial_scenario(Random(seed), size=80)
        told, arrivals = run_roughly(scenario, Random(seed))
        found = unequal_cells(reference_cells(scenario, arrivals), cells_of(told.rows))
        assert told.records == sum(len(log) for log in scenario.logs)
        assert not found, f"seed {seed}:\n" + "\n".join(found[:20])


def test_engine_and_reference_agree_on_a_simulated_shop() -> None:
    shop = Shop(ShopSpec(seed=3, sessions_per_minute=20, late_ratio=0.03, duplicate_ratio=0.03, poison_ratio=0.01))
    logs: dict[str, list[SourceRecord]] = {"clickstream": [], "orders": []}
    for sent in shop.events(START_MS, START_MS + 50 * 60_000):
        log = logs[sent.topic]
        log.append(SourceRecord(sent.topic, len(log), sent.append_ms, sent.key, sent.value))
    spec = EngineSpec(max_values=4, pairs=(("channel", "device"), ("category", "region")))
    scenario = Scenario(spec, tuple(tuple(log) for log in logs.values()), is_file=False)
    assert differences(scenario, Random(3)) == []


@pytest.mark.parametrize("change", [1, -1])
@pytest.mark.parametrize(
    "name",
    [
        "session_gap_ms",
        "abandonment_timeout_ms",
        "conversion_window_ms",
        "order_memory_ms",
        "grace_ms",
        "max_out_of_orderness_ms",
        "max_lateness_ms",
        "max_future_ms",
        "max_record_bytes",
        "max_values",
    ],
)
def test_the_streams_are_sharp_enough_to_notice_a_difference_of_one(name: str, change: int) -> None:
    """Otherwise agreement on them would say little about the boundaries."""
    assert any(_notices(seed, name, change) for seed in range(SEEDS))


def _notices(seed: int, name: str, change: int) -> bool:
    scenario, expected = _told(seed)
    changed = getattr(scenario.spec, name) + change
    other = replace(scenario, spec=replace(scenario.spec, **{name: changed}))
    return changed >= 0 and bool(unequal_cells(expected, engine_cells(other)))


@cache
def _told(seed: int) -> tuple[Scenario, Cells]:
    scenario = adversarial_scenario(Random(seed), size=usual_size(seed))
    return scenario, reference_cells(scenario)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.skipif(not HUNT, reason="set FUNNELWATCH_HUNT to the number of streams")
def test_engine_and_reference_agree_on_as_many_streams_as_one_asks_for() -> None:
    for seed in range(HUNT_FROM, HUNT_FROM + HUNT):
        check(seed, size=Random(seed).choice([15, 40, 120, 300]))
