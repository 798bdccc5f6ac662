"""Sessions: opened, extended and ended; stages reached; cohorts."""

from __future__ import annotations

from typing import Any, Final

from streams.engine.counters import CODE_BITS, COUNTER_BITS, CounterNames, Tally
from streams.engine.funnel import ALONE, JOINS, OPENS, Funnel
from streams.engine.segments import Leaves, teller
from streams.engine.spec import EngineSpec
from streams.engine.state import Session
from streams.engine.wheel import Wheel
from streams.engine.windows import Ledger, Present
from streams.events import BACK_OFFICE, EVENT_TYPES, OPENERS, SHOPPER

__all__ = ["Sessions"]

IS_OPENER: Final = tuple(name in OPENERS for name in EVENT_TYPES)
IS_SHOPPER: Final = tuple(name in SHOPPER for name in EVENT_TYPES)
IS_BACK_OFFICE: Final = tuple(name in BACK_OFFICE for name in EVENT_TYPES)
COHORT_BITS: Final = 6
MANY_VIEWS: Final = 16
"""A session that ends with fewer page views is counted by one code."""


class Sessions:
    """The open sessions of a partition, by session key."""

    def __init__(
        self, spec: EngineSpec, names: CounterNames, ledger: Ledger, leaves: Leaves, attributes: tuple[str, ...]
    ) -> None:
        self.gap, self.grace = spec.session_gap_ms, spec.grace_ms
        self.horizons = tuple(zip(spec.cohort_horizons_ms, ledger.cohort_counters, strict=True))
        self._places = [(place, one[0], place * COHORT_BITS) for place, one in enumerate(self.horizons)]
        self.ledger, self.leaves = ledger, leaves
        self.present = Present(ledger, spec.window_ms)
        self.funnel = Funnel(names, spec.page_view_events)
        self.told = teller(attributes)
        self.wheel = Wheel(spec.window_ms, spec.grace_ms)
        self.open: dict[str, Session] = {}
        self.touched: dict[str, Session | None] = {}
        """Those that changed since the last checkpoint; None where ended."""
        self._cohort_codes: dict[tuple[int, int], int] = {}
        self._end_codes: dict[tuple[int, bool], int] = {}
        self._ended, self._bounces = names.id("sessions_ended"), names.id("bounces")
        self._ended_views, self._ended_dwell = names.id("ended_page_views"), names.id("ended_dwell_ms")

    def apply(self, event: Any, tally: Tally) -> tuple[Session | None, Session | None, int]:
        """Count an event; returns the open session of its key, the one it joined, and the leaf of its counters."""
        kind, key, event_ms, order_ms = event.kind, event.key, event.event_ms, event.order_ms
        session = self.open.get(key)
        if session is not None:
            end = session.last_ms + self.gap
            if event_ms > end or (session.wait_ms or end) < order_ms:
                self._end(key, session, order_ms)
                session = None
        if event.late or IS_BACK_OFFICE[kind]:
            return self._apply_apart(event, session, tally)
        if session is None:
            leaf = self.leaves.adopt(0, self.told(event))
            if not IS_OPENER[kind]:
                self._count(event, None, ALONE, leaf, tally)
                return None, None, leaf
            session = self._begin(event, leaf)
            self._count(event, session, OPENS, leaf, tally)
            return session, session, leaf
        if event_ms > session.last_ms and IS_SHOPPER[kind]:
            self._extend(key, session, event_ms, order_ms)
        leaf = session.leaf
        if not self.leaves.full[leaf]:
            adopted = self.leaves.adopt(leaf, self.told(event))
            if adopted != leaf:
                leaf = session.leaf = adopted
                self.present.noted.pop(key, None)
        self.touched[key] = session
        self._count(event, session, JOINS, leaf, tally)
        return session, session, leaf

    def fire(self, closing_ms: int) -> None:
        """End every session whose end is due before a closing."""
        gap, session_of, put = self.gap, self.open.get, self.wheel.put
        for key in self.wheel.take(closing_ms):
            session = session_of(key)
            if session is None:
                continue
            due_ms = session.wait_ms or session.last_ms + gap
            if due_ms < closing_ms:
                self._end(key, session, due_ms)
            else:
                put(key, due_ms)

    def next_ms(self) -> int | None:
        """The closing that has to fire next."""
        return self.wheel.next_ms()

    def load(self, sessions: dict[str, Session]) -> None:
        """Take over the sessions of a snapshot."""
        self.open, gap = sessions, self.gap
        self.wheel.put_all((key, session.wait_ms or session.last_ms + gap) for key, session in sessions.items())

    def reach(self, event: Any, session: Session, reached: int) -> None:
        """Count what the session has newly reached within each horizon, in its cohort."""
        opened_ms, cohorts = session.opened_ms, session.cohorts
        after = event.event_ms - opened_ms
        for place, horizon, shift in self._places:
            fresh = reached & ~(cohorts >> shift)
            if fresh and after <= horizon:
                session.cohorts = cohorts = cohorts | fresh << shift
                code = self._cohort_codes.get((place, fresh)) or self.cohort_code(place, fresh)
                tally = self.ledger.cohort(opened_ms, horizon, event.order_ms)
                tally.codes.append(session.opening_leaf << CODE_BITS | code)

    def cohort_code(self, place: int, reached: int) -> int:
        """The code for what is newly reached (bits, the opening first) within the horizon at that place."""
        code = self._cohort_codes.get((place, reached))
        if code is None:
            told = tuple(counter for bit, counter in enumerate(self.horizons[place][1]) if reached >> bit & 1)
            code = self._cohort_codes[place, reached] = self.funnel.code(told)
        return code

    def _apply_apart(
        self, event: Any, session: Session | None, tally: Tally
    ) -> tuple[Session | None, Session | None, int]:
        """Count what is late or of the back office: it reads the session's values, else its own, and leaves none."""
        leaf = session.leaf if session is not None else 0
        if not self.leaves.full[leaf]:
            leaf = self.leaves.adopt(leaf, self.told(event))
        joined = session
        if session is None or IS_BACK_OFFICE[event.kind] or session.opened_ms > event.event_ms:
            joined = None
        else:
            self.touched[event.key] = session
        self._count(event, joined, ALONE if joined is None else JOINS, leaf, tally)
        return session, joined, leaf

    def _extend(self, key: str, session: Session, event_ms: int, order_ms: int) -> None:
        session.last_ms = event_ms
        end = event_ms + self.gap
        wait_ms = 0 if end >= order_ms else order_ms + self.grace
        if wait_ms != session.wait_ms:
            if (wait_ms or end) < session.wait_ms:  # it had to wait, and has not to any more
                self.wheel.put(key, wait_ms or end)
            session.wait_ms = wait_ms

    def _begin(self, event: Any, leaf: int) -> Session:
        event_ms, order_ms = event.event_ms, event.order_ms
        end = event_ms + self.gap
        wait_ms = 0 if end >= order_ms else order_ms + self.grace
        session = Session(event_ms, event_ms, wait_ms, leaf, leaf)
        self.open[event.key] = self.touched[event.key] = session
        self.wheel.put(event.key, wait_ms or end)
        return session

    def _count(self, event: Any, joined: Session | None, standing: int, leaf: int, tally: Tally) -> None:
        old = joined.mask if joined is not None else 0
        funnel, kind = self.funnel, event.kind
        step = funnel.steps.get(standing << 14 | old << 4 | kind) or funnel.step(old, kind, standing)
        mask, code, reach, pages, products, others = step
        if code >= 0:
            tally.codes.append(leaf << CODE_BITS | code)
        if joined is None:
            return
        if mask != old:
            joined.mask = mask
        if others:
            joined.others += others
        if pages:
            joined.page_views += pages
        if products:
            joined.product_views += products
        reached = reach << 1 | (standing == OPENS)
        if reached & ~joined.cohorts or (reached and len(self.horizons) > 1):
            self.reach(event, joined, reached)

    def _end(self, key: str, session: Session, position_ms: int) -> None:
        del self.open[key]
        self.touched[key] = None
        self.present.noted.pop(key, None)
        tally = self.ledger.tally(session.last_ms + self.gap, position_ms)
        views, leaf = session.page_views, session.leaf
        bounced = views <= 1 and session.product_views <= 1 and not session.others
        if views < MANY_VIEWS:
            code = self._end_codes.get((views, bounced)) or self._end_code(views, bounced)
        else:
            code = self._end_code(0, bounced)
            _add(tally.sessions, leaf << COUNTER_BITS | self._ended_views, views)
        tally.codes.append(leaf << CODE_BITS | code)
        dwell = session.last_ms - session.opened_ms
        if dwell:
            _add(tally.sessions, leaf << COUNTER_BITS | self._ended_dwell, dwell)

    def _end_code(self, views: int, bounced: bool) -> int:
        """The code of a session that ends with so many page views."""
        counters = (self._ended, *((self._bounces,) if bounced else ()), *(self._ended_views,) * views)
        code = self._end_codes[views, bounced] = self.funnel.code(counters)
        return code


def _add(sums: dict[int, int], entry: int, amount: int) -> None:
    sums[entry] = sums.get(entry, 0) + amount
