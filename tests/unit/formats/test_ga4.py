"""Google Analytics 4, as bodies of the Measurement Protocol and as rows of the export."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.events import EVENT_TYPES
from streams.formats import get_format

ga4 = get_format("ga4")

PERSONAL = {
    "user_data": {
        "sha256_email_address": "e3b0c442",
        "email_address": "anna@shop.example",
        "phone_number": "+491701234567",
        "address": {"street": "Lindenweg 7", "postal_code": "10115", "first_name": "Anna", "last_name": "Beispiel"},
    },
    "ip_override": "203.0.113.9",
}
SECRETS = ["anna@", "e3b0c442", "+4917", "Lindenweg", "10115", "Anna", "Beispiel", "203.0.113.9", "Berlin", "iPhone15"]


def body(*events: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"client_id": "11.22", "timestamp_micros": 1772366401002003, "events": list(events), **fields}


def event(name: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": {"session_id": "33", **params}}


def row(name: str, params: dict[str, dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    listed = [{"key": key, "value": value} for key, value in (params or {}).items()]
    return {
        "event_name": name,
        "event_timestamp": "1772366401002003",
        "user_pseudo_id": "11.22",
        "event_params": [{"key": "ga_session_id", "value": {"string_value": None, "int_value": "33"}}, *listed],
        **fields,
    }


def only(record: dict[str, Any]) -> dict[str, Any]:
    (translated,) = ga4.translate(record)
    return translated


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("page_view", "page_view"),
        ("screen_view", "page_view"),
        ("view_item", "product_view"),
        ("view_item_list", "list_view"),
        ("select_item", "list_view"),
        ("add_to_cart", "add_to_cart"),
        ("remove_from_cart", "remove_from_cart"),
        ("view_cart", "cart_view"),
        ("begin_checkout", "checkout_started"),
        ("add_shipping_info", "checkout_step"),
        ("add_payment_info", "checkout_step"),
        ("purchase", "order_paid"),
        ("refund", "order_refunded"),
    ],
)
def test_each_commerce_event_has_its_native_name_in_both_shapes(name: str, kind: str) -> None:
    assert kind in EVENT_TYPES
    assert only(body(event(name)))["event_type"] == kind
    assert only(row(name))["event_type"] == kind


def test_body_and_row_of_one_event_say_the_same() -> None:
    sent = body(event("add_to_cart", items=[{"item_id": "p-1", "item_category": "shoes", "quantity": 2}]))
    exported = row("add_to_cart", items=[{"item_id": "p-1", "item_category": "shoes", "quantity": "2"}])
    shared = ("event_type", "event_time", "session_id", "visitor_id", "items")
    assert [only(sent)[field] for field in shared] == [only(exported)[field] for field in shared]
    assert only(sent)["items"] == [{"product_id": "p-1", "category": "shoes", "quantity": 2}]


def test_microseconds_become_milliseconds_whether_number_or_text() -> None:
    assert only(body(event("page_view")))["event_time"] == 1772366401002
    assert only(row("page_view"))["event_time"] == 1772366401002


def test_an_event_may_carry_its_own_time() -> None:
    late = {**event("page_view"), "timestamp_micros": 1772366405000999}
    assert only(body(late))["event_time"] == 1772366405000


def test_a_time_that_is_no_number_is_handed_on_to_be_refused() -> None:
    assert only(body(event("page_view"), timestamp_micros="soon"))["event_time"] == "soon"
    assert "event_time" not in only(body(event("page_view"), timestamp_micros=None))


def test_a_session_id_counts_only_beside_its_visitor() -> None:
    assert only(body(event("page_view")))["session_id"] == "11.22.33"
    other = only(body(event("page_view"), client_id="44.55"))
    assert other["session_id"] == "44.55.33"


def test_without_a_session_the_visitor_is_the_session_key() -> None:
    assert only(body({"name": "page_view"}))["session_id"] == "11.22"


def test_without_visitor_and_user_there_is_no_session() -> None:
    assert "session_id" not in only(body(event("page_view"), client_id=None))


def test_an_app_instance_is_a_visitor() -> None:
    assert only(body(event("screen_view"), client_id=None, app_instance_id="a-7"))["visitor_id"] == "a-7"


def test_a_purchase_brings_order_money_and_payment_method() -> None:
    paid = only(body(event("purchase", transaction_id="o-9", value=19.9, currency="EUR", payment_type="card")))
    assert (paid["order_id"], paid["amount"], paid["currency"], paid["payment_method"]) == ("o-9", 19.9, "EUR", "card")


def test_the_export_keeps_money_in_its_commerce_record() -> None:
    commerce = {"transaction_id": "o-9", "purchase_revenue": 19.9, "refund_value": 4.5}
    currency = {"currency": {"string_value": "EUR"}}
    assert only(row("purchase", currency, ecommerce=commerce))["amount"] == 19.9
    refund = only(row("refund", currency, ecommerce=commerce))
    assert (refund["amount"], refund["order_id"], refund["currency"]) == (4.5, "o-9", "EUR")


def test_the_value_of_an_event_that_is_no_order_is_no_money() -> None:
    assert "amount" not in only(body(event("add_to_cart", value=19.9, currency="EUR")))


@pytest.mark.parametrize(
    ("fields", "channel"),
    [
        ({"collected_traffic_source": {"manual_source": "google", "manual_medium": "cpc"}}, "sem"),
        ({"collected_traffic_source": {"gclid": "x", "manual_medium": None}}, "sem"),
        ({"traffic_source": {"source": "(direct)", "medium": "(none)"}}, "direct"),
        ({"traffic_source": {"source": "newsletter", "medium": "email"}}, "email"),
        ({"traffic_source": {"source": "(not set)", "medium": "(not set)"}}, None),
        (
            {
                "session_traffic_source_last_click": {"manual_campaign": {"source": "facebook", "medium": "paid"}},
                "traffic_source": {"source": "google", "medium": "organic"},
            },
            "paid_social",
        ),
    ],
)
def test_the_channel_is_the_session_s_before_the_visitor_s_first(fields: dict[str, Any], channel: str | None) -> None:
    assert only(row("page_view", **fields)).get("channel") == channel


def test_device_and_region_come_from_either_shape() -> None:
    exported = only(
        row(
            "page_view",
            device={"category": "mobile", "operating_system": "iOS", "mobile_model_name": "iPhone15"},
            geo={"region": "Shanghai", "country": "China", "city": "Berlin"},
        )
    )
    assert (exported["device"], exported["region"]) == ("ios", "Shanghai")
    sent = only(
        body(event("page_view"), device={"category": "desktop"}, user_location={"region_id": "CN-31", "city": "Berlin"})
    )
    assert (sent["device"], sent["region"]) == ("desktop", "CN-31")


def test_equal_events_have_equal_ids_and_others_do_not() -> None:
    one = only(body(event("page_view", page_location="/a")))["event_id"]
    assert one == only(body(event("page_view", page_location="/a")))["event_id"]
    assert one != only(body(event("page_view", page_location="/b")))["event_id"]
    assert one != only(body(event("page_view", page_location="/a"), timestamp_micros=1772366401003003))["event_id"]


def test_an_exported_row_keeps_its_id_when_attribution_is_added_later() -> None:
    intraday = only(row("page_view", batch_event_index=4))
    daily = only(row("page_view", batch_event_index=4, traffic_source={"source": "google", "medium": "organic"}))
    assert intraday["event_id"] == daily["event_id"]


def test_two_equal_events_of_one_body_are_two() -> None:
    first, second = ga4.translate(body(event("add_to_cart"), event("add_to_cart")))
    assert first["event_id"] != second["event_id"]


def test_events_of_ga4_beside_the_funnel_are_left_out_and_custom_ones_handed_on() -> None:
    kinds = [e["event_type"] for e in ga4.translate(body(event("scroll"), event("quiz_done"), event("page_view")))]
    assert kinds == ["quiz_done", "page_view"]
    assert ga4.translate(row("user_engagement")) == []


@pytest.mark.parametrize("broken", [{}, {"events": "none"}, {"client_id": "1.2", "events": None}])
def test_a_body_without_events_becomes_one_that_has_no_type(broken: dict[str, Any]) -> None:
    assert ga4.translate(broken) == [{}]


@pytest.mark.parametrize("oddity", [None, 7, "x", [1], {"name": 5}, {"name": None}, {"params": []}, {"name": ["a"]}])
def test_an_odd_event_harms_no_other_of_its_body(oddity: Any) -> None:
    odd, good = ga4.translate(body(oddity, event("page_view")))
    assert odd.get("event_type") not in EVENT_TYPES
    assert good["event_type"] == "page_view"


@pytest.mark.parametrize(
    "field", ["event_params", "items", "ecommerce", "device", "geo", "traffic_source", "collected_traffic_source"]
)
@pytest.mark.parametrize("junk", [None, 7, "x", [1, None], {"key": 1}])
def test_junk_in_a_record_of_the_export_raises_nothing(field: str, junk: Any) -> None:
    assert only(row("purchase") | {field: junk})["event_type"] == "order_paid"


def test_nothing_personal_gets_through() -> None:
    sent = body(event("purchase", email="anna@shop.example"), user_id="anna@shop.example", **PERSONAL)
    exported = row("purchase", {"phone": {"string_value": "+491701234567"}}, user_id="anna@shop.example", **PERSONAL)
    for record in (sent, exported):
        said = json.dumps(ga4.translate(record))
        assert [secret for secret in SECRETS if secret in said] == []


def test_a_user_id_becomes_the_same_pseudonym_everywhere() -> None:
    sent, exported = only(body(event("page_view"), user_id="anna")), only(row("page_view", user_id="anna"))
    assert sent["user_id"] == exported["user_id"] != "anna"
