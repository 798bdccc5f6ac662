"""Sessions: opened, extended and ended; stages reached; cohorts."""

from __future__ import annotations

from typing import Any, Final

from streams.engine.counters import CODE_BITS, COUNTER_BITS, CounterNames, Tally
from streams.engine.funnel import ALONE, JOINS, OPENS, Funnel
from streams.engine.segments import Leaves, teller
from streams.engine.spec import EngineSpec
from streams.engine.state import Session
from streams.engine.wheel import Wheel
from streams.engine.windows import Ledger
from streams.events import BACK_OFFICE, EVENT_TYPES, OPENERS, SHOPPER

__all__ = ["Sessions"]

IS_OPENER: Final = tuple(name in OPENERS for name in EVENT_TYPES)
IS_SHOPPER: Final = tuple(name in SHOPPER for name in EVENT_TYPES)
IS_BACK_OFFICE: Final = tuple(name in BACK_OFFICE for name in EVENT_TYPES)
COHORT_BITS: Final = 6


class Sessions:
    """The open sessions of a partition, by session key."""

    def __init__(
        self, spec: EngineSpec, names: CounterNames, ledger: Ledger, leaves: Leaves, attributes: tuple[str, ...]
    ) -> None:
        self.gap, self.grace = spec.session_gap_ms, spec.grace_ms
        self.horizons = tuple(zip(spec.cohort_horizons_ms, ledger.cohort_counters, strict=True))
        self.ledger, self.leaves = ledger, leaves
        self.funnel = Funnel(names, spec.page_view_events)
        self.told = teller(attributes)
        self.wheel = Wheel(spec.window_ms, spec.grace_ms)
        self.open: dict[str, Session] = {}
        self.touched: dict[str, Session | None] = {}
        """Those that changed since the last checkpoint; None where ended."""
        self._cohort_codes: dict[tuple[int, int], int] = {}
        self._ended, self._bounces = names.id("sessions_ended"), names.id("bounces")
        self._ended_views, self._ended_dwell = names.id("ended_page_views"), names.id("ended_dwell_ms")

    def apply(self, event: Any, tally: Tally) -> tuple[Session | None, Session | None, int]:
        """Count an event; returns the open session of its key, the one it joined, and the leaf of its counters."""
        kind, event_ms = event.kind, event.event_ms
        session = self.open.get(event.key)
        if session is not None and (session.due_ms < event.order_ms or event_ms > session.last_ms + self.gap):
            self._end(event.key, session, event.order_ms)
            session = None
        standing, joined = JOINS, session
        if event.late or IS_BACK_OFFICE[kind]:
            if session is None or IS_BACK_OFFICE[kind] or session.opened_ms > event_ms:
                standing, joined = ALONE, None
            leaf = self._read(event, session)
        elif session is not None:
            if IS_SHOPPER[kind] and event_ms > session.last_ms:
                session.last_ms = event_ms
                end = event_ms + self.gap
                due = end if end >= event.order_ms else event.order_ms + self.grace
                if due < session.due_ms:  # it had to wait, and has not to any more
                    self.wheel.put(event.key, due)
                session.due_ms = due
            leaf = session.leaf
            if not self.leaves.full[leaf]:
                leaf = session.leaf = self.leaves.adopt(leaf, self.told(event))
                session.seen_ms = None
        else:
            leaf = self.leaves.adopt(0, self.told(event))
            standing = ALONE
            if IS_OPENER[kind]:
                standing, joined = OPENS, self._begin(event, leaf)
        if session is not None:
            self.touched[event.key] = session
        self._count(event, joined, standing, leaf, tally)
        return joined if standing == OPENS else session, joined, leaf

    def fire(self, closing_ms: int) -> None:
        """End every session whose end is due before a closing."""
        for key in self.wheel.take(closing_ms):
            session = self.open.get(key)
            if session is None:
                continue
            if session.due_ms < closing_ms:
                self._end(key, session, session.due_ms)
            else:
                self.wheel.put(key, session.due_ms)

    def next_ms(self) -> int | None:
        """The closing that has to fire next."""
        return self.wheel.next_ms()

    def load(self, sessions: dict[str, Session]) -> None:
        """Take over the sessions of a snapshot."""
        self.open = sessions
        for key, session in sessions.items():
            self.wheel.put(key, session.due_ms)

    def _read(self, event: Any, session: Session | None) -> int:
        """The open session's values, else the event's own: for late and back-office events, which leave none behind."""
        leaf = session.leaf if session is not None else 0
        return leaf if self.leaves.full[leaf] else self.leaves.adopt(leaf, self.told(event))

    def _begin(self, event: Any, leaf: int) -> Session:
        end = event.event_ms + self.gap
        due = end if end >= event.order_ms else event.order_ms + self.grace
        session = Session(event.event_ms, event.event_ms, due, leaf, leaf)
        self.open[event.key] = self.touched[event.key] = session
        self.wheel.put(event.key, due)
        return session

    def _count(self, event: Any, joined: Session | None, standing: int, leaf: int, tally: Tally) -> None:
        step = self.funnel.step(joined.mask if joined is not None else 0, event.kind, standing)
        mask, code, reach, pages, products, others = step
        if code >= 0:
            tally.codes.append(leaf << CODE_BITS | code)
        if joined is None:
            return
        joined.mask = mask
        if others:
            joined.others += others
        else:
            joined.page_views += pages
            joined.product_views += products
        if reach or standing == OPENS:
            self.reach(event, joined, reach << 1 | (standing == OPENS))

    def reach(self, event: Any, session: Session, reached: int) -> None:
        """Count what the session has newly reached within each horizon, in its cohort."""
        after = event.event_ms - session.opened_ms
        for place, (horizon, _) in enumerate(self.horizons):
            shift = place * COHORT_BITS
            fresh = reached & ~(session.cohorts >> shift)
            if fresh and after <= horizon:
                session.cohorts |= fresh << shift
                code = self.cohort_code(place, fresh)
                tally = self.ledger.cohort(session.opened_ms, horizon, event.order_ms)
                tally.codes.append(session.opening_leaf << CODE_BITS | code)

    def cohort_code(self, place: int, reached: int) -> int:
        """The code for what is newly reached (bits, the opening first) within the horizon at that place."""
        code = self._cohort_codes.get((place, reached))
        if code is None:
            told = tuple(counter for bit, counter in enumerate(self.horizons[place][1]) if reached >> bit & 1)
            code = self._cohort_codes[place, reached] = self.funnel.code(told)
        return code

    def _end(self, key: str, session: Session, position_ms: int) -> None:
        del self.open[key]
        self.touched[key] = None
        sums = self.ledger.tally(session.last_ms + self.gap, position_ms).sessions
        leaf = session.leaf << COUNTER_BITS
        sums[leaf | self._ended] = sums.get(leaf | self._ended, 0) + 1
        if session.page_views <= 1 and session.product_views <= 1 and not session.others:
            sums[leaf | self._bounces] = sums.get(leaf | self._bounces, 0) + 1
        if session.page_views:
            sums[leaf | self._ended_views] = sums.get(leaf | self._ended_views, 0) + session.page_views
        dwell = session.last_ms - session.opened_ms
        if dwell:
            sums[leaf | self._ended_dwell] = sums.get(leaf | self._ended_dwell, 0) + dwell
