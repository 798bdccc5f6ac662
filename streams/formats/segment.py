"""Segment spec v2: ``track``, ``page`` and ``screen`` calls with the e-commerce events; one call, one event.

Only the fields named here are read: traits, addresses, e-mail, phone, names, IP and user agent stay outside, and
user ids become pseudonyms. Segment has no session id, so the visitor is the session key and the gap cuts sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.formats.identity import derived_id, pseudonym
from streams.formats.traffic import channel_of, device_of, told

__all__ = ["translate"]

EVENT_TYPES: Final = {
    "product viewed": "product_view",
    "product list viewed": "list_view",
    "product clicked": "list_view",
    "product added": "add_to_cart",
    "product removed": "remove_from_cart",
    "cart viewed": "cart_view",
    "checkout started": "checkout_started",
    "checkout step viewed": "checkout_step",
    "checkout step completed": "checkout_step",
    "payment info entered": "checkout_step",
    "order completed": "order_paid",
    "order cancelled": "order_cancelled",
    "order refunded": "order_refunded",
}

NO_FUNNEL_EVENTS: Final = frozenset(
    [
        *("products searched", "product list filtered", "promotion viewed", "promotion clicked", "order updated"),
        *("coupon entered", "coupon applied", "coupon denied", "coupon removed", "cart shared", "product shared"),
        *("product added to wishlist", "product removed from wishlist", "wishlist product added to cart"),
        *("product reviewed", "application installed", "application opened", "application updated"),
        *("application backgrounded", "application foregrounded", "application crashed", "application uninstalled"),
        *("push notification received", "push notification tapped", "push notification bounced", "deep link opened"),
        *("install attributed", "signed up", "signed in", "signed out"),
    ]
)
"""Events of the specification that are no step of the funnel: left out on purpose."""


def translate(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The native-shaped event of a call; none for calls that are no event of the funnel (``identify``, ``group``).

    >>> call = {"type": "track", "event": "Product Added", "anonymousId": "v-1", "messageId": "m-1",
    ...         "timestamp": "2026-03-01T12:00:00.250Z", "properties": {"product_id": "p-1", "quantity": 2}}
    >>> event, = translate(call)
    >>> event["event_type"], event["session_id"], event["items"]
    ('add_to_cart', 'v-1', [{'product_id': 'p-1', 'quantity': 2}])
    """
    call = record.get("type")
    if call in ("identify", "group", "alias"):
        return []
    name = record.get("event")
    if call == "track" and isinstance(name, str) and name.strip().lower() in NO_FUNNEL_EVENTS:
        return []
    properties, context = _object(record, "properties"), _object(record, "context")
    user_id = pseudonym(record.get("userId"))
    visitor = told(record.get("anonymousId")) or user_id
    event_type = _event_type(call, name)
    fields = {
        "event_id": record.get("messageId"),
        "event_type": event_type,
        **_times(record),
        "session_id": visitor,
        "visitor_id": visitor,
        "user_id": user_id,
        **_dimensions(properties, context),
        "items": _items(properties),
        **_order(event_type, properties),
    }
    if not fields["event_id"]:
        facts = [fields[field] for field in ("visitor_id", "event_type", "event_time")]
        fields["event_id"] = derived_id(*facts, fields.get("order_id"), fields["items"], properties.get("url"))
    return [{field: value for field, value in fields.items() if value is not None}]


def _event_type(call: Any, name: Any) -> Any:
    if call in ("page", "screen"):
        return "page_view"
    if call != "track":
        return call
    return EVENT_TYPES.get(name.strip().lower(), name) if isinstance(name, str) else name


def _times(record: Mapping[str, Any]) -> dict[str, Any]:
    """Event time and clocks.

    A call that went through Segment has ``receivedAt``, and its ``timestamp`` is already corrected for the
    shopper's clock; one straight from a library still needs the correction by ``sentAt``.
    """
    original = record.get("originalTimestamp")
    if record.get("receivedAt"):
        return {"event_time": record.get("timestamp") or original, "append_time": record["receivedAt"]}
    return {"event_time": original if original else record.get("timestamp"), "sent_at": record.get("sentAt")}


def _dimensions(properties: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    campaign, location = _object(context, "campaign"), _object(context, "location")
    kind = _object(context, "device").get("type")
    return {
        "channel": channel_of(campaign.get("source"), campaign.get("medium")),
        "device": device_of(kind, _object(context, "os").get("name"), context.get("userAgent")),
        "region": told(location.get("region")) or told(location.get("country")),
        "customer_type": told(properties.get("customer_type")),
        "payment_method": told(properties.get("payment_method")),
    }


def _order(event_type: Any, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The order an event is about; money only where it is paid or given back."""
    if not isinstance(event_type, str) or not event_type.startswith("order_"):
        return {}
    amounts = (properties.get(field) for field in ("revenue", "total", "value"))
    return {
        "order_id": told(properties.get("order_id")),
        "amount": next((amount for amount in amounts if amount is not None), None),
        "currency": properties.get("currency"),
    }


def _items(properties: Mapping[str, Any]) -> Any:
    """The products of a call: a list, or the one product that the properties themselves describe."""
    products = properties.get("products")
    if products is None and (properties.get("product_id") or properties.get("sku")):
        return [_item(properties)]
    if not isinstance(products, list):
        return products
    return [_item(product) if isinstance(product, dict) else product for product in products]


def _item(product: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        "product_id": told(product.get("product_id")) or told(product.get("sku")),
        "category": told(product.get("category")),
        "quantity": product.get("quantity"),
        "price": product.get("price"),
    }
    return {field: value for field, value in fields.items() if value is not None}


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}
