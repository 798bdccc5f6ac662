"""Processes accepted records in order: sessions and stages, orders and payments, carts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from streams.engine.spec import EngineSpec
from tests.support.reference.arrival import Arrival
from tests.support.reference.carts import Carts
from tests.support.reference.decoding import BACK_OFFICE, SHOPPER, NativeEvent
from tests.support.reference.ledger import Ledger
from tests.support.reference.orders import Orders
from tests.support.reference.state import STAGES, Session, Timers

__all__ = ["Shop"]

OPENS_A_SESSION = SHOPPER - {"order_placed", "payment_attempted"}
STAGE_OF = {
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


class Shop:
    """All state of one partition; ``ledger`` holds what was counted."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.ledger = Ledger(spec)
        self.timers = Timers(spec.grace_ms)
        self.sessions: dict[str, Session] = {}
        self.carts = Carts(spec, self.ledger, self.timers)
        self.orders = Orders(spec, self.ledger)
        self._counted: set[Any] = set()

    def process(self, arrivals: Iterable[Arrival]) -> None:
        """Every record by (processing key, arrival), every timer in its place between them, then the rest."""
        for arrival in sorted(arrivals, key=lambda one: one.processing_key):
            self._fire(arrival.processing_key)
            identity = arrival.event.identity
            if identity is not None and identity in self._counted:
                self.ledger.count_whole(arrival.stream_ms, "duplicates")
                continue
            self._counted.add(identity)
            self._apply(arrival)
        self._fire(None)

    def _fire(self, position: int | None) -> None:
        for moment, kind, owner in self.timers.due_before(position):
            if kind == "session_end":
                self._end_session(moment, owner)
            else:
                self.carts.fire(moment, kind, owner)

    def _apply(self, arrival: Arrival) -> None:
        event, event_ms, position = arrival.event, arrival.event_ms, arrival.processing_key
        of_shopper_or_outcome = event.event_type not in BACK_OFFICE
        self._end_if_silent(event.key, event_ms)
        if of_shopper_or_outcome and not arrival.late:
            self._open_or_extend(event, event_ms, position)
        session = self.sessions.get(event.key)
        values = self._session_values(event, session)
        self.ledger.meet(values)
        joined = session
        if not of_shopper_or_outcome or (session and arrival.late and session.opened_ms > event_ms):
            joined = None
        self._count_event(event, event_ms, values, joined)
        if joined is not None:
            self._count_in_session(joined, event, event_ms, values)
        paid_moment = self.orders.apply(event, event_ms, values, session is not None)
        if of_shopper_or_outcome:
            self.carts.apply(event, event_ms, position, values, paid_moment)

    def _end_if_silent(self, key: str, event_ms: int) -> None:
        """A session whose end waits, because it was set in the past, is over for events after that end."""
        session = self.sessions.get(key)
        if session is not None and event_ms > session.last_ms + self.spec.session_gap_ms:
            self._end_session(session.last_ms + self.spec.session_gap_ms, session)

    def _open_or_extend(self, event: NativeEvent, event_ms: int, position: int) -> None:
        """Opens or extends the session of the key and lets it learn the dimensions it misses."""
        session = self.sessions.get(event.key)
        opening = session is None and event.event_type in OPENS_A_SESSION
        if opening:
            session = self.sessions[event.key] = Session(event.key, event_ms, event_ms, {})
            self.timers.set(event_ms + self.spec.session_gap_ms, "session_end", session, position)
        elif session is not None and event.event_type in SHOPPER and event_ms > session.last_ms:
            session.last_ms = event_ms
            self.timers.set(event_ms + self.spec.session_gap_ms, "session_end", session, position)
        if session is None:
            return
        for name in self.spec.session_dimensions:
            if name in event.values:
                session.values.setdefault(name, event.values[name])
        if opening:
            session.cohort_values = {name: session.values.get(name) for name in self.spec.session_dimensions}
            self.ledger.count(event_ms, "sessions", 1, session.cohort_values)
            for horizon in self.spec.cohort_horizons_ms:
                self._count_cohort(session, "sessions", horizon)

    def _session_values(self, event: NativeEvent, session: Session | None) -> dict[str, str | None]:
        """Session dimensions: the open session's value, else the event's own."""
        known: Mapping[str, str] = session.values if session else {}
        return {name: known.get(name, event.values.get(name)) for name in self.spec.session_dimensions}

    def _count_event(
        self, event: NativeEvent, event_ms: int, values: dict[str, str | None], joined: Session | None
    ) -> None:
        kind, ledger = event.event_type, self.ledger
        if kind in self.spec.page_view_events:
            ledger.count(event_ms, "page_views", 1, values)
        if kind == "product_view":
            ledger.count_products(event_ms, "product_views", values, event.items)
        elif kind == "list_view":
            ledger.count(event_ms, "list_views", 1, values)
        elif kind == "add_to_cart":
            ledger.count_products(event_ms, "cart_adds", values, event.items)
            ledger.count_quantities(event_ms, "cart_items", values, event.items)
        elif kind == "remove_from_cart":
            ledger.count(event_ms, "cart_removes", 1, values)
        if kind in SHOPPER:
            if joined is not None and joined.visitor is None:
                joined.visitor = event.visitor
            visitor = event.visitor or (joined.visitor if joined else None) or event.key
            ledger.see_visitor(event_ms, visitor, values)

    def _count_in_session(
        self, session: Session, event: NativeEvent, event_ms: int, values: dict[str, str | None]
    ) -> None:
        kind = event.event_type
        is_page_view = kind in self.spec.page_view_events
        session.page_views += is_page_view
        session.product_views += kind == "product_view"
        session.other_events += not is_page_view and kind != "product_view"
        stage = STAGE_OF.get(kind)
        if stage is None:
            return
        if stage not in session.observed:
            session.observed.add(stage)
            self.ledger.count(event_ms, f"reached.{stage}", 1, values)
        self._reach_in_cohort(session, stage, event_ms)
        for earlier in STAGES[: STAGES.index(stage)]:
            if earlier not in session.observed | session.implied:
                session.implied.add(earlier)
                self.ledger.count(event_ms, f"implied.{earlier}", 1, values)
            self._reach_in_cohort(session, earlier, event_ms)

    def _reach_in_cohort(self, session: Session, stage: str, event_ms: int) -> None:
        for horizon in self.spec.cohort_horizons_ms:
            if event_ms - session.opened_ms <= horizon and (horizon, stage) not in session.in_cohort:
                session.in_cohort.add((horizon, stage))
                self._count_cohort(session, stage, horizon)

    def _count_cohort(self, session: Session, name: str, horizon: int) -> None:
        label = f"cohort.{name}@{horizon_label(horizon)}"
        self.ledger.count_cohort(session.opened_ms, horizon, label, session.cohort_values)

    def _end_session(self, moment: int, session: Session) -> None:
        if self.sessions.get(session.key) is not session or session.last_ms + self.spec.session_gap_ms != moment:
            return
        del self.sessions[session.key]
        values: dict[str, str | None] = {name: session.values.get(name) for name in self.spec.session_dimensions}
        bounced = session.page_views <= 1 and session.product_views <= 1 and not session.other_events
        self.ledger.count(moment, "sessions_ended", 1, values)
        self.ledger.count(moment, "bounces", int(bounced), values)
        self.ledger.count(moment, "ended_page_views", session.page_views, values)
        self.ledger.count(moment, "ended_dwell_ms", session.last_ms - session.opened_ms, values)


def horizon_label(horizon_ms: int) -> str:
    """The horizon in its largest whole unit, as in ``15m``."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if horizon_ms % size == 0:
            return f"{horizon_ms // size}{unit}"
    return f"{horizon_ms}ms"
