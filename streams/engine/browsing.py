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
from streams.events import BROWSING, KIND_OF_TYPE

__all__ = ["Browsing"]


LAST: Final = max(KIND_OF_TYPE[name] for name in BROWSING)
"""The kinds of browsing come first."""


NEVER: Final = 1 << 62
"""No window begins there."""


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

    def __init__(self, sessions: Sessions, carts: Carts, products: Products, window_ms: int, seed: int) -> None:
        self._sessions, self._carts, self._products = sessions, carts, products
        self._window, self._seed = window_ms, seed
        self._leaves, self._funnel, self._gap = sessions.leaves, sessions.funnel, sessions.gap
        self._many_horizons = len(sessions.horizons) > 1
        self._simple: dict[int, tuple[int, bool]] = {}
        self._openings: dict[int, Opening] = {}
        self._entered_ms: int | None = None
        self._cohorts: list[Tally] = []
        """The cohorts of the window at ``_entered_ms``, while none can close."""

    def count_all(self, events: list[Any], apply: Callable[[Any], None]) -> None:
        """Count events in their order; those that have no short way are left to ``apply``."""
        simple = self._simple
        session_of, carts, put = self._sessions.open.get, self._carts.open, self._sessions.wheel.put
        full, adopt, told_by = self._leaves.full, self._leaves.adopt, self._sessions.told
        gap, seed, window_ms = self._gap, self._seed, self._window
        touched, start_ms, tally = self._sessions.touched, NEVER, Tally()
        self._entered_ms = None
        for event in events:
            kind = event.kind
            if kind > LAST or event.late:
                apply(event)
                continue
            key, event_ms, order_ms, visitor_id = event.key, event.event_ms, event.order_ms, event.visitor_id
            if not start_ms <= event_ms < start_ms + window_ms:
                start_ms = event_ms - event_ms % window_ms
                tally = self._sessions.ledger.tally(event_ms, order_ms)
            session = session_of(key)
            if session is None:
                # A cart may learn from this event.
                apply(event) if key in carts else self._enter(event, tally, start_ms)
                continue
            leaf, last_ms, due, seen = session.leaf, session.last_ms, event_ms + gap, session.seen_ms == start_ms
            over = session.due_ms < order_ms or due < order_ms or event_ms > last_ms + gap
            # What was seen in this window has taught the cart already, where there is one.
            teaches = not seen and key in carts and carts[key].leaf != leaf
            if over or teaches or (not full[leaf] and adopt(leaf, told_by(event)) != leaf):
                apply(event)
                continue
            touched[key] = session
            if event_ms > last_ms:
                session.last_ms = event_ms
                if due < session.due_ms:  # it had to wait, and has not to any more
                    put(key, due)
                session.due_ms = due
            if kind == PRODUCT_VIEW:
                self._view(event, session, tally)
            else:
                code, is_page = simple.get(kind) or self._go_on(kind)
                if code >= 0:
                    tally.codes.append(leaf << CODE_BITS | code)
                if is_page:
                    session.page_views += 1
                else:
                    session.others += 1
            visitor = xxh3_64_intdigest(visitor_id.encode(), seed) >> 1 if visitor_id else 0
            if not visitor or visitor != session.visitor:
                tally.seen_leaves.append(leaf)
                tally.seen_visitors.append(self._meet(key, session, visitor))
            elif not seen:
                session.seen_ms = start_ms
                tally.seen_leaves.append(leaf)
                tally.seen_visitors.append(visitor)

    def _meet(self, key: str, session: Session, visitor: int) -> int:
        """The visitor: the one told, else the first that the session had, else its key."""
        if visitor and not session.visitor:
            session.visitor = visitor
        return visitor or session.visitor or xxh3_64_intdigest(key.encode(), self._seed) >> 1

    def _view(self, event: Any, session: Session, tally: Tally) -> None:
        session.mask, code, reach, pages, _, _ = self._funnel.step(session.mask, PRODUCT_VIEW, JOINS)
        tally.codes.append(session.leaf << CODE_BITS | code)
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
        opening = self._openings.get(kind) or self._open_by(kind)
        code, mask, cohorts, pages, products, others, cohort_codes = opening
        tally.codes.append(leaf << CODE_BITS | code)
        if start_ms != self._entered_ms:
            self._entered_ms = start_ms
            self._cohorts = [sessions.ledger.cohort(event_ms, one[0], order_ms) for one in sessions.horizons]
        for cohort, code in zip(self._cohorts, cohort_codes, strict=True):
            cohort.codes.append(leaf << CODE_BITS | code)
        if kind == PRODUCT_VIEW and self._products.axes:
            self._products.count(event, self._leaves.codes[leaf], tally)
        told = event.visitor_id
        visitor = xxh3_64_intdigest((told or event.key).encode(), self._seed) >> 1
        tally.seen_leaves.append(leaf)
        tally.seen_visitors.append(visitor)
        end = event_ms + self._gap
        due = end if end >= order_ms else order_ms + sessions.grace
        session = Session(event_ms, event_ms, due, leaf, leaf, mask, cohorts, pages, products, others)
        if told:
            session.visitor, session.seen_ms = visitor, start_ms
        sessions.open[event.key] = sessions.touched[event.key] = session
        sessions.wheel.put(event.key, due)

    def _go_on(self, kind: int) -> tuple[int, bool]:
        """The code of a browsing event that reaches no stage, and whether it is a page view."""
        step = self._funnel.step(0, kind, JOINS)
        known = self._simple[kind] = (step.code, bool(step.pages))
        return known

    def _open_by(self, kind: int) -> Opening:
        """What an opening event of this kind means: known once it has come, so that codes keep their order."""
        mask, code, reach, pages, products, others = self._funnel.step(0, kind, OPENS)
        reached, places = reach << 1 | 1, range(len(self._sessions.horizons))
        cohorts = sum(reached << place * COHORT_BITS for place in places)
        codes = tuple(self._sessions.cohort_code(place, reached) for place in places)
        opening = self._openings[kind] = Opening(code, mask, cohorts, pages, products, others, codes)
        return opening
