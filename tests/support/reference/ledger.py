"""The cells of the rows: what is counted, in which window, under which dimension values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain

from streams.engine.rows import WHOLE, Segment
from streams.engine.spec import EngineSpec
from tests.support.reference.decoding import NativeItem

__all__ = ["Ledger"]

UNKNOWN, OTHER = "unknown", "other"
LONGEST_VALUE = 256


class Ledger:
    """Adds counters to cells; a cell is (row kind, horizon, window start, segment)."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.windows: dict[tuple[int, Segment], Counter[str]] = defaultdict(Counter)
        self.cohorts: dict[tuple[int, int, Segment], Counter[str]] = defaultdict(Counter)
        self.visitors: dict[tuple[int, Segment], set[str]] = defaultdict(set)
        self._known: dict[str, set[str]] = defaultdict(set)

    def start_of(self, moment: int) -> int:
        return moment - moment % self.spec.window_ms

    def meet(self, values: Mapping[str, str | None]) -> None:
        """A record has come to these values: those that are new take their places."""
        self._segments(values)

    def count_whole(self, moment: int, counter: str) -> None:
        self.windows[self.start_of(moment), WHOLE][counter] += 1

    def count(self, moment: int, counter: str, amount: int, values: Mapping[str, str | None]) -> None:
        """``values`` has an entry for every dimension that applies to the counter, None for a missing value."""
        if amount:
            for segment in self._segments(values):
                self.windows[self.start_of(moment), segment][counter] += amount

    def count_products(
        self, moment: int, counter: str, values: Mapping[str, str | None], items: Sequence[NativeItem]
    ) -> None:
        """One event, seen under each product value among its items."""
        self.count(moment, counter, 1, values)
        seen = set(chain.from_iterable(self._product_segments(values, item) for item in items))
        for segment in seen:
            self.windows[self.start_of(moment), segment][counter] += 1

    def count_quantities(
        self, moment: int, counter: str, values: Mapping[str, str | None], items: Sequence[NativeItem]
    ) -> None:
        """Quantities, each under its own product values."""
        self.count(moment, counter, sum(item.quantity for item in items), values)
        for item in items:
            for segment in self._product_segments(values, item):
                self.windows[self.start_of(moment), segment][counter] += item.quantity

    def count_cohort(self, opening: int, horizon: int, counter: str, values: Mapping[str, str | None]) -> None:
        for segment in self._segments(values):
            self.cohorts[self.start_of(opening), horizon, segment][counter] += 1

    def see_visitor(self, moment: int, visitor: str, values: Mapping[str, str | None]) -> None:
        for segment in self._segments(values):
            self.visitors[self.start_of(moment), segment].add(visitor)

    def _segments(self, values: Mapping[str, str | None]) -> list[Segment]:
        capped = {name: self._capped(name, value) for name, value in values.items()}
        singles: list[Segment] = [((name, value),) for name, value in capped.items()]
        pairs: list[Segment] = [
            tuple(sorted(((a, capped[a]), (b, capped[b])))) for a, b in self.spec.pairs if a in capped and b in capped
        ]
        return [WHOLE, *singles, *pairs]

    def _product_segments(self, values: Mapping[str, str | None], item: NativeItem) -> list[Segment]:
        """The segments that have a product dimension in them."""
        joined = {**values, **{name: item.values.get(name) for name in self.spec.product_dimensions}}
        return [
            segment
            for segment in self._segments(joined)
            if any(name in self.spec.product_dimensions for name, _ in segment)
        ]

    def _capped(self, name: str, value: str | None) -> str:
        if value is None or value in (UNKNOWN, OTHER):
            return value or UNKNOWN
        if len(value) > LONGEST_VALUE:
            return OTHER
        known = self._known[name]
        if value not in known and len(known) < self.spec.max_values:
            known.add(value)
        return value if value in known else OTHER
