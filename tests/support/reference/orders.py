"""Orders and payments: each counted once, at its first event."""

from __future__ import annotations

from streams.engine.spec import EngineSpec
from tests.support.reference.decoding import BACK_OFFICE, NativeEvent
from tests.support.reference.ledger import Ledger
from tests.support.reference.state import Order, Payment

__all__ = ["Orders"]

PAID = ("order_paid", "payment_succeeded")


class Orders:
    """The orders and payments of one partition."""

    def __init__(self, spec: EngineSpec, ledger: Ledger) -> None:
        self.spec = spec
        self.ledger = ledger
        self._orders: dict[str, Order] = {}
        self._payments: dict[str, Payment] = {}

    def apply(self, event: NativeEvent, event_ms: int, session_values: dict[str, str | None], in_session: bool) -> bool:
        """Counts ``event``; true where it is a paid moment: it repeats no order and no payment already paid."""
        kind = event.event_type
        if not kind.startswith(("order_", "payment_")):
            return False
        payment = self._payment(event, event_ms)
        order = self._order(event, event_ms)
        values = self._values(event, session_values, order)
        self.ledger.meet(values)
        repeats = kind in PAID and ("paid" in order.counted or payment.paid)
        if kind.startswith("order_") or event.order_id is not None:
            self._count_order(event, event_ms, order, values, in_session)
        if kind.startswith("payment_"):
            self._count_payment(event, event_ms, payment, values)
        if kind in PAID:
            payment.paid = True
        return kind in PAID and not repeats

    def _order(self, event: NativeEvent, event_ms: int) -> Order:
        """The order of the event, a new one where it has no id or nothing of it is remembered."""
        if event.order_id is None:
            return Order(event_ms)
        order = self._orders.get(event.order_id)
        if order is None or event_ms > order.last_ms + self.spec.order_memory_ms:
            order = self._orders[event.order_id] = Order(event_ms)
        order.last_ms = max(order.last_ms, event_ms)
        return order

    def _payment(self, event: NativeEvent, event_ms: int) -> Payment:
        if event.payment_id is None:
            return Payment(event_ms)
        payment = self._payments.get(event.payment_id)
        if payment is None or event_ms > payment.last_ms + self.spec.order_memory_ms:
            payment = self._payments[event.payment_id] = Payment(event_ms)
        payment.last_ms = max(payment.last_ms, event_ms)
        return payment

    def _values(self, event: NativeEvent, session_values: dict[str, str | None], order: Order) -> dict[str, str | None]:
        """Session and payment dimensions, each falling back to what the order remembers; the order learns."""
        own = {**session_values, **{name: event.values.get(name) for name in self.spec.payment_dimensions}}
        values = {name: value if value is not None else order.values.get(name) for name, value in own.items()}
        order.values.update({name: value for name, value in own.items() if value is not None})
        return values

    def _count_order(
        self, event: NativeEvent, event_ms: int, order: Order, values: dict[str, str | None], in_session: bool
    ) -> None:
        kind = event.event_type
        facts = []
        if kind == "order_placed":
            facts.append("placed")
        if kind.startswith("payment_"):
            facts.append("attempted")
        if kind in PAID:
            facts.append("paid")
        if kind == "order_cancelled":
            facts.append("cancelled")
        if kind == "order_refunded":
            facts.append("refunded")
        for fact in facts:
            if fact not in order.counted:
                order.counted.add(fact)
                self.ledger.count(event_ms, f"orders_{fact}", 1, values)
        if kind not in BACK_OFFICE and not order.judged:
            order.judged = True
            self.ledger.count(event_ms, "orders_orphan", int(not in_session), values)
        if event.money is not None:
            currency, minor = event.money
            if kind in PAID and not order.valued:
                order.valued = True
                self.ledger.count(event_ms, f"orders_valued.{currency}", 1, values)
                self.ledger.count(event_ms, f"revenue_minor.{currency}", minor, values)
            if kind == "order_refunded":
                self.ledger.count(event_ms, f"refund_minor.{currency}", minor, values)

    def _count_payment(
        self, event: NativeEvent, event_ms: int, payment: Payment, values: dict[str, str | None]
    ) -> None:
        if event.event_type == "payment_attempted":
            self.ledger.count(event_ms, "payment_attempts", 1, values)
            return
        if event.event_type == "payment_succeeded":
            outcome = "payments_succeeded"
        else:
            outcome = "payments_declined_soft" if event.decline == "soft" else "payments_declined_hard"
        if outcome not in payment.outcomes:
            payment.outcomes.add(outcome)
            self.ledger.count(event_ms, outcome, 1, values)
