"""The short way of nearly all events: browsing that opens a session, or simply goes on with an open one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from streams.engine.carts import Carts
from streams.engine.counters import CODE_BITS, Tally
from streams.engine.funnel import JOINS, OPENS, Step
from streams.engine.products import PRODUCT_VIEW, Products
from streams.engine.sessions import COHORT_BITS, Sessions
from streams.engine.state import Session
from streams.events import BROWSING, KIND_OF_TYPE

__all__ = ["Browsing"]


LAST: Final = max(KIND_OF_TYPE[name] for name in BROWSING)
"""The kinds of browsing come first."""


class Browsing:
    """Counts what ``Shop.apply`` would, in fewer steps, for browsing events that are in time."""

    def __init__(self, sessions: Sessions, carts: Carts, products: Products, window_ms: int, seed: int) -> None:
        self._sessions, self._carts, self._products = sessions, carts, products
        self._window, self._seed = window_ms, seed
        self._leaves, self._funnel, self._gap = sessions.leaves, sessions.funnel, sessions.gap
        self._many_horizons = len(sessions.horizons) > 1

    def count_all(self, events: list[Any], apply: Callable[[Any], None]) -> None:
        """Count events in their order; those that have no short way are left to ``apply``."""
        session_of, carts, put = self._sessions.open.get, self._carts.open, self._sessions.wheel.put
        full, adopt, told_by = self._leaves.full, self._leaves.adopt, self._sessions.told
        step_of, gap, seed, window_ms = self._funnel.steps.get, self._gap, self._seed, self._window
        start_ms, end_ms, tally = 0, 0, Tally()
        for event in events:
            kind = event.kind
            if kind > LAST or event.late:
                apply(event)
                continue
            key, event_ms, order_ms = event.key, event.event_ms, event.order_ms
            if not start_ms <= event_ms < end_ms:
                start_ms = event_ms - event_ms % window_ms
                end_ms = start_ms + window_ms
                tally = self._sessions.ledger.tally(event_ms, order_ms)
            session = session_of(key)
            if session is None:
                # A cart may learn from this event.
                apply(event) if key in carts else self._enter(event, tally, start_ms)
                continue
            leaf, last_ms, due, seen = session.leaf, session.last_ms, event_ms + gap, session.seen_ms == start_ms
            if (
                session.due_ms < order_ms
                or due < order_ms
                or event_ms > last_ms + gap
                or (not full[leaf] and adopt(leaf, told_by(event)) != leaf)
                # What was seen in this window has taught the cart already, where there is one.
                or (not seen and key in carts and carts[key].leaf != leaf)
            ):
                apply(event)
                continue
            if event_ms > last_ms:
                session.last_ms = event_ms
                if due < session.due_ms:  # it had to wait, and has not to any more
                    put(key, due)
                session.due_ms = due
            step = step_of(JOINS << 14 | session.mask << 4 | kind) or self._funnel.step(session.mask, kind, JOINS)
            if step[1] >= 0:
                tally.codes.append(leaf << CODE_BITS | step[1])
            if kind == PRODUCT_VIEW:
                self._view(event, session, step, tally)
            elif step[3]:
                session.page_views += 1
            else:
                session.others += 1
            told, visitor = event.visitor_id, session.visitor
            if told:
                visitor = xxh3_64_intdigest(told.encode(), seed) >> 1
                if not session.visitor:
                    session.visitor = visitor
            if not visitor or visitor != session.visitor:
                tally.seen.add((leaf, visitor or xxh3_64_intdigest(key.encode(), seed) >> 1))
            elif not seen:
                session.seen_ms = start_ms
                tally.seen.add((leaf, visitor))

    def _view(self, event: Any, session: Session, step: Step, tally: Tally) -> None:
        mask, _, reach, pages, _, _ = step
        session.mask = mask
        session.product_views += 1
        if pages:
            session.page_views += 1
        if reach << 1 & ~session.cohorts or self._many_horizons:
            self._sessions.reach(event, session, reach << 1)
        if self._products.axes:
            self._products.count(event, self._leaves.codes[session.leaf], tally)

    def _enter(self, event: Any, tally: Tally, start_ms: int) -> None:
        """Open a session, where none of its key is open and no cart either; ``start_ms`` is the window of ``tally``."""
        sessions, kind, event_ms, order_ms = self._sessions, event.kind, event.event_ms, event.order_ms
        leaf = self._leaves.adopt(0, sessions.told(event))
        mask, code, reach, pages, products, others = self._funnel.step(0, kind, OPENS)
        if code >= 0:
            tally.codes.append(leaf << CODE_BITS | code)
        reached, cohorts = reach << 1 | 1, 0
        for place, (horizon, _) in enumerate(sessions.horizons):
            cohorts |= reached << place * COHORT_BITS
            cohort = sessions.ledger.cohort(event_ms, horizon, order_ms)
            cohort.codes.append(leaf << CODE_BITS | sessions.cohort_code(place, reached))
        if kind == PRODUCT_VIEW and self._products.axes:
            self._products.count(event, self._leaves.codes[leaf], tally)
        told = event.visitor_id
        visitor = xxh3_64_intdigest((told or event.key).encode(), self._seed) >> 1
        tally.seen.add((leaf, visitor))
        end = event_ms + self._gap
        due = end if end >= order_ms else order_ms + sessions.grace
        session = Session(event_ms, event_ms, due, leaf, leaf, mask, cohorts, pages, products, others)
        if told:
            session.visitor, session.seen_ms = visitor, start_ms
        sessions.open[event.key] = session
        sessions.wheel.put(event.key, due)
