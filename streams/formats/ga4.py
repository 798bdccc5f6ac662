"""Google Analytics 4: a Measurement Protocol body (several events) or a row of the BigQuery export (one event).

Only the fields named here are read. Addresses, e-mail, post code, phone, names and IP are never among them, and
user ids become pseudonyms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.formats.identity import derived_id, pseudonym
from streams.formats.traffic import channel_of, device_of, told

__all__ = ["translate"]

EVENT_TYPES: Final = {
    "page_view": "page_view",
    "screen_view": "page_view",
    "view_item": "product_view",
    "view_item_list": "list_view",
    "select_item": "list_view",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "view_cart": "cart_view",
    "begin_checkout": "checkout_started",
    "add_shipping_info": "checkout_step",
    "add_payment_info": "checkout_step",
    "purchase": "order_paid",
    "refund": "order_refunded",
}

NO_FUNNEL_EVENTS: Final = frozenset(
    [
        *("session_start", "first_visit", "first_open", "user_engagement", "scroll", "click", "file_download"),
        *("form_start", "form_submit", "video_start", "video_progress", "video_complete", "view_search_results"),
        *("search", "login", "sign_up", "share", "select_content", "add_to_wishlist", "view_promotion"),
        *("select_promotion", "generate_lead", "join_group", "campaign_details", "app_update", "app_remove"),
        *("os_update", "app_clear_data", "app_exception", "app_background", "notification_receive"),
        *("notification_open", "notification_dismiss", "notification_foreground", "ad_impression", "ad_click"),
    ]
)
"""Events that GA4 defines and that are no step of the funnel: left out on purpose, where a custom event is rejected."""


def translate(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The native-shaped events of a Measurement Protocol body or of an export row.

    >>> body = {"client_id": "7.1", "timestamp_micros": "1772366400123456",
    ...         "events": [{"name": "add_to_cart", "params": {"session_id": 99, "items": [{"item_id": "p-1"}]}}]}
    >>> event, = translate(body)
    >>> event["event_type"], event["event_time"], event["session_id"], event["items"]
    ('add_to_cart', 1772366400123, '7.1.99', [{'product_id': 'p-1'}])
    """
    if "event_name" in record or "event_timestamp" in record:
        return _row_events(record)
    events = record.get("events")
    if not isinstance(events, list):
        return [{}]  # the native validation says what is missing
    translated: list[dict[str, Any]] = []
    for place, event in enumerate(events):
        if not isinstance(event, dict):
            translated.append({})
        elif not isinstance(event.get("name"), str) or event["name"] not in NO_FUNNEL_EVENTS:
            translated.append(_body_event(record, event, place))
    return translated


def _row_events(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row of the export; its parameters are key-value records."""
    name = row.get("event_name")
    if isinstance(name, str) and name in NO_FUNNEL_EVENTS:
        return []
    params = _params_of_row(row)
    commerce = _object(row, "ecommerce")
    last_click = _object(row, "session_traffic_source_last_click")
    collected, first = _object(row, "collected_traffic_source"), _object(row, "traffic_source")
    campaigns = (
        (_object(last_click, "manual_campaign"), "source", "medium"),
        (_object(last_click, "cross_channel_campaign"), "source", "medium"),
        (collected, "manual_source", "manual_medium"),
        (params, "source", "medium"),
        (first, "source", "medium"),
    )
    if collected.get("gclid") and not collected.get("manual_medium"):
        channel: str | None = "sem"
    else:
        channels = (channel_of(told_in.get(source), told_in.get(medium)) for told_in, source, medium in campaigns)
        channel = next((found for found in channels if found), None)
    device, geo = _object(row, "device"), _object(row, "geo")
    event = {
        **_shared(
            name=name,
            micros=row.get("event_timestamp"),
            visitor=row.get("user_pseudo_id"),
            user=row.get("user_id"),
            session=params.get("ga_session_id"),
        ),
        "channel": channel,
        "device": device_of(device.get("category"), device.get("operating_system")),
        "region": told(geo.get("region")) or told(geo.get("country")),
        "items": _items(row.get("items")),
        **_order(name, params, commerce),
    }
    place = [row.get(field) for field in ("batch_page_id", "batch_ordering_id", "batch_event_index")]
    return [_identified(event, params, place)]


def _body_event(body: Mapping[str, Any], event: Mapping[str, Any], place: int) -> dict[str, Any]:
    """One event of a Measurement Protocol body."""
    params = _object(event, "params")
    location, device = _object(body, "user_location"), _object(body, "device")
    name = event.get("name")
    translated = {
        **_shared(
            name=name,
            micros=event.get("timestamp_micros", body.get("timestamp_micros")),
            visitor=body.get("client_id") or body.get("app_instance_id"),
            user=body.get("user_id"),
            session=params.get("session_id", params.get("ga_session_id")),
        ),
        "channel": channel_of(params.get("source"), params.get("medium")),
        "device": device_of(device.get("category"), device.get("operating_system")),
        "region": told(location.get("region_id")) or told(location.get("country_id")),
        "items": _items(params.get("items")),
        **_order(name, params, {}),
    }
    return _identified(translated, params, [place])


def _shared(*, name: Any, micros: Any, visitor: Any, user: Any, session: Any) -> dict[str, Any]:
    """Name, time and ids. GA4 counts sessions per visitor, so a session id is one only beside its visitor."""
    user_id = pseudonym(user)
    visitor_id = visitor if _is_id(visitor) else user_id
    session_id = f"{visitor_id}.{session}" if visitor_id is not None and _is_id(session) else visitor_id
    return {
        "event_type": EVENT_TYPES.get(name, name) if isinstance(name, str) else name,
        "event_time": _milliseconds(micros),
        "session_id": session_id,
        "visitor_id": visitor_id,
        "user_id": user_id,
    }


def _order(name: Any, params: Mapping[str, Any], commerce: Mapping[str, Any]) -> dict[str, Any]:
    """What a purchase or a refund says about its order and its money."""
    fields = {
        "payment_method": told(params.get("payment_type")),
        "customer_type": told(params.get("customer_type")),
    }
    if name in ("purchase", "refund"):
        value = params.get("value")
        if value is None:
            value = commerce.get("purchase_revenue" if name == "purchase" else "refund_value")
        fields["order_id"] = told(params.get("transaction_id")) or told(commerce.get("transaction_id"))
        fields["amount"] = value
        fields["currency"] = params.get("currency")
    return fields


def _identified(event: dict[str, Any], params: Mapping[str, Any], place: list[Any]) -> dict[str, Any]:
    """The event without missing fields, with the id that GA4 does not give it."""
    facts = [event[field] for field in ("visitor_id", "session_id", "event_type", "event_time")]
    products = [item.get("product_id") for item in _listed(event["items"]) if isinstance(item, dict)]
    event["event_id"] = derived_id(*facts, event.get("order_id"), products, params.get("page_location"), place)
    return {field: value for field, value in event.items() if value is not None}


def _items(items: Any) -> Any:
    """Items with native names; what is no list, or no object in it, goes on as it is."""
    if not isinstance(items, list):
        return items
    return [_item(item) if isinstance(item, dict) else item for item in items]


def _listed(items: Any) -> list[Any]:
    return items if isinstance(items, list) else []


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    quantity = item.get("quantity")
    fields = {
        "product_id": told(item.get("item_id")) or told(item.get("item_name")),
        "category": told(item.get("item_category")),
        "quantity": int(quantity) if isinstance(quantity, str) and _is_digits(quantity) else quantity,
        "price": item.get("price"),
    }
    return {field: value for field, value in fields.items() if value is not None}


def _params_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """``event_params`` as a mapping: each has its value in the one of four typed fields that is not null."""
    params: dict[str, Any] = {}
    for entry in _listed(row.get("event_params")):
        if isinstance(entry, dict) and isinstance(entry.get("key"), str):
            value = _object(entry, "value")
            typed = (value.get(f"{kind}_value") for kind in ("string", "int", "double", "float"))
            params[entry["key"]] = next((one for one in typed if one is not None), None)
    return params


def _milliseconds(micros: Any) -> Any:
    """Microseconds, which exports write as text, to milliseconds; anything else goes on to be refused."""
    if isinstance(micros, str) and _is_digits(micros):
        micros = int(micros)
    return micros // 1000 if isinstance(micros, int) and not isinstance(micros, bool) else micros


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and told(value) not in (None, "")


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}
