"""Shoppers' stories in one line: ``story("a: view+0s cart+5s | b: view+1s")`` makes native events.

A line holds shoppers parted by ``|``, each a session key and its deeds; a deed is a verb, the time since the start
of the story, and in brackets fields that differ: ``paid+90s[order_id=o-1,amount=19.90,currency=EUR]``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from tests.support.reference.decoding import SourceRecord

__all__ = ["START_MS", "VERBS", "story", "to_lines", "to_records"]

START_MS = 1_772_366_400_000
"""2026-03-01T12:00:00Z, the first moment of an hour."""

VERBS = {
    "page": "page_view",
    "view": "product_view",
    "list": "list_view",
    "cart": "add_to_cart",
    "remove": "remove_from_cart",
    "look": "cart_view",
    "checkout": "checkout_started",
    "step": "checkout_step",
    "order": "order_placed",
    "attempt": "payment_attempted",
    "success": "payment_succeeded",
    "fail": "payment_failed",
    "paid": "order_paid",
    "cancel": "order_cancelled",
    "refund": "order_refunded",
}

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
DEED = re.compile(r"(?P<verb>[a-z]+)\+(?P<time>(?:\d+(?:ms|s|m|h))+)(?:\[(?P<fields>[^]]*)\])?")


def story(text: str, *, start_ms: int = START_MS, **shared: Any) -> list[dict[str, Any]]:
    """The events of ``text`` in order of time, of equal times in order of telling; each with an id of its own.

    Parameters
    ----------
    text
        See the module. Times add up their parts: ``1h30m``.
    start_ms
        The moment of ``+0s``.
    shared
        Fields that every event carries unless it says otherwise.
    """
    events = []
    for part in text.split("|"):
        key, _, deeds = part.partition(":")
        for deed in deeds.split():
            events.append(_event(key.strip(), deed, len(events), start_ms))
    events = [{**shared, **event} for event in events]
    return sorted(events, key=lambda event: event["event_time"])


def _event(key: str, deed: str, number: int, start_ms: int) -> dict[str, Any]:
    match = DEED.fullmatch(deed)
    if match is None or match["verb"] not in VERBS:
        raise ValueError(f"{deed!r} is no deed; write a verb of {sorted(VERBS)}, +, a time: 'cart+5s'")
    elapsed = sum(int(n) * UNITS_MS[unit] for n, unit in re.findall(r"(\d+)(ms|s|m|h)", match["time"]))
    fields = dict(pair.split("=", 1) for pair in (match["fields"] or "").split(",") if pair)
    return {
        "event_id": f"e-{number}",
        "event_type": VERBS[match["verb"]],
        "event_time": start_ms + elapsed,
        "session_id": key,
        "visitor_id": f"v-{key}",
        **fields,
    }


def to_lines(events: Iterable[dict[str, Any]]) -> list[bytes]:
    """Each event as a line of a JSONL file, without the line end."""
    return [json.dumps(event, ensure_ascii=False).encode() for event in events]


def to_records(events: Iterable[dict[str, Any]], topic: str = "clickstream") -> list[SourceRecord]:
    """The events as records of one topic that appended each at its event time."""
    return [
        SourceRecord(topic, n, event["event_time"], event["session_id"].encode(), line)
        for n, (event, line) in enumerate((event, to_lines([event])[0]) for event in events)
    ]
