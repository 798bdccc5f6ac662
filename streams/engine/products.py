"""Product dimensions: product views, cart adds and items by the values of an event's items."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, NamedTuple

from streams.engine.counters import CounterNames, Tally, product_entry
from streams.engine.rows import Segment
from streams.engine.segments import Leaves, Values
from streams.events import KIND_OF_TYPE, Event

__all__ = ["Products"]

PRODUCT_VIEW: Final = KIND_OF_TYPE["product_view"]
REMEMBERED: Final = 10_000


class Axis(NamedTuple):
    """One product dimension, or one configured pair with one: places of its values among session and item values."""

    leaves: Leaves
    from_session: tuple[int, ...]
    from_item: tuple[int, ...]
    item_first: bool


class Products:
    """Counts by product dimensions, and by configured pairs that have one."""

    def __init__(
        self,
        session: tuple[Values, ...],
        product: tuple[Values, ...],
        attributes: tuple[str, ...],
        pairs: tuple[tuple[str, str], ...],
        names: CounterNames,
    ) -> None:
        self._values, self._attributes = product, attributes
        self.axes = [Axis(Leaves((values,), ()), (), (place,), True) for place, values in enumerate(product)]
        for one, two in sorted({(min(pair), max(pair)) for pair in pairs}):
            self.axes += _pair_axis(one, two, session, product)
        self._views, self._adds = names.id("product_views"), names.id("cart_adds")
        self._items = names.id("cart_items")
        self._told: Callable[[Any], tuple[int, ...]] = self._one if len(product) == 1 else self._many
        self._simple = len(self.axes) == 1
        self._value: Callable[[Any], str | None] = attrgetter(attributes[0] if attributes else "product_id")
        self._entries: dict[str | None, tuple[int, int, int]] = {}
        """Entries of a view, an add and its items by value, where there is but one axis; in memory only."""

    def segment(self, axis: int, leaf: int) -> Segment:
        """The segment of a leaf of an axis."""
        return self.axes[axis].leaves.segments(leaf)[-1]

    def count(self, event: Event, session_codes: tuple[int, ...], tally: Tally) -> None:
        """Count a product view or an add to cart: once in each distinct segment, items under their own."""
        sums, items = tally.products, event.items
        if self._simple and items and len(items) == 1:
            value = self._value(items[0])
            view, add, item = self._entries.get(value) or self._entries_of(value)
            if event.kind == PRODUCT_VIEW:
                sums[view] = sums.get(view, 0) + 1
            else:
                sums[add] = sums.get(add, 0) + 1
                sums[item] = sums.get(item, 0) + (items[0].quantity or 1)
            return
        views = event.kind == PRODUCT_VIEW
        lines = [(self._told(item), item.quantity or 1) for item in items or ()]
        if not lines:
            lines = [((0,) * len(self._values), 1)]
        for place, axis in enumerate(self.axes):
            shared = tuple(session_codes[one] for one in axis.from_session)
            seen = set()
            for codes, quantity in lines:
                own = tuple(codes[one] for one in axis.from_item)
                leaf = axis.leaves.leaf(own + shared if axis.item_first else shared + own)
                if leaf not in seen:
                    seen.add(leaf)
                    entry = product_entry(place, leaf, self._views if views else self._adds)
                    sums[entry] = sums.get(entry, 0) + 1
                if not views:
                    entry = product_entry(place, leaf, self._items)
                    sums[entry] = sums.get(entry, 0) + quantity

    def _entries_of(self, value: str | None) -> tuple[int, int, int]:
        """The entries of one item with this value, where there is one product dimension and no pair with it."""
        leaf = self.axes[0].leaves.leaf((self._values[0].code(value),))
        if len(self._entries) >= REMEMBERED:
            self._entries.clear()
        view, add, item = (product_entry(0, leaf, counter) for counter in (self._views, self._adds, self._items))
        entries = self._entries[value] = (view, add, item)
        return entries

    def _one(self, item: Any) -> tuple[int, ...]:
        return (self._values[0].code(getattr(item, self._attributes[0])),)

    def _many(self, item: Any) -> tuple[int, ...]:
        return tuple(
            values.code(getattr(item, name)) for values, name in zip(self._values, self._attributes, strict=True)
        )


def _pair_axis(one: str, two: str, session: tuple[Values, ...], product: tuple[Values, ...]) -> list[Axis]:
    """The axis of a pair of names in order; none where no product dimension is in it, or an unfit partner."""
    items = {values.name: place for place, values in enumerate(product)}
    others = {values.name: place for place, values in enumerate(session)}
    if not (one in items or two in items) or not all(name in items or name in others for name in (one, two)):
        return []
    found = tuple(product[items[name]] if name in items else session[others[name]] for name in (one, two))
    return [
        Axis(
            Leaves(found, ((one, two),)),
            tuple(others[name] for name in (one, two) if name not in items),
            tuple(items[name] for name in (one, two) if name in items),
            one in items,
        )
    ]
