"""The same purchase, told natively, by GA4 (both shapes) and by Segment, gives the same rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from streams.engine.rows import WHOLE
from streams.replay import replay_values

START_MS = 1_772_366_400_000


class Deed(NamedTuple):
    """What the shopper does, apart from any format."""

    kind: str
    elapsed_ms: int
    items: tuple[tuple[str, str, int], ...] = ()
    order: str = ""
    amount: float = 0.0


SHOES, HAT = ("p-1", "shoes", 2), ("p-2", "hats", 1)
STORY = [
    Deed("page", 0),
    Deed("list", 3_000),
    Deed("view", 7_000, (SHOES,)),
    Deed("add", 11_000, (SHOES,)),
    Deed("add", 13_000, (HAT,)),
    Deed("remove", 17_000, (HAT,)),
    Deed("look", 19_000, (SHOES,)),
    Deed("checkout", 23_000, (SHOES,)),
    Deed("step", 29_000),
    Deed("paid", 31_000, (SHOES,), "o-7", 398.5),
    Deed("refund", 90_000, (), "o-7", 20.25),
]

NATIVE = {
    "page": "page_view",
    "list": "list_view",
    "view": "product_view",
    "add": "add_to_cart",
    "remove": "remove_from_cart",
    "look": "cart_view",
    "checkout": "checkout_started",
    "step": "checkout_step",
    "paid": "order_paid",
    "refund": "order_refunded",
}
GA4 = {
    "page": "page_view",
    "list": "view_item_list",
    "view": "view_item",
    "add": "add_to_cart",
    "remove": "remove_from_cart",
    "look": "view_cart",
    "checkout": "begin_checkout",
    "step": "add_payment_info",
    "paid": "purchase",
    "refund": "refund",
}
SEGMENT = {
    "list": "Product List Viewed",
    "view": "Product Viewed",
    "add": "Product Added",
    "remove": "Product Removed",
    "look": "Cart Viewed",
    "checkout": "Checkout Started",
    "step": "Checkout Step Completed",
    "paid": "Order Completed",
    "refund": "Order Refunded",
}


def native(deed: Deed) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event_type": NATIVE[deed.kind],
        "event_time": START_MS + deed.elapsed_ms,
        "session_id": "s",
        "visitor_id": "v-1",
        "channel": "sem",
        "device": "ios",
        "items": [{"product_id": p, "category": c, "quantity": n} for p, c, n in deed.items],
    }
    return event | ({"order_id": deed.order, "amount": deed.amount, "currency": "CNY"} if deed.order else {})


def measurement_body(deed: Deed) -> dict[str, Any]:
    params: dict[str, Any] = {"session_id": "44", "source": "google", "medium": "cpc"}
    params["items"] = [{"item_id": p, "item_category": c, "quantity": n} for p, c, n in deed.items]
    if deed.order:
        params |= {"transaction_id": deed.order, "value": deed.amount, "currency": "CNY"}
    return {
        "client_id": "v-1",
        "timestamp_micros": (START_MS + deed.elapsed_ms) * 1000 + 7,
        "device": {"category": "mobile", "operating_system": "iOS"},
        "events": [{"name": "user_engagement"}, {"name": GA4[deed.kind], "params": params}],
    }


def export_row(deed: Deed) -> dict[str, Any]:
    params: list[dict[str, Any]] = [{"key": "ga_session_id", "value": {"int_value": "44"}}]
    if deed.order:
        params.append({"key": "currency", "value": {"string_value": "CNY"}})
    commerce = {"purchase_revenue": deed.amount, "refund_value": deed.amount, "transaction_id": deed.order}
    return {
        "event_name": GA4[deed.kind],
        "event_timestamp": str((START_MS + deed.elapsed_ms) * 1000),
        "user_pseudo_id": "v-1",
        "event_params": params,
        "collected_traffic_source": {"manual_source": "google", "manual_medium": "cpc"},
        "device": {"category": "mobile", "operating_system": "iOS"},
        "items": [{"item_id": p, "item_category": c, "quantity": str(n)} for p, c, n in deed.items],
        "ecommerce": commerce if deed.order else None,
    }


def segment_call(deed: Deed) -> dict[str, Any]:
    products = [{"product_id": p, "category": c, "quantity": n} for p, c, n in deed.items]
    properties: dict[str, Any] = products[0] if deed.kind in ("view", "add", "remove") else {"products": products}
    if deed.order:
        properties |= {"order_id": deed.order, "revenue": deed.amount, "currency": "CNY"}
    at = datetime.fromtimestamp((START_MS + deed.elapsed_ms) / 1000, UTC)
    return {
        "type": "track" if deed.kind in SEGMENT else "page",
        "event": SEGMENT.get(deed.kind),
        "anonymousId": "v-1",
        "messageId": f"m-{deed.elapsed_ms}",
        "timestamp": at.isoformat(),
        "properties": properties,
        "context": {"campaign": {"source": "google", "medium": "cpc"}, "device": {"type": "ios"}},
    }


def rows(telling: Callable[[Deed], dict[str, Any]], format_name: str) -> dict[Any, Any]:
    """Counters and visitors by kind of row, start and segment."""
    lines = [json.dumps(telling(deed)).encode() for deed in STORY]
    return {
        (row.kind, row.start_ms, row.segment): (dict(row.counters), row.visitors)
        for row in replay_values([*lines, lines[3]], format_name=format_name)
    }


@pytest.mark.parametrize(
    ("telling", "format_name"),
    [(measurement_body, "ga4"), (export_row, "ga4"), (segment_call, "segment")],
    ids=["measurement protocol", "export", "segment"],
)
def test_a_purchase_counts_the_same_in_every_format(
    telling: Callable[[Deed], dict[str, Any]], format_name: str
) -> None:
    told, expected = rows(telling, format_name), rows(native, "native")
    assert told == expected
    first, second = (expected["window", START_MS + n * 60_000, WHOLE][0] for n in (0, 1))
    assert (first["revenue_minor.CNY"], first["cart_items"], first["reached.paid"]) == (39_850, 3, 1)
    assert (second["refund_minor.CNY"], second["duplicates"]) == (2_025, 1)


def test_records_of_no_event_at_all_are_skipped_not_rejected() -> None:
    beside = [{"event_name": "scroll"}, {"client_id": "1", "events": [{"name": "user_engagement"}]}]
    assert replay_values([json.dumps(one).encode() for one in beside], format_name="ga4") == []
    lines = [json.dumps(export_row(STORY[0])).encode(), *(json.dumps(one).encode() for one in beside)]
    total: dict[str, int] = {}
    for row in replay_values(lines, format_name="ga4"):
        total.update(row.counters)
    assert [name for name in total if name.startswith("rejected")] == []
