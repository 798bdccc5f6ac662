"""Carts: opened, idle, resumed, and settled as converted, emptied or abandoned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from streams.engine.counters import CODE_BITS, CounterNames
from streams.engine.rows import LARGEST
from streams.engine.segments import Leaves
from streams.engine.spec import EngineSpec
from streams.engine.state import Cart, Kept
from streams.engine.wheel import Wheel
from streams.engine.windows import Ledger
from streams.events import BACK_OFFICE, CART_ACTIVITY, EVENT_TYPES, KIND_OF_TYPE, OUTCOMES

__all__ = ["Carts"]

ADD: Final = KIND_OF_TYPE["add_to_cart"]
REMOVE: Final = KIND_OF_TYPE["remove_from_cart"]
IS_ACTIVITY: Final = tuple(name in CART_ACTIVITY for name in EVENT_TYPES)
IS_OUTCOME: Final = tuple(name in OUTCOMES for name in EVENT_TYPES)
IS_BACK_OFFICE: Final = tuple(name in BACK_OFFICE for name in EVENT_TYPES)
IDLE: Final = 1
ABANDONED: Final = 2
NAMES: Final = ("opened", "idle", "resumed", "converted", "recovered", "kept", "abandoned", "emptied")


class Carts:
    """The open carts of a partition by session key, and the converted ones that are still to be counted as kept."""

    def __init__(
        self,
        spec: EngineSpec,
        names: CounterNames,
        ledger: Ledger,
        leaves: Leaves,
        code: Callable[[tuple[int, ...]], int],
    ) -> None:
        self._timeout, self._grace = spec.abandonment_timeout_ms, spec.grace_ms
        self._conversion = spec.conversion_window_ms
        self._ledger, self._leaves = ledger, leaves
        self._codes = {name: code((names.id(f"carts_{name}"),)) for name in NAMES}
        self._wheel = Wheel(spec.window_ms, spec.grace_ms)
        self._kept_wheel = Wheel(spec.window_ms, spec.grace_ms)
        self.open: dict[str, Cart] = {}
        self.kept: dict[str, list[Kept]] = {}
        self.touched: dict[str, Cart | None] = {}
        self.kept_touched: dict[str, list[Kept] | None] = {}
        """What changed since the last checkpoint; None where it is no more."""

    def apply(self, event: Any, leaf: int, paid: bool) -> None:
        """Let a shopper or outcome event touch the cart of its key; ``paid`` tells that it is a paid moment."""
        key, kind = event.key, event.kind
        cart = self.open.get(key)
        order_ms = event.order_ms
        if cart is not None and (cart.idle_due_ms < order_ms or cart.abandon_due_ms < order_ms):
            self._settle(key, cart, order_ms)
            cart = self.open.get(key)
        if cart is None:
            if kind != ADD:
                return
            cart = self._begin(event, leaf)
        elif cart.leaf != leaf:
            cart.leaf = self._leaves.fill(leaf, cart.leaf)
        self.touched[key] = cart
        if IS_ACTIVITY[kind] and (cart.idle or event.event_ms > cart.last_ms):
            self._touch(event, cart)
        if kind == ADD:
            added = cart.added + quantity(event)
            cart.added = added if added < LARGEST else LARGEST
        elif kind == REMOVE:
            cart.removed = min(cart.removed + quantity(event), LARGEST)
            if cart.removed >= cart.added:
                self._count("emptied", cart.leaf, event.event_ms, event.order_ms)
                self._close(key)
        elif paid and 0 <= event.event_ms - cart.opened_ms <= self._conversion:
            self._convert(event, cart)

    def fire(self, closing_ms: int) -> None:
        """Fire every timer that is due before a closing."""
        for key in self._wheel.take(closing_ms):
            cart = self.open.get(key)
            if cart is not None:
                self._settle(key, cart, closing_ms)
                if key in self.open:
                    self._wheel.put(key, _due(cart))
        for key in self._kept_wheel.take(closing_ms):
            waiting = []
            for kept in self.kept.pop(key, ()):
                if kept.due_ms < closing_ms:
                    self._count("kept", kept.leaf, kept.moment_ms, kept.due_ms)
                else:
                    waiting.append(kept)
                    self._kept_wheel.put(key, kept.due_ms)
            self.kept_touched[key] = waiting or None
            if waiting:
                self.kept[key] = waiting

    def next_ms(self) -> int | None:
        """The closing that has to fire next."""
        return min(
            (due for due in (self._wheel.next_ms(), self._kept_wheel.next_ms()) if due is not None), default=None
        )

    def load(self, carts: dict[str, Cart], kept: dict[str, list[Kept]]) -> None:
        """Take over the carts of a snapshot."""
        self.open, self.kept = carts, kept
        self._wheel.put_all((key, _due(cart)) for key, cart in carts.items())
        self._kept_wheel.put_all((key, one.due_ms) for key, waiting in kept.items() for one in waiting)

    def _begin(self, event: Any, leaf: int) -> Cart:
        opened, order_ms = event.event_ms, event.order_ms
        cart = Cart(
            opened,
            opened,
            self._position(opened + self._timeout, order_ms),
            self._position(opened + self._conversion, order_ms),
            leaf,
        )
        self.open[event.key] = cart
        self._wheel.put(event.key, _due(cart))
        self._count("opened", leaf, opened, order_ms)
        return cart

    def _touch(self, event: Any, cart: Cart) -> None:
        """An activity: a cart that was idle is resumed (by the shopper only), its silence begins anew."""
        if cart.idle and not cart.resumed and not IS_OUTCOME[event.kind]:
            cart.resumed = True
            self._count("resumed", cart.leaf, event.event_ms, event.order_ms)
        if event.event_ms > cart.last_ms:
            cart.last_ms = event.event_ms
            if not cart.idle:
                due = self._position(event.event_ms + self._timeout, event.order_ms)
                if due < cart.idle_due_ms:  # it had to wait, and has not to any more
                    self._wheel.put(event.key, due)
                cart.idle_due_ms = due

    def _convert(self, event: Any, cart: Cart) -> None:
        self._close(event.key)
        self._count("converted", cart.leaf, event.event_ms, event.order_ms)
        if cart.idle:
            self._count("recovered", cart.leaf, event.event_ms, event.order_ms)
            return
        moment = event.event_ms + self._timeout
        kept = Kept(moment, self._position(moment, event.order_ms), cart.leaf)
        kept_of_key = self.kept_touched[event.key] = self.kept.setdefault(event.key, [])
        kept_of_key.append(kept)
        self._kept_wheel.put(event.key, kept.due_ms)

    def _settle(self, key: str, cart: Cart, before_ms: int) -> None:
        """Fire the timers of a cart whose position is before ``before_ms``: by position, moment, idle first."""
        for due_ms, moment_ms, kind in self._timers(cart):
            if due_ms >= before_ms:
                return
            if kind == IDLE:
                self.touched[key] = cart
                cart.idle = True
                cart.idle_due_ms = cart.abandon_due_ms
                self._count("idle", cart.leaf, moment_ms, due_ms)
            else:
                self._count("abandoned", cart.leaf, moment_ms, due_ms)
                self._close(key)
                return

    def _close(self, key: str) -> None:
        del self.open[key]
        self.touched[key] = None

    def _timers(self, cart: Cart) -> list[tuple[int, int, int]]:
        timers = [(cart.abandon_due_ms, cart.opened_ms + self._conversion, ABANDONED)]
        if not cart.idle:
            timers.append((cart.idle_due_ms, cart.last_ms + self._timeout, IDLE))
        return sorted(timers)

    def _position(self, moment_ms: int, order_ms: int) -> int:
        """When a timer set now is looked at: one set in the past waits for the rest of what comes late."""
        return moment_ms if moment_ms >= order_ms else order_ms + self._grace

    def _count(self, name: str, leaf: int, moment_ms: int, position_ms: int) -> None:
        self._ledger.tally(moment_ms, position_ms).codes.append(leaf << CODE_BITS | self._codes[name])


def quantity(event: Any) -> int:
    """The items of an event; none named is one."""
    items = event.items
    if not items:
        return 1
    return items[0].quantity or 1 if len(items) == 1 else sum(item.quantity or 1 for item in items)


def _due(cart: Cart) -> int:
    return min(cart.idle_due_ms, cart.abandon_due_ms)
