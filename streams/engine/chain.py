"""Checkpoints: each holds what changed since the last, and a part of the rest: a chain of them is the whole.

Whatever is alive was written in the chain after it last changed: it changed since the chain's first link, or the turn
over everything that the chain holds came by it. The rest of the state is written in turns, a part in each link; a
restore needs the links from the beginning of the last turn that is complete.
"""

from __future__ import annotations

from array import array
from typing import Any, Final, NamedTuple

from streams.engine.counters import RUNS, Tally
from streams.engine.dedup import Identities
from streams.engine.shop import Shop
from streams.engine.snapshot import Core, Entries, Link, Run, write_link

__all__ = ["Chain", "Checkpoint", "Pace", "write_whole"]

LISTED: Final = 50
"""As many keys are listed in the time of writing one entry."""


class Pace(NamedTuple):
    """How much that did not change goes into one link, at least.

    ``entries`` cost the time of the processor (20 000 about 10 ms), ``size`` is that of arrays, which cost little but
    their bytes. No chain has more than ``longest`` links: a turn goes faster where it would not be over by then, as
    after many restarts.
    """

    entries: int = 20_000
    size: int = 2 << 20
    longest: int = 240


class Checkpoint(NamedTuple):
    """One link: its bytes, and how many links before it a restore needs; 0 where it holds everything."""

    data: bytes
    behind: int


class Chain:
    """Decides what goes into each link of a partition, and knows what the links before hold.

    Parameters
    ----------
    shop
        Whose state it is.
    length
        Links from which the shop was restored; 0 where it was not.
    """

    def __init__(self, shop: Shop, length: int = 0) -> None:
        self._shop, self._length = shop, length
        self.pace = Pace()
        self._turn = 0
        """Links of the present turn so far."""
        self._stores: list[int] = []
        """Places of the stores that the turn has not come to, the last first."""
        self._keys: list[Any] = []
        self._place = self._next_key = 0
        """The keys of the store that the turn is at, and the first of them that it has not written."""
        self._minutes: list[int] = []
        self._tallies: list[int] = []
        """Minutes, and numbers of tallies, that the turn has not come to."""
        self._written = {tally.number: _lengths(tally) for tally in shop.ledger.tallies()} if length else {}
        """Lengths of the arrays of each tally in the links so far."""

    def next(self, core: Core, whole: bool = False) -> Checkpoint:
        """The next link; ``whole`` where it is not certain that the last one was kept."""
        shop = self._shop
        if whole or not self._length or self._is_small():
            data, behind = write_whole(shop, core), 0
            self._written = {tally.number: _lengths(tally) for tally in shop.ledger.tallies()}
            self._turn, self._length = 0, 1
        else:
            if not self._turn:
                self._begin_turn()
            links = max(1, self.pace.longest - self._length)
            self._touch(links)
            identities = self._take_arrays(links)
            entries = Entries(*(store.touched for store in shop.stores()))
            data = write_link(Link(core, entries, self._runs(), identities))
            self._turn += 1
            if self._is_over():
                behind, self._length, self._turn = self._turn - 1, self._turn, 0
            else:
                behind, self._length = self._length, self._length + 1
        shop.is_followed = True
        shop.tell()
        return Checkpoint(data, behind)

    def _is_small(self) -> bool:
        """Whether all of it is not more than what would go into a link anyway."""
        stores = self._shop.stores()
        touched, live = sum(len(store.touched) for store in stores), sum(len(store.live) for store in stores)
        identities = sum(head.size for head in self._shop.duplicates.heads())
        size = 8 * (identities + sum(sum(_lengths(tally)) for tally in self._shop.ledger.tallies()))
        return live <= touched + self.pace.entries and size <= self.pace.size

    def _begin_turn(self) -> None:
        ledger = self._shop.ledger
        self._stores = list(range(len(self._shop.stores())))
        self._keys, self._next_key = [], 0
        # What lives longest goes first, so that little is written shortly before it ends.
        self._minutes = [head.minute for head in self._shop.duplicates.heads()]
        tallies = (*ledger.corrections.values(), *ledger.open.values(), *ledger.cohorts.values())
        self._tallies = [tally.number for tally in tallies]

    def _is_over(self) -> bool:
        return not (self._stores or self._next_key < len(self._keys) or self._minutes or self._tallies)

    def _touch(self, links: int) -> None:
        """Take more entries into this link, so many that the turn is over within that many links."""
        stores = self._shop.stores()
        left = len(self._keys) - self._next_key + sum(len(stores[place].live) for place in self._stores)
        room = max(self.pace.entries, -(-left // links))
        while room > 0 or links == 1:
            if self._next_key == len(self._keys):
                if not self._stores:
                    return
                self._place = self._stores.pop()
                self._keys, self._next_key = list(stores[self._place].live), 0
                room -= len(self._keys) // LISTED
                continue
            live, touched = stores[self._place]
            keys = self._keys[self._next_key :] if links == 1 else self._keys[self._next_key : self._next_key + room]
            touched.update(zip(keys, map(live.get, keys), strict=True))
            self._next_key += len(keys)
            room -= len(keys)

    def _take_arrays(self, links: int) -> list[Identities]:
        """Identities for this link, and a note of tallies that go into it as a whole; paced as entries are."""
        duplicates = self._shop.duplicates
        sizes = {head.minute: 8 * head.size for head in duplicates.heads()}
        tallies = {tally.number: 8 * sum(_lengths(tally)) for tally in self._shop.ledger.tallies()}
        left = sum(sizes.get(minute, 0) for minute in self._minutes) + sum(tallies.get(one, 0) for one in self._tallies)
        room = max(self.pace.size, -(-left // links))
        told = duplicates.untold()
        while (room > 0 or links == 1) and self._minutes:
            more = duplicates.identities(self._minutes.pop())
            if more is not None:
                told.append(more)
                room -= len(more.packed)
        while (room > 0 or links == 1) and self._tallies:
            number = self._tallies.pop()
            self._written.pop(number, None)
            room -= tallies.get(number, 0)
        return told

    def _runs(self) -> list[Run]:
        """What the arrays of tallies have that the links so far have not."""
        tallies = self._shop.ledger.tallies()
        runs = [run for tally in tallies for run in _runs_of(tally, self._written.get(tally.number))]
        self._written = {tally.number: _lengths(tally) for tally in tallies}
        return runs


def write_whole(shop: Shop, core: Core, in_order: bool = False) -> bytes:
    """A link that holds everything; the same bytes from the same state where its identities are ``in_order``."""
    duplicates = shop.duplicates
    known = (duplicates.identities(head.minute, in_order) for head in core.minutes)
    tallies = sorted(shop.ledger.tallies(), key=lambda tally: tally.number)
    runs = [run for tally in tallies for run in _runs_of(tally, None)]
    entries = Entries(*(store.live for store in shop.stores()))
    return write_link(Link(core, entries, runs, [one for one in known if one is not None]))


def _lengths(tally: Tally) -> list[int]:
    return [len(getattr(tally, name)) for name in RUNS]


def _runs_of(tally: Tally, written: list[int] | None) -> list[Run]:
    """The lists of a tally behind these lengths."""
    lists = [getattr(tally, name) for name in RUNS]
    starts = written or [0] * len(lists)
    return [
        Run(tally.number, which, start, array("q", entries[start:]).tobytes())
        for which, (entries, start) in enumerate(zip(lists, starts, strict=True))
        if start < len(entries)
    ]
