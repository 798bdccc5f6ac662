"""What a partition remembers: sessions, carts, orders and payments, as structs that a snapshot can hold as they are."""

from __future__ import annotations

import msgspec

from streams.structs import plainly_stored

__all__ = ["Cart", "Kept", "Order", "Payment", "Session"]


@plainly_stored
class Session(msgspec.Struct, gc=False, array_like=True):
    """An open session.

    Its end is looked at once the watermark is there, or where that was set in the past, at ``wait_ms`` (else 0).
    ``cohorts`` has six bits a horizon: the opening, and each stage reached within it.
    """

    opened_ms: int
    last_ms: int
    wait_ms: int
    leaf: int
    opening_leaf: int = 0
    mask: int = 0
    cohorts: int = 0
    page_views: int = 0
    product_views: int = 0
    others: int = 0
    visitor: int = 0


@plainly_stored
class Cart(msgspec.Struct, gc=False, array_like=True):
    """An open cart; ``idle_due_ms`` and ``abandon_due_ms`` are positions of the watermark, like a session's."""

    opened_ms: int
    last_ms: int
    idle_due_ms: int
    abandon_due_ms: int
    leaf: int
    added: int = 0
    removed: int = 0
    idle: bool = False
    resumed: bool = False


@plainly_stored
class Kept(msgspec.Struct, gc=False, array_like=True):
    """A cart that was converted and never idle, until it is counted as kept."""

    moment_ms: int
    due_ms: int
    leaf: int


@plainly_stored
class Order(msgspec.Struct, gc=False, array_like=True):
    """An order by its id: what was counted (bits), its last event, and the values it remembers."""

    last_ms: int
    mask: int = 0
    leaf: int = 0


@plainly_stored
class Payment(msgspec.Struct, gc=False, array_like=True):
    """A payment by its id: outcomes counted and whether it was paid (bits), and its last event."""

    last_ms: int
    mask: int = 0
