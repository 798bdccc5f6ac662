"""Orders and payments: each step once an order, each outcome once a payment, money at its first word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from streams.engine.counters import CODE_BITS, COUNTER_BITS, CounterNames, Tally
from streams.engine.segments import Leaves, teller
from streams.engine.spec import EngineSpec
from streams.engine.state import Order, Payment
from streams.engine.wheel import Wheel
from streams.events import BACK_OFFICE, EVENT_TYPES, KIND_OF_TYPE, PAID

__all__ = ["Payments"]

IS_PAID: Final = tuple(name in PAID for name in EVENT_TYPES)
IS_BACK_OFFICE: Final = tuple(name in BACK_OFFICE for name in EVENT_TYPES)
REFUNDED: Final = KIND_OF_TYPE["order_refunded"]
IS_PAYMENT: Final = tuple(name.startswith("payment_") for name in EVENT_TYPES)
STEPS: Final = ("placed", "attempted", "paid", "cancelled", "refunded", "orphan")
STEPS_OF_TYPE: Final = {
    "order_placed": ("placed",),
    "payment_attempted": ("attempted",),
    "payment_failed": ("attempted",),
    "payment_succeeded": ("attempted", "paid"),
    "order_paid": ("paid",),
    "order_cancelled": ("cancelled",),
    "order_refunded": ("refunded",),
}
BIT: Final = {name: 1 << place for place, name in enumerate((*STEPS, "valued"))}
STEP_BITS: Final = tuple(sum(BIT[step] for step in STEPS_OF_TYPE.get(name, ())) for name in EVENT_TYPES)
ORPHAN, PAID_STEP, VALUED = BIT["orphan"], BIT["paid"], BIT["valued"]
SUCCEEDED, SOFT, HARD, PAYMENT_PAID, ATTEMPT = (1 << place for place in range(5))
"""What a payment's mask has of each; an attempt is no bit of it."""
OUTCOME_NAMES: Final = {
    SUCCEEDED: "payments_succeeded",
    SOFT: "payments_declined_soft",
    HARD: "payments_declined_hard",
    ATTEMPT: "payment_attempts",
}
OUTCOME_OF_TYPE: Final = {"payment_attempted": ATTEMPT, "payment_succeeded": SUCCEEDED, "payment_failed": HARD}
OUTCOME: Final = tuple(OUTCOME_OF_TYPE.get(name, 0) for name in EVENT_TYPES)


class Payments:
    """The orders and payments of a partition, by their ids."""

    def __init__(
        self,
        spec: EngineSpec,
        names: CounterNames,
        leaves: Leaves,
        attributes: tuple[str, ...],
        code: Callable[[tuple[int, ...]], int],
    ) -> None:
        self._memory = spec.order_memory_ms
        self._kept_for = spec.order_memory_ms + spec.max_lateness_ms
        self._names, self._leaves = names, leaves
        self._told = teller(attributes)
        steps = [(names.id(f"orders_{step}"), BIT[step]) for step in STEPS]
        self._counters = [tuple(counter for counter, bit in steps if bits & bit) for bits in range(1 << len(STEPS))]
        """The counters of a set of steps."""
        self._outcome_ids = {outcome: names.id(name) for outcome, name in OUTCOME_NAMES.items()}
        self._code_of = code
        self._codes: dict[tuple[int, int], int] = {}
        self._money_ids: dict[str, tuple[int, int]] = {}
        self._wheel = Wheel(spec.window_ms, spec.grace_ms)
        self._payment_wheel = Wheel(spec.window_ms, spec.grace_ms)
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, Payment] = {}
        self.orders_touched: dict[str, Order | None] = {}
        self.payments_touched: dict[str, Payment | None] = {}
        """What changed since the last checkpoint; None where forgotten."""

    def apply(self, event: Any, session_codes: tuple[int, ...], orphan: bool, tally: Tally) -> bool:
        """Count an order or payment event; returns whether it is a paid moment."""
        kind = event.kind
        leaf = self._leaves.join(session_codes, self._told(event))
        order = self._order(event.order_id, event.event_ms)
        payment = self._payment(event.payment_id, event.event_ms)
        if order is not None and order.leaf != leaf:
            leaf = order.leaf = self._leaves.fill(leaf, order.leaf)
        paid = IS_PAID[kind]
        order_paid = order is not None and bool(order.mask & PAID_STEP)
        payment_paid = payment is not None and bool(payment.mask & PAYMENT_PAID)
        outcome = self._outcome(event, payment) if IS_PAYMENT[kind] else 0
        steps = 0
        if order is not None or not IS_PAYMENT[kind]:
            steps = self._steps(kind, order, orphan)
            order = order or Order(event.event_ms)
        if paid and payment is not None:
            payment.mask |= PAYMENT_PAID
        if steps or outcome:
            code = self._codes.get((steps, outcome)) or self._code(steps, outcome)
            tally.order_codes.append(leaf << CODE_BITS | code)
        if event.amount is not None:
            self._money(event, order, leaf, tally)
        return paid and not order_paid and not payment_paid

    def forget(self, closing_ms: int) -> None:
        """Forget what no event that can still come may belong to."""
        for key in self._wheel.take(closing_ms):
            order = self.orders[key]
            if order.last_ms + self._kept_for < closing_ms:
                del self.orders[key]
                self.orders_touched[key] = None
            else:
                self._wheel.put(key, order.last_ms + self._kept_for)
        for key in self._payment_wheel.take(closing_ms):
            payment = self.payments[key]
            if payment.last_ms + self._kept_for < closing_ms:
                del self.payments[key]
                self.payments_touched[key] = None
            else:
                self._payment_wheel.put(key, payment.last_ms + self._kept_for)

    def load(self, orders: dict[str, Order], payments: dict[str, Payment]) -> None:
        """Take over the orders and payments of a snapshot."""
        self.orders, self.payments, kept_for = orders, payments, self._kept_for
        self._wheel.put_all((key, order.last_ms + kept_for) for key, order in orders.items())
        self._payment_wheel.put_all((key, payment.last_ms + kept_for) for key, payment in payments.items())

    def _order(self, order_id: str | None, event_ms: int) -> Order | None:
        """The order of that id as it is remembered at this moment; a new one where it is not."""
        if order_id is None:
            return None
        order = self.orders.get(order_id)
        if order is None:
            self._wheel.put(order_id, event_ms + self._kept_for)
        if order is None or event_ms - order.last_ms > self._memory:
            order = self.orders[order_id] = Order(event_ms)
        elif event_ms > order.last_ms:
            order.last_ms = event_ms
        self.orders_touched[order_id] = order
        return order

    def _payment(self, payment_id: str | None, event_ms: int) -> Payment | None:
        if payment_id is None:
            return None
        payment = self.payments.get(payment_id)
        if payment is None:
            self._payment_wheel.put(payment_id, event_ms + self._kept_for)
        if payment is None or event_ms - payment.last_ms > self._memory:
            payment = self.payments[payment_id] = Payment(event_ms)
        elif event_ms > payment.last_ms:
            payment.last_ms = event_ms
        self.payments_touched[payment_id] = payment
        return payment

    def _steps(self, kind: int, order: Order | None, orphan: bool) -> int:
        """Steps (bits) of the order that this event is the first to take; an order without id takes each anew."""
        done = order.mask if order is not None else 0
        bits = fresh = STEP_BITS[kind] & ~done
        if not IS_BACK_OFFICE[kind] and not done & ORPHAN:
            bits |= ORPHAN
            if orphan:
                fresh |= ORPHAN
        if bits and order is not None:
            order.mask |= bits
        return fresh

    def _outcome(self, event: Any, payment: Payment | None) -> int:
        """The outcome (its bit) that this event is the first to tell; an attempt is always one, none is 0."""
        outcome: int = OUTCOME[event.kind]
        if outcome == HARD and event.decline == "soft":
            outcome = SOFT
        if outcome != ATTEMPT and payment is not None:
            if payment.mask & outcome:
                return 0
            payment.mask |= outcome
        return outcome

    def _code(self, steps: int, outcome: int) -> int:
        """The code of newly taken steps and a newly told outcome."""
        counters = self._counters[steps] + ((self._outcome_ids[outcome],) if outcome else ())
        code = self._codes[steps, outcome] = self._code_of(counters)
        return code

    def _money(self, event: Any, order: Order | None, leaf: int, tally: Tally) -> None:
        sums, leaf_entry = tally.orders, leaf << COUNTER_BITS
        if event.kind == REFUNDED:
            entry = leaf_entry | self._names.id(f"refund_minor.{event.currency}")
            sums[entry] = sums.get(entry, 0) + event.amount
        elif IS_PAID[event.kind] and order is not None and not order.mask & VALUED:
            order.mask |= VALUED
            valued, revenue = self._money_ids.get(event.currency) or self._ids_of(event.currency)
            sums[leaf_entry | valued] = sums.get(leaf_entry | valued, 0) + 1
            sums[leaf_entry | revenue] = sums.get(leaf_entry | revenue, 0) + event.amount

    def _ids_of(self, currency: str) -> tuple[int, int]:
        """The counters of orders valued and of revenue in a currency."""
        valued, revenue = (self._names.id(f"{name}.{currency}") for name in ("orders_valued", "revenue_minor"))
        ids = self._money_ids[currency] = valued, revenue
        return ids
