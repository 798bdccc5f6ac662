"""Records that hold several events: pieces, restarts and the split into single records change nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from streams.engine.rows import encode_row
from streams.formats import get_format
from tests.invariants.driving import Driver, cells_of, restart, run
from tests.support.reference import SourceRecord
from tests.support.stories import START_MS
from tests.support.strategies import Scenario, compact_spec

NAMES = [
    *("page_view", "view_item", "view_item_list", "add_to_cart", "add_to_cart", "remove_from_cart", "view_cart"),
    *("begin_checkout", "add_payment_info", "purchase", "purchase", "refund", "scroll", "quiz_done"),
]


def body(rng: Random, now: int) -> dict[str, Any]:
    """One to five events, each with its own time around ``now``, some of them nothing that counts."""
    events: list[Any] = []
    for _ in range(rng.choice([1, 2, 3, 5])):
        name = rng.choice(NAMES)
        params = {"session_id": 1, "items": [{"item_id": "p", "quantity": rng.choice([1, 2, 0])}]}
        if name in ("purchase", "refund"):
            params |= {"transaction_id": f"o-{rng.randrange(4)}", "value": 12.5, "currency": "EUR"}
        moment = now - rng.choice([0, 0, 500, 2_000, 9_000, 30_000, 200_000])
        events.append({"name": name, "params": params, "timestamp_micros": moment * 1000})
    if rng.random() < 0.1:
        events.insert(0, rng.choice([None, {"name": None}, {"params": []}]))
    return {"client_id": f"v-{rng.randrange(3)}", "events": events}


def bodies(seed: int) -> Scenario:
    rng = Random(seed)
    now, log = START_MS, []
    for offset in range(80):
        now += rng.choice([0, 300, 2_000, 7_000, 25_000])
        told = body(rng, now)
        log.append(SourceRecord("clickstream", offset, now, None, json.dumps(told).encode()))
    spec = replace(compact_spec(rng), max_record_bytes=1 << 20)
    return Scenario(spec, (tuple(log), ()), is_file=False, format_name="ga4")


def singles(scenario: Scenario) -> Scenario:
    """Each event a native record of its own."""
    translate = get_format("ga4").translate
    log: list[SourceRecord] = []
    for record in scenario.logs[0]:
        for event in translate(json.loads(record.value or b"")):
            log.append(record._replace(offset=len(log), value=json.dumps(event).encode()))
    return replace(scenario, logs=(tuple(log), ()), format_name="native")


@pytest.mark.parametrize("seed", range(12))
def test_a_body_counts_as_its_events_would_one_by_one(seed: int) -> None:
    scenario = bodies(seed)
    assert cells_of(run(scenario).rows) == cells_of(run(singles(scenario)).rows)


@pytest.mark.parametrize("seed", range(12))
def test_a_restart_while_part_of_a_body_is_held_changes_nothing(seed: int) -> None:
    scenario, rng = bodies(seed), Random(seed)
    driver = Driver(scenario, rng)
    for _ in driver.pieces():
        if rng.random() < 0.5:
            restart(driver)
    told, straight = driver.finish(), run(scenario)
    assert [encode_row(row) for row in told.rows] == [encode_row(row) for row in straight.rows]
    assert told.rejects == straight.rejects
    assert driver.engine.counts.get("duplicates") == straight_counts(scenario).get("duplicates")


def straight_counts(scenario: Scenario) -> dict[str, int]:
    driver = Driver(scenario)
    for _ in driver.pieces():
        pass
    driver.finish()
    return driver.engine.counts
