"""The shop of one partition: every event in processing order is applied here, every timer fires here."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from streams.engine.browsing import Browsing
from streams.engine.carts import Carts, quantity
from streams.engine.counters import CODE_BITS, COUNTER_BITS, CounterNames, Tally
from streams.engine.cubing import CubeMaker
from streams.engine.decode import Decoder
from streams.engine.dedup import Duplicates
from streams.engine.payments import Payments
from streams.engine.products import Products
from streams.engine.rollup import RollUp
from streams.engine.segments import Leaves, Values
from streams.engine.sessions import IS_BACK_OFFICE, IS_SHOPPER, Sessions
from streams.engine.spec import EngineSpec
from streams.engine.windows import Ledger
from streams.events import EVENT_TYPES, KIND_OF_TYPE, ORDER_EVENTS

__all__ = ["Shop", "Store"]

ADD: Final = KIND_OF_TYPE["add_to_cart"]
IS_ORDER: Final = tuple(name in ORDER_EVENTS for name in EVENT_TYPES)
HAS_PRODUCTS: Final = tuple(name in ("product_view", "add_to_cart") for name in EVENT_TYPES)
CROWDED: Final = 50_000


class Store(NamedTuple):
    """Entries by key, and those that changed since the last checkpoint, None where they are no more."""

    live: dict[Any, Any]
    touched: dict[Any, Any]


class Shop:
    """Sessions, carts, orders, payments and their counters."""

    def __init__(self, spec: EngineSpec, partition: int, decoder: Decoder) -> None:
        session, payment, product = (
            tuple(Values(name, spec.max_values) for name in group)
            for group in (spec.session_dimensions, spec.payment_dimensions, spec.product_dimensions)
        )
        attributes = decoder.reader.event_attributes
        self._hash = decoder.hash_visitor
        self.values = (*session, *payment, *product)
        self.names = CounterNames()
        self.leaves = Leaves(session, spec.pairs)
        self.order_leaves = Leaves(session + payment, spec.pairs)
        self.products = Products(session, product, decoder.reader.item_attributes, spec.pairs, self.names)
        rollup = RollUp(self.names, self.leaves, self.order_leaves, self.products)
        self.ledger = Ledger(spec, partition, self.names, rollup)
        self.sessions = Sessions(spec, self.names, self.ledger, self.leaves, attributes[: len(session)])
        rollup.codes = self.sessions.funnel.codes
        if spec.cube_leaves:
            self.ledger.cube_maker = CubeMaker(self.names, rollup, self.leaves, self.order_leaves, spec.cube_leaves)
        self.carts = Carts(spec, self.names, self.ledger, self.leaves, self.sessions.funnel.code)
        self.browsing = Browsing(self.sessions, self.carts, self.products, decoder.seed)
        code = self.sessions.funnel.code
        self.payments = Payments(spec, self.names, self.order_leaves, attributes[len(session) :], code)
        self.duplicates = Duplicates(spec.max_lateness_ms + spec.max_out_of_orderness_ms)
        self.present = self.sessions.present
        self._cart_items = self.names.id("cart_items")
        self._one_item = self.sessions.funnel.code((self._cart_items,))
        self.crowded = CROWDED
        """So many leaves are worth a look for those that nothing refers to any more."""
        self.is_followed = False
        """Whether checkpoints take what is touched; where none does, it is dropped at each closing."""

    def apply_all(self, events: list[Any]) -> int:
        """Count events in processing order; returns how many were no copies of what counted before."""
        fresh, copies = self.duplicates.sift(events)
        for event in copies:
            self.ledger.tally(event.noted_ms, event.order_ms).note("duplicates")
        self.browsing.count_all(fresh, self.apply)
        return len(fresh)

    def apply(self, event: Any) -> None:
        """Count one event, whatever it is."""
        kind, event_ms, present = event.kind, event.event_ms, self.present
        in_time = event.order_ms is event_ms
        if not in_time:
            tally = self.ledger.tally(event_ms, event.order_ms)
        elif event_ms < present.end_ms:  # what is in time comes in order
            tally = present.tally
        else:
            tally = present.turn(event_ms)
        session, joined, leaf = self.sessions.apply(event, tally)
        if HAS_PRODUCTS[kind]:
            if kind == ADD:
                self._count_items(event, leaf, tally)
            if self.products.axes:
                self.products.count(event, self.leaves.codes[leaf], tally)
        if IS_SHOPPER[kind]:
            told = event.visitor_id
            if not in_time or not told or joined is None:
                tally.seen_leaves.append(leaf)
                tally.seen_visitors.append(self._visitor(event, joined))
            elif present.noted.get(event.key) != told:
                present.noted[event.key] = told
                tally.seen_leaves.append(leaf)
                tally.seen_visitors.append(self._visitor(event, joined))
        paid = False
        if IS_ORDER[kind]:
            paid = self.payments.apply(event, self.leaves.codes[leaf], session is None, tally)
        if not IS_BACK_OFFICE[kind]:
            self.carts.apply(event, leaf, paid)

    def fire(self, closing_ms: int) -> None:
        """Fire every timer that is due before a closing."""
        self.sessions.fire(closing_ms)
        self.carts.fire(closing_ms)

    def next_ms(self) -> int | None:
        """The closing that has to fire next; None where no timer runs."""
        due = [ms for ms in (self.sessions.next_ms(), self.carts.next_ms()) if ms is not None]
        return min(due, default=None)

    def forget(self, closing_ms: int) -> None:
        """Forget what can have no effect any more."""
        self.duplicates.forget(closing_ms)
        self.payments.forget(closing_ms)
        if len(self.leaves) + len(self.order_leaves) > self.crowded:
            self._release_leaves()
            self.crowded = max(CROWDED, 2 * (len(self.leaves) + len(self.order_leaves)))
        if not self.is_followed:
            self.tell()

    def stores(self) -> list[Store]:
        """What is remembered by key: sessions, carts, kept carts, orders, payments, numbers of corrections."""
        sessions, carts, payments, ledger = self.sessions, self.carts, self.payments, self.ledger
        return [
            Store(sessions.open, sessions.touched),
            Store(carts.open, carts.touched),
            Store(carts.kept, carts.kept_touched),
            Store(payments.orders, payments.orders_touched),
            Store(payments.payments, payments.payments_touched),
            Store(ledger.numbers, ledger.touched),
        ]

    def tell(self) -> None:
        """All that has changed so far is in a checkpoint, or nobody asks for it."""
        for store in self.stores():
            store.touched.clear()
        if self.is_followed:
            self.present.noted.clear()
        self.duplicates.tell()

    def _count_items(self, event: Any, leaf: int, tally: Tally) -> None:
        added = quantity(event)
        if added == 1:
            tally.codes.append(leaf << CODE_BITS | self._one_item)
        else:
            entry = leaf << COUNTER_BITS | self._cart_items
            tally.sessions[entry] = tally.sessions.get(entry, 0) + added

    def _visitor(self, event: Any, joined: Any) -> int:
        """The visitor's key: the event's, else the first that its session had, else the session key."""
        told = event.visitor_id
        if not told:
            return (joined is not None and joined.visitor) or self._hash(event.key)
        visitor = self._hash(told)
        if joined is not None and not joined.visitor:
            joined.visitor = visitor
        return visitor

    def _release_leaves(self) -> None:
        """Drop the leaves that nothing refers to: distinct tuples of values keep coming, few of them stay."""
        tallies = self.ledger.tallies()
        kept = [one for waiting in self.carts.kept.values() for one in waiting]
        used = {cart.leaf for cart in self.carts.open.values()} | {one.leaf for one in kept}
        for session in self.sessions.open.values():
            used.add(session.leaf)
            used.add(session.opening_leaf)
        self.leaves.release(used.union(*(tally.session_leaves() for tally in tallies)))
        used = {order.leaf for order in self.payments.orders.values()}
        self.order_leaves.release(used.union(*(tally.order_leaves() for tally in tallies)))
