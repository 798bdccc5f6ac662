"""Counters: their names as integers, and the tally of one window by leaf."""

from __future__ import annotations

from typing import Final

import numpy as np

from streams.events import STAGES

__all__ = [
    "CODE_BITS",
    "CODE_MASK",
    "COUNTER_BITS",
    "COUNTER_MASK",
    "FIXED_COUNTERS",
    "RUNS",
    "CounterNames",
    "Tally",
    "of_product_entry",
    "product_entry",
]

CODE_BITS: Final = 12
CODE_MASK: Final = (1 << CODE_BITS) - 1
COUNTER_BITS: Final = 20
COUNTER_MASK: Final = (1 << COUNTER_BITS) - 1
AXIS_BITS: Final = 8

FIXED_COUNTERS: Final = (
    "sessions",
    *(f"reached.{stage}" for stage in STAGES),
    *(f"implied.{stage}" for stage in STAGES),
    *("page_views", "product_views", "list_views", "cart_adds", "cart_items", "cart_removes"),
    *("sessions_ended", "bounces", "ended_page_views", "ended_dwell_ms"),
    *("carts_opened", "carts_idle", "carts_resumed", "carts_converted"),
    *("carts_recovered", "carts_kept", "carts_abandoned", "carts_emptied"),
    *("orders_placed", "orders_attempted", "orders_paid", "orders_cancelled", "orders_refunded", "orders_orphan"),
    *("payment_attempts", "payments_succeeded", "payments_declined_soft", "payments_declined_hard"),
)
"""Counters whose names need no data; those by currency follow as they come."""


def product_entry(axis: int, leaf: int, counter: int) -> int:
    """Axis, leaf of that axis and counter as one integer."""
    return leaf << COUNTER_BITS + AXIS_BITS | counter << AXIS_BITS | axis


def of_product_entry(entry: int) -> tuple[int, int, int]:
    """Axis, leaf and counter of an entry.

    >>> of_product_entry(product_entry(2, 7, 11))
    (2, 7, 11)
    """
    return entry & (1 << AXIS_BITS) - 1, entry >> COUNTER_BITS + AXIS_BITS, entry >> AXIS_BITS & COUNTER_MASK


class CounterNames:
    """Names of counters as integers, in the order in which they were first used."""

    def __init__(self) -> None:
        self.names: list[str] = list(FIXED_COUNTERS)
        self._ids = {name: place for place, name in enumerate(self.names)}

    def id(self, name: str) -> int:
        """The integer of a name.

        >>> names = CounterNames()
        >>> names.names[names.id("revenue_minor.CNY")]
        'revenue_minor.CNY'
        """
        place = self._ids.get(name)
        if place is None:
            place = self._ids[name] = len(self.names)
            self.names.append(name)
        return place


RUNS: Final = ("codes", "order_codes", "seen_leaves", "seen_visitors")
"""The lists of a tally that only grow: what a checkpoint has to hold of them is what was appended since the last."""


class Tally:
    """What one window (or its correction, or a cohort) has counted so far.

    ``codes`` and ``order_codes`` have one entry for whatever counts one, ``leaf << CODE_BITS | code`` over session
    leaves and order leaves; ``sessions`` and ``orders`` are sums by ``leaf << COUNTER_BITS | counter``, ``products`` by
    ``product_entry``; ``seen_leaves`` and ``seen_visitors`` are parallel: session leaf and visitor, the same pair
    perhaps more than once; ``whole`` what only the whole is told. Lists are only ever appended to; ``number``
    tells the tallies of a partition apart.
    """

    __slots__ = (*RUNS, "number", "orders", "products", "sessions", "whole")

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.codes: list[int] = []
        self.order_codes: list[int] = []
        self.sessions: dict[int, int] = {}
        self.orders: dict[int, int] = {}
        self.products: dict[int, int] = {}
        self.seen_leaves: list[int] = []
        self.seen_visitors: list[int] = []
        self.whole: dict[str, int] = {}

    def note(self, name: str, times: int = 1) -> None:
        """Count for the whole only."""
        self.whole[name] = self.whole.get(name, 0) + times

    def seen(self) -> set[tuple[int, int]]:
        """Each distinct session leaf and visitor."""
        return set(zip(self.seen_leaves, self.seen_visitors, strict=True))

    def session_leaves(self) -> set[int]:
        """The session leaves that it counts by."""
        codes, seen = np.array(self.codes, np.int64), np.array(self.seen_leaves, np.int64)
        leaves: list[int] = np.unique(np.concatenate((codes >> CODE_BITS, seen))).tolist()
        return {entry >> COUNTER_BITS for entry in self.sessions}.union(leaves)

    def order_leaves(self) -> set[int]:
        """The order leaves that it counts by."""
        leaves = {entry >> CODE_BITS for entry in self.order_codes}
        return leaves | {entry >> COUNTER_BITS for entry in self.orders}
