"""The simulated shop: records by append time, the same for a spec in whatever pieces they are asked for."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

from streams.errors import InputError
from streams.simulate.crowd import CELL_MS, LONG_CELLS, SHORT_CELLS, Crowd, Visit
from streams.simulate.effects import label, lost, turned_away
from streams.simulate.shopper import ORDER_KINDS
from streams.simulate.spec import IncidentSpec, ShopSpec

__all__ = ["Shop", "SimRecord"]

MILLIS = tuple(f".{ms:03d}Z" for ms in range(1000))
EVENTS_PER_SESSION = 4.7
FAR_AHEAD_MS = 3 * 3_600_000


class SimRecord(NamedTuple):
    """One record as a producer would send it; ``append_ms`` is the timestamp the broker shall keep."""

    topic: str
    key: bytes | None
    value: bytes
    append_ms: int


class Shop:
    """A seeded shop.

    Parameters
    ----------
    spec
        Everything about it; equal specs are equal shops.

    Examples
    --------
    >>> shop, minute = Shop(ShopSpec(seed=7, sessions_per_minute=60)), 60_000
    >>> first, second = list(shop.events(0, minute)), list(shop.events(minute, 2 * minute))
    >>> first + second == list(Shop(shop.spec).events(0, 2 * minute))
    True
    """

    def __init__(self, spec: ShopSpec) -> None:
        self.spec = spec
        self._crowd = Crowd(spec)
        self._stamps: dict[int, str] = {}
        self._waiting: defaultdict[int, list[SimRecord]] = defaultdict(list)
        self._told_to_ms: int | None = None
        self._next_cell = 0
        self._floor_ms = 0
        # The first whole cell: its shoppers are all of after the opening.
        self._first_cell = -(-spec.opens_ms // CELL_MS) if spec.opens_ms is not None else -sys.maxsize

    def with_incident(self, incident: IncidentSpec) -> Shop:
        """The same shop with one incident more; nothing before its start is different."""
        return Shop(replace(self.spec, incidents=(*self.spec.incidents, incident)))

    def labels(self) -> list[dict[str, Any]]:
        """The truth about the incidents, in order of start."""
        return [label(one) for one in sorted(self.spec.incidents, key=lambda one: (one.start_ms, one.kind))]

    def events(self, start_ms: int, end_ms: int) -> Iterator[SimRecord]:
        """Records appended in ``[start_ms, end_ms)``, by append time.

        Going on where the last call ended costs nothing; any other start works out the stories that reach into it.
        """
        if end_ms < start_ms:
            raise InputError("the end lies before the start", key="end_ms", value=end_ms)
        if self._told_to_ms != start_ms:
            self._begin(start_ms)
        self._told_to_ms = None
        for cell in range(start_ms // CELL_MS, -(-end_ms // CELL_MS)):
            if cell >= self._next_cell:
                self._open(cell)
                self._next_cell = cell + 1
                self._waiting[cell].sort(key=attrgetter("append_ms"))
            records = self._waiting[cell]
            if start_ms <= cell * CELL_MS and end_ms >= (cell + 1) * CELL_MS:
                yield from records
            else:
                yield from (record for record in records if start_ms <= record.append_ms < end_ms)
            if end_ms >= (cell + 1) * CELL_MS:
                del self._waiting[cell]
        self._told_to_ms = end_ms

    def _begin(self, start_ms: int) -> None:
        self._waiting.clear()
        first = start_ms // CELL_MS
        self._floor_ms = first * CELL_MS
        for cell in range(max(first - LONG_CELLS, self._first_cell), first):
            self._open(cell, whole=cell >= first - SHORT_CELLS)
        self._next_cell = first

    def _open(self, cell: int, whole: bool = True) -> None:
        """Put all that sessions of this cell will say into the cells in which it arrives."""
        if cell < self._first_cell:
            return
        end_ms = (cell + LONG_CELLS) * CELL_MS
        for visit in self._crowd.lingering(cell):
            self._tell(visit, end_ms)
        if not whole:
            return
        end_ms = (cell + SHORT_CELLS) * CELL_MS
        for visit in self._crowd.ordinary(cell):
            self._tell(visit, end_ms)
        for visit in self._crowd.attracted(cell):
            self._tell(visit, end_ms)
        if self.spec.poison_ratio and cell * CELL_MS >= self._floor_ms:
            self._poison(cell)
        if len(self._stamps) > 200_000:
            self._stamps.clear()

    def _tell(self, visit: Visit, end_ms: int) -> None:
        session, _, user, profile, actions, repeated = visit
        losing = self._crowd.effects.losing(actions[0][0], end_ms)
        if losing and any(turned_away(one, session, actions[0][0], profile.dims) for one in losing):
            return
        key, waiting, stamps, floor_ms = session.encode(), self._waiting, self._stamps, self._floor_ms
        clicks, orders = self.spec.click_topic, self.spec.orders_topic
        who = f',"user_id":"{user}"' if user else ""
        click = f'","session_id":"{session}","visitor_id":"{visit.visitor}"{who},{profile.fragment}'
        order = f'","session_id":"{session}","user_id":"{user or "u-" + session}"'
        for number, (event_ms, delay_ms, kind, extra) in enumerate(actions):
            append_ms = event_ms + delay_ms
            again_ms = append_ms + 50 + (delay_ms * 7919) % 2_900 if number == repeated else 0
            if max(append_ms, again_ms) < floor_ms or append_ms >= end_ms:
                continue
            topic, told = (orders, order) if kind in ORDER_KINDS else (clicks, click)
            event_id = f"{session}-{number}"
            if losing:
                dims = {**profile.dims, "event_type": kind, "topic": topic}
                if any(lost(one, event_id, event_ms, dims) for one in losing):
                    continue
            second = event_ms // 1000
            stamp = stamps.get(second) or self._stamp(second)
            value = (
                f'{{"event_id":"{event_id}","event_type":"{kind}","event_time":"{stamp}{MILLIS[event_ms % 1000]}'
                f"{told}{extra}}}"
            ).encode()
            record = SimRecord(topic, key, value, append_ms)
            waiting[append_ms // CELL_MS].append(record)
            if again_ms and again_ms < end_ms:
                waiting[again_ms // CELL_MS].append(record._replace(append_ms=again_ms))

    def _poison(self, cell: int) -> None:
        """Records that no monitor can count, each for a reason of its own."""
        draw = Random(f"{self.spec.seed}:poison:{cell}").random
        expected = self._crowd.traffic(cell) * CELL_MS * EVENTS_PER_SESSION * self.spec.poison_ratio
        for number in range(int(expected + draw())):
            at_ms = cell * CELL_MS + int(draw() * CELL_MS)
            key = f"poison-{cell:x}-{number:x}".encode()
            record = spoiled(int(draw() * SPOILS), key, at_ms, self.spec.click_topic)
            dims = {"event_type": "poison", "topic": self.spec.click_topic}
            if not any(lost(one, key.decode(), at_ms, dims) for one in self._crowd.effects.losing(at_ms, at_ms)):
                self._waiting[cell].append(record)

    def _stamp(self, second: int) -> str:
        stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._stamps[second] = stamp
        return stamp


SPOILS = 7


def spoiled(way: int, key: bytes, at_ms: int, topic: str) -> SimRecord:
    """A record spoiled in one of ``SPOILS`` ways: cut off, no object, no type or time, unreadable, nobody's, future."""
    session = key.decode()
    if way == 0:
        return SimRecord(topic, key, f'{{"event_type":"page_view","event_time":{at_ms},"sess'.encode(), at_ms)
    if way == 1:
        return SimRecord(topic, key, b'"page_view"', at_ms)
    ways = (
        f'"event_time":{at_ms},"session_id":"{session}"',
        f'"event_type":"teleported","event_time":{at_ms},"session_id":"{session}"',
        f'"event_type":"page_view","event_time":"yesterday","session_id":"{session}"',
        f'"event_type":"page_view","event_time":{at_ms}',
        f'"event_type":"page_view","event_time":{at_ms + FAR_AHEAD_MS},"session_id":"{session}"',
    )
    nobody = way == 5
    return SimRecord(topic, None if nobody else key, f"{{{ways[way - 2]}}}".encode(), at_ms)
