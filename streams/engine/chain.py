"""Checkpoints: each holds what changed since the last, and a part of the rest: a chain of them is the whole.

Whatever is alive was written in the chain after it last changed: it changed since the chain's first link, or its turn
to be written anew has come. A store, a tally and a minute of event ids each have their turn: the one that was told the
longest ago is the next, a part of it in each link where it is large. Of each is known from which link on all of it is
told; the oldest of these is where a restore begins. What is written anew may be a little older than its link: what
changes in between is in the link as well, and counts for more.
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple, cast

import msgspec
import numpy as np

from streams.engine.counters import RUNS, Tally
from streams.engine.dedup import Identities
from streams.engine.shop import Shop
from streams.engine.snapshot import Core, Link, Part, Reach, Run, write_core, write_link

__all__ = ["Chain", "Checkpoint", "Pace", "write_whole"]

ITEMS_AN_ENTRY: Final = 25
"""As many items of a list are written in the time of an entry."""

GROWN: Final = 5_000
"""Fewer new items of a list are left to the end."""


class Pace(NamedTuple):
    """How much that did not change goes into one link, at least.

    ``entries`` cost the time of the processor (20 000 about 5 ms), ``size`` is that of arrays, which cost little but
    their bytes. No chain has more than ``longest`` links: turns go faster where they would not be over by then, as
    after many restarts. ``at_once`` are the entries that are written without a break: some milliseconds.
    """

    entries: int = 40_000
    size: int = 2 << 20
    longest: int = 240
    at_once: int = 4_000


class Checkpoint(NamedTuple):
    """One link, and how many links before it a restore needs; 0 where it holds everything."""

    link: Link
    behind: int

    @property
    def data(self) -> bytes:
        """Its bytes, put together each time: what takes time of it may be done beside the engine."""
        return write_link(self.link)


@dataclass(slots=True)
class _Walk:
    """Goes once over a store or the lists of a tally: over what is there when it begins."""

    place: int
    """Of the store, or the number of the tally."""
    since: int
    """The link in which it begins."""
    left: Any
    """Keys, or a list of parts of lists; those that come next are the last."""


@dataclass(slots=True)
class _Part:
    """What the next link will hold of what is written anew, and how much room there is for more."""

    number: int
    """Of the link."""
    entries_room: int
    bytes_room: int
    is_whole: bool = False
    """Whether it is to hold everything."""
    parts: list[Part] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    identities: list[Identities] = field(default_factory=list)


class Chain:
    """Decides what goes into each link of a partition, and knows what the links before hold.

    Parameters
    ----------
    shop
        Whose state it is.
    reach
        Of the links from which the shop was restored; None where it was not.
    """

    def __init__(self, shop: Shop, reach: Reach | None = None) -> None:
        self._shop, self._reach = shop, reach
        self.pace = Pace()
        self._entries: _Walk | None = None
        self._lists: _Walk | None = None
        self._part: _Part | None = None
        self._owed = 0
        """Bytes by which the last link was larger than its room."""
        self._written = {tally.number: _lengths(tally) for tally in shop.ledger.tallies()} if reach else {}
        """Lengths of the lists of each tally in the links so far."""

    def prepare(self, whole: bool = False) -> bool:
        """Write a little of what will be in the next link whatever happens; returns whether there is more of it.

        The next link does what is left, so this may be called as often as there is time. It holds everything where
        ``whole`` says so, and where it is the first.
        """
        if self._is_small():
            return False
        part, reach = self._part, self._reach
        if reach is None or (whole and not (part and part.is_whole)):
            reach, part = self._begin_anew()
        part = self._part = part or self._begin_part(reach)
        if part.entries_room > 0 and self._take_entries(part, reach):
            return True
        if part.bytes_room > 0 and self._take_arrays(part, reach):
            return True
        return self._take_touched(part) or self._take_grown(part)

    def next(self, core: Core, whole: bool = False) -> Checkpoint:
        """The next link; ``whole`` where it is not certain that the last one was kept."""
        while self.prepare(whole):
            pass
        shop, reach, part = self._shop, self._reach, self._part
        if reach is None or part is None or self._is_small():
            self._entries = self._lists = None
            reach = _all_since(reach.number + 1 if reach else 1, core)
            link = write_whole(shop, core, reach).link
        else:
            for place, store in enumerate(shop.stores()):
                if store.touched:
                    part.parts.append(Part(place, msgspec.msgpack.encode(store.touched)))
            for tally in shop.ledger.tallies():
                part.runs += _runs_of(tally, self._written.get(tally.number))
            reach = _moved_on(reach, core)
            self._owed = max(0, -part.bytes_room)
            link = _link(core, reach, part.parts, part.runs, part.identities + shop.duplicates.untold())
        self._reach, self._part = reach, None
        self._written = {tally.number: _lengths(tally) for tally in shop.ledger.tallies()}
        shop.is_followed = True
        shop.tell()
        return Checkpoint(link, reach.number - reach.oldest())

    def _begin_anew(self) -> tuple[Reach, _Part]:
        """Room for everything, as if nothing had been told so far."""
        shop, before = self._shop, self._reach.number if self._reach else 0
        tallies, minutes = shop.ledger.tallies(), shop.duplicates.heads()
        self._reach = Reach(
            before,
            [before for _ in shop.stores()],
            {tally.number: before for tally in tallies},
            {head.number: before for head in minutes},
        )
        self._written = {tally.number: _lengths(tally) for tally in tallies}
        self._entries = self._lists = None
        shop.is_followed = True
        self._part = _Part(before + 1, sys.maxsize, sys.maxsize, is_whole=True)
        return self._reach, self._part

    def _begin_part(self, reach: Reach) -> _Part:
        """Room for so much that everything has had its turn before the chain is too long."""
        shop, number = self._shop, reach.number + 1
        links = self.pace.longest - (number - reach.oldest())
        if links <= 1:
            return _Part(number, sys.maxsize, sys.maxsize)
        entries = sum(len(store.live) for store in shop.stores())
        size = max(self.pace.size, -(-self._size() // links)) - self._owed
        return _Part(number, max(self.pace.entries, -(-entries // links)), size)

    def _take_entries(self, part: _Part, reach: Reach) -> bool:
        """Write the next entries of the store whose turn it is; returns whether there are any."""
        stores, walk = self._shop.stores(), self._entries
        if walk is None:
            place = min(range(len(stores)), key=reach.stores.__getitem__)
            if reach.stores[place] == part.number:
                return False
            live = stores[place].live
            # No list: the garbage collector would look at each of a million keys.
            walk = self._entries = _Walk(place, part.number, np.fromiter(live, np.object_, len(live)))
        most = min(self.pace.at_once, part.entries_room)
        keys, walk.left = walk.left[-most:].tolist(), walk.left[:-most]
        if keys:
            taken = dict(zip(keys, map(stores[walk.place].live.get, keys), strict=True))
            part.parts.append(Part(walk.place, msgspec.msgpack.encode(taken)))
            part.entries_room -= len(keys)
        if not len(walk.left):
            reach.stores[walk.place], self._entries = walk.since, None
        return True

    def _take_arrays(self, part: _Part, reach: Reach) -> bool:
        """Write the minute, or a part of the tally, whose turn it is; returns whether there is any."""
        if self._lists is not None:
            self._take_lists(part, reach, self._lists)
            return True
        begun, minute = min(((since, one) for one, since in reach.minutes.items()), default=(part.number, 0))
        since, tally = min(((since, one) for one, since in reach.tallies.items()), default=(part.number, 0))
        if min(begun, since) == part.number:
            return False
        if since <= begun:
            parts = _parts_of(self._written[tally], self.pace.at_once * ITEMS_AN_ENTRY)
            self._lists = _Walk(tally, part.number, parts)
            return True
        reach.minutes[minute] = part.number
        told = self._shop.duplicates.identities(minute)
        if told is not None:
            part.identities.append(told)
            part.bytes_room -= len(told.packed)
        return True

    def _take_lists(self, part: _Part, reach: Reach, walk: _Walk) -> None:
        """Write the next part of the lists of a tally; nothing where it is closed."""
        tally = next((one for one in self._shop.ledger.tallies() if one.number == walk.place), None)
        if tally is not None and walk.left:
            which, start, end = walk.left.pop()
            part.runs.append(_run(tally, which, start, end))
            part.bytes_room -= 8 * (end - start)
        if tally is None or not walk.left:
            reach.tallies[walk.place], self._lists = walk.since, None

    def _take_touched(self, part: _Part) -> bool:
        """Write some of what has changed so far; what changes again is written again."""
        stores = self._shop.stores()
        place = max(range(len(stores)), key=lambda place: len(stores[place].touched))
        touched = stores[place].touched
        if len(touched) <= self.pace.at_once:
            return False
        taken = {key: touched[key] for key in islice(touched, self.pace.at_once)}
        for key in taken:
            del touched[key]
        part.parts.append(Part(place, msgspec.msgpack.encode(taken)))
        return True

    def _take_grown(self, part: _Part) -> bool:
        """Write some of what was appended to a list so far."""
        most = self.pace.at_once * ITEMS_AN_ENTRY
        for tally in self._shop.ledger.tallies():
            written = self._written.setdefault(tally.number, [0] * len(RUNS))
            for which, length in enumerate(_lengths(tally)):
                if length - written[which] > GROWN:
                    start, written[which] = written[which], min(length, written[which] + most)
                    part.runs.append(_run(tally, which, start, written[which]))
                    return True
        return False

    def _is_small(self) -> bool:
        """Whether all of it is not more than what would go into a link anyway."""
        stores = self._shop.stores()
        touched, live = sum(len(store.touched) for store in stores), sum(len(store.live) for store in stores)
        return live <= touched + self.pace.entries and self._size() <= self.pace.size

    def _size(self) -> int:
        """Bytes of all arrays."""
        identities = sum(head.size for head in self._shop.duplicates.heads())
        return 8 * (identities + sum(sum(_lengths(tally)) for tally in self._shop.ledger.tallies()))


def write_whole(shop: Shop, core: Core, reach: Reach | None = None) -> Checkpoint:
    """A link that holds everything; of none but itself, the same bytes from the same state."""
    known = (shop.duplicates.identities(head.number, in_order=reach is None) for head in core.minutes)
    tallies = sorted(shop.ledger.tallies(), key=lambda tally: tally.number)
    runs = [run for tally in tallies for run in _runs_of(tally, None)]
    parts = [Part(place, msgspec.msgpack.encode(store.live)) for place, store in enumerate(shop.stores())]
    identities = [one for one in known if one is not None]
    return Checkpoint(_link(core, reach or _all_since(0, core), parts, runs, identities), 0)


def _link(core: Core, reach: Reach, parts: list[Part], runs: list[Run], identities: list[Identities]) -> Link:
    """A link that shares nothing with what goes on."""
    written = msgspec.Raw(msgspec.msgpack.encode(reach))
    return Link(cast(Core, write_core(core)), cast(Reach, written), parts, runs, identities)


def _all_since(number: int, core: Core) -> Reach:
    """Everything is told by this link."""
    tallies, minutes = ((head.number for head in heads) for heads in (core.tallies, core.minutes))
    return Reach(number, [number] * len(core.sizes), dict.fromkeys(tallies, number), dict.fromkeys(minutes, number))


def _moved_on(reach: Reach, core: Core) -> Reach:
    """The reach of the next link, with what is new since and without what is no more."""
    new = _all_since(reach.number + 1, core)
    tallies = {one: reach.tallies.get(one, since) for one, since in new.tallies.items()}
    minutes = {one: reach.minutes.get(one, since) for one, since in new.minutes.items()}
    return Reach(new.number, reach.stores, tallies, minutes)


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


def _parts_of(lengths: list[int], most: int) -> list[tuple[int, int, int]]:
    """The lists of a tally up to these lengths, in parts of so many items at most: place in ``RUNS``, start, end."""
    return [
        (which, start, min(length, start + most))
        for which, length in enumerate(lengths)
        for start in range(0, length, most)
    ]
