"""The engine and the reference read every odd value of every field alike."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.engine.spec import EngineSpec
from tests.invariants.driving import differences
from tests.support.malformed import EDGE_RECORDS, FIELD_VALUES, NOON_MS
from tests.support.reference import SourceRecord
from tests.support.strategies import Scenario

FULL = {
    "event_time": NOON_MS,
    "event_id": "e-1",
    "session_id": "s",
    "visitor_id": "v",
    "order_id": "o",
    "payment_id": "p",
    "amount": "5.00",
    "currency": "EUR",
    "channel": "sem",
    "items": [{"category": "c", "quantity": 2}],
}
BEFORE = {"event_type": "page_view", "event_time": NOON_MS - 1, "event_id": "e-0", "session_id": "s"}


def disagreements(*values: bytes) -> list[str]:
    lines = tuple(SourceRecord("file", n, None, None, value) for n, value in enumerate(values))
    return differences(Scenario(EngineSpec(), (lines,), is_file=True))


@pytest.mark.parametrize("kind", ["page_view", "add_to_cart", "order_paid", "payment_failed", "order_refunded"])
@pytest.mark.parametrize("name", FIELD_VALUES)
def test_every_value_of_a_field_means_the_same_to_both(name: str, kind: str) -> None:
    found: dict[str, Any] = {}
    for value in FIELD_VALUES[name]:
        event = {"event_type": kind, **FULL, name: value}
        # A time centuries away would close millions of windows between the two.
        before = [] if name == "event_time" else [json.dumps(BEFORE).encode()]
        lines = disagreements(*before, json.dumps(event).encode())
        if lines:
            found[repr(value)[:80]] = lines[:3]
    assert not found


@pytest.mark.parametrize("record", EDGE_RECORDS, ids=range(len(EDGE_RECORDS)))
def test_a_record_at_the_edge_of_json_means_the_same_to_both(record: bytes) -> None:
    assert disagreements(json.dumps(BEFORE).encode(), record) == []
