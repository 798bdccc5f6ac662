"""The short way of nearly all events: browsing that opens a session, or simply goes on with an open one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from xxhash import xxh3_64_intdigest

from streams.engine.carts import Carts
from streams.engine.counters import CODE_BITS, Tally
from streams.engine.funnel import JOINS, OPENS
from streams.engine.products import PRODUCT_VIEW, Products
from streams.engine.sessions import COHORT_BITS, Sessions
from streams.engine.state import Session
from streams.engine.windows import NEVER
from streams.events import BROWSING, KIND_OF_TYPE

__all__ = ["Browsing"]


LAST: Final = max(KIND_OF_TYPE[name] for name in BROWSING)
"""The kinds of browsing come first."""

VIEWED: Final = 1
"""The bit of a session's mask that a product view sets."""


class Opening(NamedTuple):
    """A session as its opening event leaves it, and the codes to tally: of its window and of each horizon."""

    code: int
    mask: int
    cohorts: int
    pages: int
    products: int
    others: int
    cohort_codes: tuple[int, ...]


class Browsing:
    """Counts what ``Shop.apply`` would, in fewer steps, for browsing events that are in time."""

    def __init__(self, sessions: Sessions, carts: Carts, products: Products, seed: int) -> None:
        self._sessions, self._carts, self._products, self._seed = sessions, carts, products, seed
        self._leaves, self._funnel, self._gap = sessions.leaves, sessions.funnel, sessions.gap
        self._present = sessions.present
        kinds = range(LAST + 1)
        steps = [self._funnel.step(VIEWED, kind, JOINS) for kind in kinds]
        nothing = self._funnel.code(())
        self._simple = [(step.code if step.code >= 0 else nothing, bool(step.pages)) for step in steps]
        """The code of what reaches no stage that was not reached before, and whether it is a page view."""
        self._openings = [self._open_by(kind) for kind in kinds]
        self._cohorts: list[Tally] = []
        """The cohorts of the window at ``_entered_ms``, while none can close."""
        self._entered_ms = NEVER
        self._timers: dict[str, None] = {}
        """Where a session goes that is opened before ``_timers_end_ms``."""
        self._timers_end_ms = NEVER

    def count_all(self, events: list[Any], apply: Callable[[Any], None]) -> None:
        """Count events in their order; those that have no short way are left to ``apply``."""
        sessions, leaves, simple, gap = self._sessions, self._leaves, self._simple, self._gap
        session_of, full = sessions.open.get, leaves.full
        present, has_axes = self._present, bool(self._products.axes)
        self._entered_ms = self._timers_end_ms = NEVER
        noted_of, end_ms, tally = present.noted.get, present.end_ms, present.tally
        for event in events:
            kind, event_ms = event.kind, event.event_ms
            if kind > LAST or event.order_ms is not event_ms:
                apply(event)
                continue
            if event_ms >= end_ms:  # what is in time comes in order
                tally = present.tally if event_ms < present.end_ms else present.turn(event_ms)
                end_ms = present.end_ms
            key = event.key
            session = session_of(key)
            if session is None:
                if not self._enter(event, tally):
                    apply(event)
                continue
            leaf, since_ms, visitor_id = session.leaf, event_ms - session.last_ms, event.visitor_id
            if (
                since_ms > gap
                or session.wait_ms
                or (not full[leaf] and leaves.adopt(leaf, sessions.told(event)) != leaf)
                or ((not visitor_id or noted_of(key) != visitor_id) and not self._note(key, session, visitor_id, tally))
            ):
                apply(event)
                continue
            if since_ms:
                session.last_ms = event_ms
            code, is_page = simple[kind]
            if kind != PRODUCT_VIEW:
                if is_page:
                    session.page_views += 1
                else:
                    session.others += 1
            elif session.mask & VIEWED:
                session.product_views += 1
                if is_page:
                    session.page_views += 1
                if has_axes:
                    self._products.count(event, leaves.codes[leaf], tally)
            else:
                code = self._view(event, session, tally)
            tally.codes.append(leaf << CODE_BITS | code)

    def _note(self, key: str, session: Session, visitor_id: str | None, tally: Tally) -> bool:
        """Note a visitor who was not the last one seen; returns whether no cart has anything to learn from this event.

        It is the visitor told, else the first that the session had, else its key.
        """
        cart = self._carts.open.get(key)
        if cart is not None and cart.leaf != session.leaf:
            return False
        if visitor_id:
            visitor = xxh3_64_intdigest(visitor_id.encode(), self._seed) >> 1
            if not session.visitor:
                session.visitor = visitor
        elif self._present.noted.get(key) == "":
            return True
        else:
            visitor = session.visitor or xxh3_64_intdigest(key.encode(), self._seed) >> 1
        self._present.noted[key] = visitor_id or ""
        self._sessions.touched[key] = session
        tally.seen_leaves.append(session.leaf)
        tally.seen_visitors.append(visitor)
        return True

    def _view(self, event: Any, session: Session, tally: Tally) -> int:
        """The first product view of a session; returns its code."""
        session.mask, code, reach, pages, _, _ = self._funnel.step(session.mask, PRODUCT_VIEW, JOINS)
        session.product_views += 1
        if pages:
            session.page_views += 1
        self._sessions.reach(event, session, reach << 1)
        if self._products.axes:
            self._products.count(event, self._leaves.codes[session.leaf], tally)
        return code

    def _enter(self, event: Any, tally: Tally) -> bool:
        """Open a session where none of its key is open, and no cart that may learn."""
        sessions, key, event_ms = self._sessions, event.key, event.event_ms
        if key in self._carts.open:
            return False
        leaf = self._leaves.adopt(0, sessions.told(event))
        code, mask, cohorts, pages, products, others, cohort_codes = self._openings[event.kind]
        tally.codes.append(leaf << CODE_BITS | code)
        if self._present.start_ms != self._entered_ms:
            self._entered_ms = self._present.start_ms
            self._cohorts = [sessions.ledger.cohort(event_ms, one[0], event_ms) for one in sessions.horizons]
        for cohort, code in zip(self._cohorts, cohort_codes, strict=True):
            cohort.codes.append(leaf << CODE_BITS | code)
        if products and self._products.axes:
            self._products.count(event, self._leaves.codes[leaf], tally)
        told = event.visitor_id
        visitor = xxh3_64_intdigest((told or key).encode(), self._seed) >> 1
        tally.seen_leaves.append(leaf)
        tally.seen_visitors.append(visitor)
        self._present.noted[key] = told or ""
        known = visitor if told else 0
        session = Session(event_ms, event_ms, 0, leaf, leaf, mask, cohorts, pages, products, others, known)
        sessions.open[key] = sessions.touched[key] = session
        if event_ms >= self._timers_end_ms:
            self._timers, end_ms = sessions.wheel.bucket(event_ms + self._gap)
            self._timers_end_ms = end_ms - self._gap
        self._timers[key] = None
        return True

    def _open_by(self, kind: int) -> Opening:
        """What an opening event of this kind means."""
        mask, code, reach, pages, products, others = self._funnel.step(0, kind, OPENS)
        reached, places = reach << 1 | 1, range(len(self._sessions.horizons))
        cohorts = sum(reached << place * COHORT_BITS for place in places)
        codes = tuple(self._sessions.cohort_code(place, reached) for place in places)
        return Opening(code, mask, cohorts, pages, products, others, codes)
