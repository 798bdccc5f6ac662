"""The event vocabulary: what each kind is to a session, a cart and an order; the event itself; reasons of a reject."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

__all__ = [
    "BACK_OFFICE",
    "BROWSING",
    "CART_ACTIVITY",
    "EVENT_TYPES",
    "FIELD_NAMES",
    "KIND_OF_TYPE",
    "LONGEST_ID",
    "MAX_QUANTITY",
    "OPENERS",
    "ORDER_EVENTS",
    "OUTCOMES",
    "PAID",
    "REASONS",
    "SHOPPER",
    "STAGES",
    "STAGE_OF_TYPE",
    "Event",
    "EventType",
    "Item",
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

EventType = Literal[
    "page_view",
    "product_view",
    "list_view",
    "add_to_cart",
    "remove_from_cart",
    "cart_view",
    "checkout_started",
    "checkout_step",
    "order_placed",
    "payment_attempted",
    "payment_succeeded",
    "payment_failed",
    "order_paid",
    "order_cancelled",
    "order_refunded",
    "ad_report",
]
EVENT_TYPES: Final[tuple[EventType, ...]] = (*SHOPPER, *OUTCOMES, *BACK_OFFICE)
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

MAX_QUANTITY: Final = 10**12
"""A quantity beyond it is a defect: sums stay below 2**63."""


LONGEST_ID: Final = 128
"""A longer id is kept as its hash."""


class Item(msgspec.Struct, gc=False):
    """One line of a cart, an order or a list; product dimensions are added by the format."""

    product_id: str | None = None
    quantity: Annotated[int, msgspec.Meta(gt=0, le=MAX_QUANTITY)] | None = None


class Event(msgspec.Struct, gc=False, rename={"kind": " kind", "key": " key", "event_ms": " ms", "order_ms": " order"}):
    """One event as it was sent, and (below) what the engine makes of it; dimensions are added by the format.

    It is decoded straight from JSON: the types are the validation. The engine's own fields have names that no
    source uses, and are set for each event before anything reads them.
    """

    event_type: EventType
    event_time: int | str
    event_id: str | None = None
    session_id: str | None = None
    visitor_id: str | None = None
    user_id: str | None = None
    items: list[Item] | None = None
    order_id: str | None = None
    payment_id: str | None = None
    amount: int | float | str | None = None
    currency: str | None = None
    decline: str | None = None
    sent_at: int | str | None = None
    append_time: int | str | None = None
    kind: int = 0
    """Index in ``EVENT_TYPES``."""
    key: str = ""
    """The session key."""
    event_ms: int = 0
    """Event time, moved by the sender's clock skew and clamped to the append time."""
    order_ms: int = 0
    """Key of the processing order."""
    identity: int = msgspec.field(default=0, name=" identity")
    """Hash of event id and event time as sent; 0 where there is none."""
    noted_ms: int = msgspec.field(default=0, name=" noted")
    """Stream time after the arrival."""
    late: bool = msgspec.field(default=False, name=" late")
    origin: Any = msgspec.field(default=None, name=" origin")
    """The ``Origin`` of its record, which is at ``place`` there; needed where it is read again."""
    place: int = msgspec.field(default=0, name=" place")
    part: int = msgspec.field(default=0, name=" part")
    """Its place among the events of its record."""
