"""What the reference remembers: sessions, carts, orders, payments and the timers over them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["STAGES", "Cart", "Order", "Payment", "Session", "Timers"]

STAGES = ("product", "cart", "checkout", "ordered", "paid")

TimerKind = Literal["session_end", "cart_idle", "cart_abandoned", "cart_kept"]
TIMER_ORDER: tuple[TimerKind, ...] = ("session_end", "cart_idle", "cart_abandoned", "cart_kept")


@dataclass(eq=False)
class Session:
    key: str
    opened_ms: int
    last_ms: int
    values: dict[str, str]
    cohort_values: dict[str, str | None] = field(default_factory=dict)
    visitor: str | None = None
    observed: set[str] = field(default_factory=set)
    implied: set[str] = field(default_factory=set)
    in_cohort: set[tuple[int, str]] = field(default_factory=set)
    page_views: int = 0
    product_views: int = 0
    other_events: int = 0


@dataclass(eq=False)
class Cart:
    key: str
    opened_ms: int
    last_ms: int
    values: dict[str, str] = field(default_factory=dict)
    added: int = 0
    removed: int = 0
    ever_idle: bool = False
    resumed: bool = False


@dataclass(eq=False)
class Order:
    last_ms: int
    values: dict[str, str] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    valued: bool = False
    judged: bool = False


@dataclass(eq=False)
class Payment:
    last_ms: int
    outcomes: set[str] = field(default_factory=set)
    paid: bool = False


class Timers:
    """Due timers in time order; one set in the past is due ``grace`` after the record that set it."""

    def __init__(self, grace_ms: int) -> None:
        self._grace_ms = grace_ms
        self._heap: list[tuple[int, int, int, int, TimerKind, Any]] = []
        self._set = 0

    def set(self, moment: int, kind: TimerKind, owner: Any, position: int) -> None:
        """``position`` is the processing key of the record that sets the timer."""
        due = moment if moment >= position else position + self._grace_ms
        self._set += 1
        heapq.heappush(self._heap, (due, moment, TIMER_ORDER.index(kind), self._set, kind, owner))

    def due_before(self, position: int | None) -> Iterator[tuple[int, TimerKind, Any]]:
        """Takes out the timers before ``position``, all of them where it is None: (moment, kind, owner)."""
        while self._heap and (position is None or self._heap[0][0] < position):
            _, moment, _, _, kind, owner = heapq.heappop(self._heap)
            yield moment, kind, owner
