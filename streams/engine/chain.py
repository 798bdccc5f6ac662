"""Checkpoints: each holds what changed since the last, and a part of the rest: a chain of them is the whole.

Whatever is alive was written in the chain after it last changed: it changed since the chain's first link, or the turn
over everything that the chain holds came by it. The rest of the state is written in turns, a part in each link; a
restore needs the links from the beginning of the last turn that is complete. That part may be written a little before
its link is: what changes in between is in the link as well, and counts for more.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple, cast

import msgspec

from streams.engine.counters import RUNS, Tally
from streams.engine.dedup import Identities
from streams.engine.shop import Shop
from streams.engine.snapshot import Core, Entries, Link, Run, write_link

__all__ = ["Chain", "Checkpoint", "Pace", "write_whole"]

ITEMS_AN_ENTRY: Final = 25
"""As many items of a list are written in the time of an entry."""


class Pace(NamedTuple):
    """How much that did not change goes into one link, at least.

    ``entries`` cost the time of the processor (20 000 about 10 ms), ``size`` is that of arrays, which cost little but
    their bytes. No chain has more than ``longest`` links: a turn goes faster where it would not be over by then, as
    after many restarts. ``at_once`` are the entries that are written without a break: some milliseconds.
    """

    entries: int = 20_000
    size: int = 2 << 20
    longest: int = 240
    at_once: int = 4_000


class Checkpoint(NamedTuple):
    """One link: its bytes, and how many links before it a restore needs; 0 where it holds everything."""

    data: bytes
    behind: int


class Turn:
    """Goes once over everything: what is there when it begins, or when it comes to a store."""

    def __init__(self, shop: Shop, written: Mapping[int, list[int]], most: int) -> None:
        self._shop = shop
        self._stores = list(range(len(shop.stores())))
        """Places of the stores that it has not come to, the last first."""
        self._place, self._keys, self._next = 0, list[Any](), 0
        """The keys of the store that it is at, and the first of them that it has not written."""
        # What lives longest goes first, so that little is written shortly before it ends.
        self.minutes = [head.minute for head in shop.duplicates.heads()]
        ledger = shop.ledger
        tallies = (*ledger.corrections.values(), *ledger.open.values(), *ledger.cohorts.values())
        self.runs = [part for tally in tallies for part in _parts_of(tally.number, written.get(tally.number, []), most)]
        """What the links so far have of the lists of tallies, in parts: number, place in ``RUNS``, start, end."""

    def is_over(self) -> bool:
        """Whether nothing is left."""
        return not (self.minutes or self.runs or self._stores or self._next < len(self._keys))

    def entries_left(self) -> int:
        """How many entries are still to be written, about."""
        stores = self._shop.stores()
        return len(self._keys) - self._next + sum(len(stores[place].live) for place in self._stores)

    def bytes_left(self) -> int:
        """How much of arrays is still to be written, about."""
        minutes = set(self.minutes)
        identities = sum(head.size for head in self._shop.duplicates.heads() if head.minute in minutes)
        return 8 * (identities + sum(end - start for _, _, start, end in self.runs))

    def take(self, most: int) -> tuple[int, Entries | None]:
        """At most so many of the next entries, and how many; None where none is left."""
        stores = self._shop.stores()
        while self._next == len(self._keys):
            if not self._stores:
                return 0, None
            self._place = self._stores.pop()
            self._keys, self._next = list(stores[self._place].live), 0
        keys = self._keys[self._next : self._next + most]
        self._next += len(keys)
        taken: list[dict[Any, Any]] = [{} for _ in stores]
        taken[self._place] = dict(zip(keys, map(stores[self._place].live.get, keys), strict=True))
        return len(keys), Entries(*taken)


@dataclass(slots=True)
class _Part:
    """What the next link will hold of the turn, and how much room there is for more."""

    entries_room: int
    bytes_room: int
    base: list[msgspec.Raw] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    identities: list[Identities] = field(default_factory=list)


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
        self._turn: Turn | None = None
        self._turned = 0
        """Links of the present turn so far."""
        self._part: _Part | None = None
        self._written = {tally.number: _lengths(tally) for tally in shop.ledger.tallies()} if length else {}
        """Lengths of the lists of each tally in the links so far."""

    def prepare(self) -> bool:
        """Write a little of what will be in the next link whatever happens; returns whether there is more of it.

        The next link does what is left, so this may be called as often as there is time.
        """
        if not self._length or self._is_small():
            return False
        turn = self._turn = self._turn or Turn(self._shop, self._written, self.pace.at_once * ITEMS_AN_ENTRY)
        part = self._part = self._part or self._begin_part(turn)
        if part.entries_room > 0:
            count, entries = turn.take(min(self.pace.at_once, part.entries_room))
            if entries is not None:
                part.entries_room -= count
                part.base.append(msgspec.Raw(msgspec.msgpack.encode(entries)))
                return True
        if part.bytes_room > 0 and turn.minutes:
            told = self._shop.duplicates.identities(turn.minutes.pop())
            if told is not None:
                part.identities.append(told)
                part.bytes_room -= len(told.packed)
            return True
        if part.bytes_room > 0 and turn.runs:
            number, which, start, end = turn.runs.pop()
            for tally in self._shop.ledger.tallies():
                if tally.number == number:
                    part.runs.append(_run(tally, which, start, end))
                    part.bytes_room -= 8 * (end - start)
            return True
        return self._take_touched(part)

    def _take_touched(self, part: _Part) -> bool:
        """Write some of what has changed so far; what changes again is written again."""
        stores = self._shop.stores()
        place = max(range(len(stores)), key=lambda place: len(stores[place].touched))
        touched = stores[place].touched
        if len(touched) <= self.pace.at_once:
            return False
        taken: list[dict[Any, Any]] = [{} for _ in stores]
        taken[place] = {key: touched[key] for key in islice(touched, self.pace.at_once)}
        for key in taken[place]:
            del touched[key]
        part.base.append(msgspec.Raw(msgspec.msgpack.encode(Entries(*taken))))
        return True

    def next(self, core: Core, whole: bool = False) -> Checkpoint:
        """The next link; ``whole`` where it is not certain that the last one was kept."""
        shop = self._shop
        while not whole and self.prepare():
            pass
        turn, part = self._turn, self._part
        if whole or not self._length or self._is_small() or turn is None or part is None:
            data, behind = write_whole(shop, core), 0
            self._length, self._turn, self._turned = 1, None, 0
        else:
            runs = [run for tally in shop.ledger.tallies() for run in _runs_of(tally, self._written.get(tally.number))]
            identities = part.identities + shop.duplicates.untold()
            entries = Entries(*(store.touched for store in shop.stores()))
            data = write_link(Link(core, cast("list[Entries]", part.base), entries, part.runs + runs, identities))
            self._turned += 1
            if turn.is_over():
                behind, self._length, self._turn, self._turned = self._turned - 1, self._turned, None, 0
            else:
                behind, self._length = self._length, self._length + 1
        self._part = None
        self._written = {tally.number: _lengths(tally) for tally in shop.ledger.tallies()}
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

    def _begin_part(self, turn: Turn) -> _Part:
        """Room for so much that the turn is over before the chain is too long."""
        links = self.pace.longest - self._length
        if links <= 1:
            return _Part(sys.maxsize, sys.maxsize)
        entries, size = -(-turn.entries_left() // links), -(-turn.bytes_left() // links)
        return _Part(max(self.pace.entries, entries), max(self.pace.size, size))


def write_whole(shop: Shop, core: Core, in_order: bool = False) -> bytes:
    """A link that holds everything; the same bytes from the same state where its identities are ``in_order``."""
    duplicates = shop.duplicates
    known = (duplicates.identities(head.minute, in_order) for head in core.minutes)
    tallies = sorted(shop.ledger.tallies(), key=lambda tally: tally.number)
    runs = [run for tally in tallies for run in _runs_of(tally, None)]
    entries = Entries(*(store.live for store in shop.stores()))
    return write_link(Link(core, [], entries, runs, [one for one in known if one is not None]))


def _lengths(tally: Tally) -> list[int]:
    return [len(getattr(tally, name)) for name in RUNS]


def _runs_of(tally: Tally, written: list[int] | None) -> list[Run]:
    """The lists of a tally behind these lengths."""
    lists = [getattr(tally, name) for name in RUNS]
    starts = written or [0] * len(lists)
    return [
        _run(tally, which, start, len(entries))
        for which, (entries, start) in enumerate(zip(lists, starts, strict=True))
        if start < len(entries)
    ]


def _run(tally: Tally, which: int, start: int, end: int) -> Run:
    return Run(tally.number, which, start, array("q", getattr(tally, RUNS[which])[start:end]).tobytes())


def _parts_of(number: int, lengths: list[int], most: int) -> list[tuple[int, int, int, int]]:
    """The lists of a tally up to these lengths, in parts of so many items at most."""
    return [
        (number, which, start, min(length, start + most))
        for which, length in enumerate(lengths)
        for start in range(0, length, most)
    ]
