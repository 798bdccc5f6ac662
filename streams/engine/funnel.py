"""The funnel as a table: what one event adds, by what its session has reached so far."""

from __future__ import annotations

from typing import Final, NamedTuple

from streams.engine.counters import CounterNames
from streams.events import EVENT_TYPES, STAGE_OF_TYPE, STAGES

__all__ = ["ALONE", "JOINS", "OPENS", "Funnel", "Step"]

ALONE: Final = 0
JOINS: Final = 1
OPENS: Final = 2
"""How an event stands to a session: it has none, it joins the open one, it opens one."""

OWN_COUNTERS: Final = {
    "product_view": "product_views",
    "list_view": "list_views",
    "add_to_cart": "cart_adds",
    "remove_from_cart": "cart_removes",
}
STAGE_COUNT: Final = len(STAGES)


class Step(NamedTuple):
    """What follows from one event: the session's new mask, the code to tally (-1: nothing), and its kinds of view.

    The mask has a bit for each stage observed and, above those, for each implied. ``reach`` has a bit for the stage
    of the event and for each earlier one: what the session has reached by that moment, in one way or another.
    """

    mask: int
    code: int
    reach: int
    pages: int
    products: int
    others: int


class Funnel:
    """Steps by mask, kind of event and standing, made when first needed; ``codes`` are the counters of each code.

    >>> names = CounterNames()
    >>> funnel = Funnel(names, ("page_view",))
    >>> step = funnel.step(0, EVENT_TYPES.index("add_to_cart"), JOINS)
    >>> sorted(names.names[counter] for counter in funnel.codes[step.code])
    ['cart_adds', 'implied.product', 'reached.cart']
    """

    def __init__(self, names: CounterNames, page_view_events: tuple[str, ...]) -> None:
        self._names = names
        self._page_views = frozenset(page_view_events)
        self.codes: list[tuple[int, ...]] = []
        self._code_ids: dict[tuple[int, ...], int] = {}
        self.steps: dict[int, Step] = {}
        """Steps by ``standing << 14 | mask << 4 | kind``."""

    def step(self, mask: int, kind: int, standing: int) -> Step:
        """What an event of this kind means to a session with this mask."""
        key = standing << 14 | mask << 4 | kind
        step = self.steps.get(key)
        if step is None:
            step = self.steps[key] = self._make(mask, EVENT_TYPES[kind], standing)
        return step

    def code(self, counters: tuple[int, ...]) -> int:
        """The code of these counters, each counted once."""
        code = self._code_ids.get(counters)
        if code is None:
            code = self._code_ids[counters] = len(self.codes)
            self.codes.append(counters)
        return code

    def load(self, codes: list[tuple[int, ...]]) -> None:
        """Know the codes of a snapshot again, under the same numbers."""
        for counters in codes:
            self.code(counters)

    def _make(self, mask: int, event_type: str, standing: int) -> Step:
        counters = ["sessions"] if standing == OPENS else []
        is_page, is_product = event_type in self._page_views, event_type == "product_view"
        if is_page:
            counters.append("page_views")
        if event_type in OWN_COUNTERS:
            counters.append(OWN_COUNTERS[event_type])
        stage = STAGE_OF_TYPE.get(event_type)
        reach = 0
        if standing != ALONE and stage is not None:
            place = STAGES.index(stage)
            reach = (2 << place) - 1
            if not mask >> place & 1:
                counters.append(f"reached.{stage}")
                missing = [one for one in range(place) if not (mask | mask >> STAGE_COUNT) >> one & 1]
                counters += [f"implied.{STAGES[one]}" for one in missing]
                mask |= 1 << place | sum(1 << STAGE_COUNT + one for one in missing)
        code = self.code(tuple(self._names.id(name) for name in counters)) if counters else -1
        return Step(mask, code, reach, int(is_page), int(is_product), int(not is_page and not is_product))
