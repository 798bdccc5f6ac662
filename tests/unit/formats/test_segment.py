"""Segment v2: track, page and screen calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.events import EVENT_TYPES
from streams.formats import get_format

segment = get_format("segment")

USER_AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15"


def track(name: str, properties: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": name,
        "anonymousId": "v-1",
        "messageId": "m-1",
        "timestamp": "2026-03-01T12:00:00.250Z",
        "properties": properties or {},
        **fields,
    }


def only(record: dict[str, Any]) -> dict[str, Any]:
    (translated,) = segment.translate(record)
    return translated


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Product Viewed", "product_view"),
        ("Product List Viewed", "list_view"),
        ("Product Clicked", "list_view"),
        ("Product Added", "add_to_cart"),
        ("Product Removed", "remove_from_cart"),
        ("Cart Viewed", "cart_view"),
        ("Checkout Started", "checkout_started"),
        ("Checkout Step Viewed", "checkout_step"),
        ("Checkout Step Completed", "checkout_step"),
        ("Payment Info Entered", "checkout_step"),
        ("Order Completed", "order_paid"),
        ("Order Cancelled", "order_cancelled"),
        ("Order Refunded", "order_refunded"),
        ("order completed", "order_paid"),
    ],
)
def test_each_commerce_event_has_its_native_name(name: str, kind: str) -> None:
    assert kind in EVENT_TYPES
    assert only(track(name))["event_type"] == kind


@pytest.mark.parametrize("call", ["page", "screen"])
def test_page_and_screen_calls_are_page_views(call: str) -> None:
    assert only(track("ignored") | {"type": call})["event_type"] == "page_view"


@pytest.mark.parametrize("call", ["identify", "group", "alias"])
def test_calls_about_people_are_left_out(call: str) -> None:
    assert segment.translate({"type": call, "traits": {"email": "anna@shop.example"}}) == []


def test_specified_events_beside_the_funnel_are_left_out_and_custom_ones_handed_on() -> None:
    assert segment.translate(track("Coupon Applied")) == []
    assert only(track("Quiz Done"))["event_type"] == "Quiz Done"


def test_the_visitor_is_the_session_key_and_the_message_the_event() -> None:
    event = only(track("Product Viewed"))
    assert (event["session_id"], event["visitor_id"], event["event_id"]) == ("v-1", "v-1", "m-1")


def test_a_known_user_without_anonymous_id_is_a_pseudonym() -> None:
    event = only(track("Order Completed", userId="anna@shop.example", anonymousId=None))
    assert event["session_id"] == event["visitor_id"] == event["user_id"] != "anna@shop.example"


def test_a_call_without_anyone_has_no_session() -> None:
    assert "session_id" not in only(track("Product Viewed", anonymousId=""))


def test_one_product_is_told_by_the_properties_and_many_by_a_list() -> None:
    shoe = {"product_id": "p-1", "category": "shoes", "quantity": 2, "price": 9.5}
    assert only(track("Product Added", shoe))["items"] == [shoe]
    assert only(track("Cart Viewed", {"products": [{"sku": "s-4"}, "junk"]}))["items"] == [
        {"product_id": "s-4"},
        "junk",
    ]
    assert "items" not in only(track("Checkout Started"))


def test_an_order_brings_its_id_and_money() -> None:
    order = {"order_id": "o-9", "revenue": 25.0, "total": 29.5, "currency": "USD", "payment_method": "card"}
    event = only(track("Order Completed", order))
    assert (event["order_id"], event["amount"], event["currency"]) == ("o-9", 25.0, "USD")
    assert event["payment_method"] == "card"
    assert only(track("Order Refunded", {"order_id": "o-9", "total": 29.5, "currency": "USD"}))["amount"] == 29.5


def test_the_value_of_a_product_is_no_money() -> None:
    assert "amount" not in only(track("Product Added", {"product_id": "p", "value": 5, "currency": "USD"}))


def test_a_call_through_segment_is_corrected_already() -> None:
    event = only(
        track(
            "Product Viewed",
            originalTimestamp="2026-03-01T13:00:00Z",
            sentAt="2026-03-01T13:00:01Z",
            receivedAt="2026-03-01T12:00:01.250Z",
        )
    )
    assert event["event_time"] == "2026-03-01T12:00:00.250Z"
    assert event["append_time"] == "2026-03-01T12:00:01.250Z"
    assert "sent_at" not in event


def test_a_call_straight_from_a_library_is_corrected_by_its_sending_clock() -> None:
    event = only(track("Product Viewed", sentAt="2026-03-01T12:00:09Z"))
    assert (event["event_time"], event["sent_at"]) == ("2026-03-01T12:00:00.250Z", "2026-03-01T12:00:09Z")


def test_context_gives_channel_device_and_region() -> None:
    context = {
        "campaign": {"source": "google", "medium": "cpc", "name": "spring"},
        "userAgent": USER_AGENT,
        "location": {"country": "DE", "city": "Berlin"},
    }
    event = only(track("Product Viewed", context=context))
    assert (event["channel"], event["device"], event["region"]) == ("sem", "ios", "DE")
    told = only(track("Product Viewed", context={"device": {"type": "android"}}))
    assert told["device"] == "android"


def test_without_a_message_id_equal_calls_have_equal_ids() -> None:
    one, again = (only(track("Product Viewed", {"product_id": "p"}, messageId=None)) for _ in range(2))
    other = only(track("Product Viewed", {"product_id": "q"}, messageId=None))
    assert one["event_id"] == again["event_id"] != other["event_id"]


@pytest.mark.parametrize("junk", [None, 7, "x", [1], {"campaign": 4, "device": [], "os": "x", "location": 1}])
def test_junk_in_context_or_properties_raises_nothing(junk: Any) -> None:
    assert only(track("Order Completed", context=junk))["event_type"] == "order_paid"
    assert only(track("Order Completed") | {"properties": junk})["event_type"] == "order_paid"


@pytest.mark.parametrize("call", [{}, {"type": 7}, {"type": "track"}, {"type": "track", "event": ["x"]}])
def test_a_call_without_a_name_has_no_type_of_the_vocabulary(call: dict[str, Any]) -> None:
    assert only(call).get("event_type") not in EVENT_TYPES


def test_nothing_personal_gets_through() -> None:
    record = track(
        "Order Completed",
        {"email": "anna@shop.example", "shipping_address": {"street": "Lindenweg 7", "postal_code": "10115"}},
        userId="anna@shop.example",
        context={"ip": "203.0.113.9", "userAgent": USER_AGENT, "traits": {"firstName": "Anna", "phone": "+4917"}},
    )
    said = json.dumps(segment.translate(record))
    secrets = ["anna@", "Lindenweg", "10115", "203.0.113.9", "iPhone OS", "Anna", "+4917"]
    assert [secret for secret in secrets if secret in said] == []
