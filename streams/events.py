"""The event vocabulary: kinds of events, what each kind is to a session, a cart and an order, and the reasons of a reject."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BACK_OFFICE",
    "CART_ACTIVITY",
    "EVENT_TYPES",
    "FIELD_NAMES",
    "KIND_OF_TYPE",
    "OPENERS",
    "ORDER_EVENTS",
    "OUTCOMES",
    "PAID",
    "REASONS",
    "SHOPPER",
    "STAGES",
    "STAGE_OF_TYPE",
]

BROWSING: Final = ("page_view", "product_view", "list_view")
CARTING: Final = ("add_to_cart", "remove_from_cart", "cart_view")
CHECKOUT: Final = ("checkout_started", "checkout_step")

OPENERS: Final = BROWSING + CARTING + CHECKOUT
"""Open a session where none is open."""

SHOPPER: Final = (*OPENERS, "order_placed", "payment_attempted")
"""Extend the open session."""

OUTCOMES: Final = ("payment_succeeded", "payment_failed", "order_paid")
"""Join the open session without extending it."""

BACK_OFFICE: Final = ("order_cancelled", "order_refunded", "ad_report")
"""Only read the dimensions of the open session."""

EVENT_TYPES: Final = SHOPPER + OUTCOMES + BACK_OFFICE
KIND_OF_TYPE: Final = {name: kind for kind, name in enumerate(EVENT_TYPES)}
"""Event type → its index in ``EVENT_TYPES``, the form in which the engine carries it."""

CART_ACTIVITY: Final = (*CARTING, *CHECKOUT, "order_placed", "payment_attempted", "payment_failed")
"""Keep an open cart from becoming idle."""

PAID: Final = ("order_paid", "payment_succeeded")
ORDER_EVENTS: Final = (
    "order_placed",
    "payment_attempted",
    "payment_succeeded",
    "payment_failed",
    "order_paid",
    "order_cancelled",
    "order_refunded",
)
"""Events of the order and of the payment that they name."""

STAGES: Final = ("product", "cart", "checkout", "ordered", "paid")
"""The steps of the funnel, first to last; the visit itself is ``sessions``."""

STAGE_OF_TYPE: Final = {
    "product_view": "product",
    "add_to_cart": "cart",
    "checkout_started": "checkout",
    "checkout_step": "checkout",
    "order_placed": "ordered",
    "payment_attempted": "ordered",
    "payment_failed": "ordered",
    "order_paid": "paid",
    "payment_succeeded": "paid",
}

REASONS: Final = (
    "too_large",
    "not_json",
    "no_event_type",
    "unknown_event_type",
    "no_event_time",
    "bad_event_time",
    "no_session",
    "future",
    "too_late",
)
"""Why a record is rejected, in the order in which they are looked for."""

FIELD_NAMES: Final = (
    "event_id",
    "event_type",
    "event_time",
    "session_id",
    "visitor_id",
    "user_id",
    "items",
    "order_id",
    "payment_id",
    "amount",
    "currency",
    "decline",
    "sent_at",
    "append_time",
)
"""Fields of a native object that mean something without configuration; dimensions come on top."""
