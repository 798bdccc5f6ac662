"""Carts: opened, idle, resumed, converted, recovered, kept, emptied, abandoned."""

from __future__ import annotations

from collections.abc import Mapping

from streams.engine.spec import EngineSpec
from tests.support.reference.decoding import NativeEvent
from tests.support.reference.ledger import Ledger
from tests.support.reference.state import Cart, TimerKind, Timers

__all__ = ["Carts"]

ACTIVITY = frozenset(
    [
        "add_to_cart",
        "remove_from_cart",
        "cart_view",
        "checkout_started",
        "checkout_step",
        "order_placed",
        "payment_attempted",
        "payment_failed",
    ]
)


class Carts:
    """The open carts of one partition, at most one a session key."""

    def __init__(self, spec: EngineSpec, ledger: Ledger, timers: Timers) -> None:
        self.spec = spec
        self.ledger = ledger
        self.timers = timers
        self.open: dict[str, Cart] = {}

    def apply(
        self, event: NativeEvent, event_ms: int, position: int, values: Mapping[str, str | None], paid_moment: bool
    ) -> None:
        """``values`` are the session's, else the event's own, never an order's."""
        kind = event.event_type
        cart = self.open.get(event.key)
        if cart is None and kind == "add_to_cart":
            cart = self.open[event.key] = Cart(event.key, event_ms, event_ms)
            self._learn(cart, values)
            self._count(event_ms, "carts_opened", cart)
            self.timers.set(event_ms + self.spec.abandonment_timeout_ms, "cart_idle", cart, position)
            self.timers.set(event_ms + self.spec.conversion_window_ms, "cart_abandoned", cart, position)
        elif cart is not None:
            self._learn(cart, values)
            if kind in ACTIVITY:
                self._activity(cart, kind, event_ms, position)
        if cart is None:
            return
        if kind == "add_to_cart":
            cart.added += sum(item.quantity for item in event.items)
        if kind == "remove_from_cart":
            cart.removed += sum(item.quantity for item in event.items)
            if cart.removed >= cart.added:
                self._count(event_ms, "carts_emptied", cart)
                del self.open[cart.key]
        if paid_moment and 0 <= event_ms - cart.opened_ms <= self.spec.conversion_window_ms:
            self._convert(cart, event_ms, position)

    def _activity(self, cart: Cart, kind: str, event_ms: int, position: int) -> None:
        if cart.ever_idle and not cart.resumed and kind != "payment_failed":
            cart.resumed = True
            self._count(event_ms, "carts_resumed", cart)
        if event_ms > cart.last_ms:
            cart.last_ms = event_ms
            self.timers.set(event_ms + self.spec.abandonment_timeout_ms, "cart_idle", cart, position)

    def _convert(self, cart: Cart, event_ms: int, position: int) -> None:
        del self.open[cart.key]
        self._count(event_ms, "carts_converted", cart)
        if cart.ever_idle:
            self._count(event_ms, "carts_recovered", cart)
        else:
            self.timers.set(event_ms + self.spec.abandonment_timeout_ms, "cart_kept", cart, position)

    def fire(self, moment: int, kind: TimerKind, cart: Cart) -> None:
        """A timer of ``cart`` is due; it may have lost its point since it was set."""
        if kind == "cart_kept":
            self._count(moment, "carts_kept", cart)
            return
        if self.open.get(cart.key) is not cart:
            return
        if kind == "cart_abandoned":
            self._count(moment, "carts_abandoned", cart)
            del self.open[cart.key]
        elif not cart.ever_idle and moment == cart.last_ms + self.spec.abandonment_timeout_ms:
            cart.ever_idle = True
            self._count(moment, "carts_idle", cart)

    def _learn(self, cart: Cart, values: Mapping[str, str | None]) -> None:
        cart.values.update({name: value for name, value in values.items() if value is not None})

    def _count(self, moment: int, counter: str, cart: Cart) -> None:
        self.ledger.count(moment, counter, 1, {name: cart.values.get(name) for name in self.spec.session_dimensions})
