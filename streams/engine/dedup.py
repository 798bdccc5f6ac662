"""Duplicates: the identities of events that counted, by the minute of their event time as sent."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Duplicates", "Identities", "MinuteHead"]

MINUTE_MS: Final = 60_000
RECENT_MINUTES: Final = 3
"""Minutes behind the newest closing that are kept as sets; older ones are sorted arrays, an eighth of the size."""

STRAGGLERS: Final = 8
"""What comes late to a packed minute is packed with it once it is more than this part of it: each is a copy of all."""


class MinuteHead(NamedTuple):
    """What a checkpoint says of a minute; one that was forgotten and comes again has another ``number``."""

    minute: int
    number: int
    latest_ms: int
    size: int


class Identities(NamedTuple):
    """Some identities of a minute, 8 bytes each."""

    number: int
    packed: bytes


class _Minute:
    """``recent`` are identities by hash, ``log`` the same in their order; ``older`` is sorted and has none of them.

    ``latest_ms`` is the largest event time of its events: a skewed clock's minutes are not those of the partition.
    """

    __slots__ = ("latest_ms", "log", "number", "older", "recent", "told", "untold")

    def __init__(self, number: int, latest_ms: int) -> None:
        self.number, self.latest_ms = number, latest_ms
        self.recent: set[int] = set()
        self.log: list[int] = []
        self.older = array("Q")
        self.told = 0
        """So much of ``log`` is in a checkpoint already."""
        self.untold = array("Q")
        """What was packed before a checkpoint had it."""

    def pack(self) -> None:
        """Make one sorted array of all."""
        self.untold.extend(self.log[self.told :])
        self.older = _sorted(self.older, self.log)
        self.recent, self.log, self.told = set(), [], 0


NOWHERE: Final = _Minute(0, 0)


class Duplicates:
    """Remembers identities (64-bit hashes) as long as a copy of the event may still be accepted.

    >>> seen = Duplicates(keep_ms=3_600_000)
    >>> seen.is_copy(7, 1_000, 1_000), seen.is_copy(7, 1_000, 1_000), seen.is_copy(8, 1_000, 1_000)
    (False, True, False)
    """

    def __init__(self, keep_ms: int) -> None:
        self._keep = keep_ms
        self._minutes: dict[int, _Minute] = {}
        self.minutes_made = 0

    def sift(self, events: list[Any]) -> tuple[list[Any], list[Any]]:
        """The events that count, from now on, and the copies, both in their order."""
        minute_of = self._minutes.get
        fresh: list[Any] = []
        copies: list[Any] = []
        known: int | None = None
        place, recent, latest_ms = NOWHERE, None, 0
        for event in events:
            identity, event_ms, minute = event.identity, event.event_ms, event.event_time // MINUTE_MS
            if minute != known:
                known, place = minute, minute_of(minute, NOWHERE)
                latest_ms, recent = place.latest_ms, None if place is NOWHERE or place.older else place.recent
            if recent is None or not identity:
                known = None  # the minute may be a new one
                is_copy = identity and self.is_copy(identity, event.event_time, event_ms)
                (copies if is_copy else fresh).append(event)
            elif identity in recent:
                copies.append(event)
            else:
                recent.add(identity)
                place.log.append(identity)
                if event_ms > latest_ms:
                    latest_ms = place.latest_ms = event_ms
                fresh.append(event)
        return fresh, copies

    def is_copy(self, identity: int, sent_ms: int, event_ms: int) -> bool:
        """Whether this identity has counted already; from now on it has."""
        minute = sent_ms // MINUTE_MS
        place = self._minutes.get(minute)
        if place is None:
            self.minutes_made += 1
            place = self._minutes[minute] = _Minute(self.minutes_made, event_ms)
        elif identity in place.recent:
            return True
        older = place.older
        if older:
            found = bisect_left(older, identity)
            if found < len(older) and older[found] == identity:
                return True
        place.recent.add(identity)
        place.log.append(identity)
        place.latest_ms = max(place.latest_ms, event_ms)
        return False

    def forget(self, closing_ms: int) -> None:
        """Forget minutes that no copy can belong to any more, and pack those that few copies belong to."""
        oldest = closing_ms - self._keep
        packed = closing_ms // MINUTE_MS - RECENT_MINUTES
        for minute, place in list(self._minutes.items()):
            if place.latest_ms < oldest:
                del self._minutes[minute]
            elif minute < packed and len(place.log) * STRAGGLERS > len(place.older):
                place.pack()

    def heads(self) -> list[MinuteHead]:
        """What is remembered, but for the identities themselves."""
        return [
            MinuteHead(minute, place.number, place.latest_ms, len(place.older) + len(place.log))
            for minute, place in sorted(self._minutes.items())
        ]

    def untold(self) -> list[Identities]:
        """The identities that are new since ``tell``."""
        places = self._minutes.values()
        told = [(place.number, place.untold + array("Q", place.log[place.told :])) for place in places]
        return [Identities(number, new.tobytes()) for number, new in told if new]

    def tell(self) -> None:
        """All that is known now is in a checkpoint."""
        for place in self._minutes.values():
            place.told, place.untold = len(place.log), array("Q")

    def identities(self, number: int, in_order: bool = False) -> Identities | None:
        """All identities of the minute of that number, sorted where ``in_order``; None where it is not remembered."""
        place = next((one for one in self._minutes.values() if one.number == number), None)
        if place is None:
            return None
        known = _sorted(place.older, place.log) if in_order else place.older + array("Q", place.log)
        return Identities(place.number, known.tobytes())

    def load(self, heads: Iterable[MinuteHead], told: Iterable[Identities]) -> bool:
        """Know the identities of checkpoints; returns whether they are complete."""
        parts: dict[int, list[NDArray[np.uint64]]] = {}
        for number, packed in told:
            parts.setdefault(number, []).append(np.frombuffer(packed, np.uint64))
        newest = max((head.minute for head in heads), default=0)
        for head in heads:
            known = _united(parts.pop(head.number, []))
            if len(known) != head.size:
                return False
            place = self._minutes[head.minute] = _Minute(head.number, head.latest_ms)
            if head.minute < newest - RECENT_MINUTES:
                place.older.frombytes(known.tobytes())
            else:
                place.log = known.tolist()
                place.recent = set(place.log)
        self.tell()
        return True


def _united(parts: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """All of them sorted, each once. By sorting: ``np.unique`` goes by hash, which takes ten times as long."""
    together = np.concatenate([np.empty(0, np.uint64), *parts])
    together.sort()
    is_new = np.ones(len(together), np.bool_)
    np.not_equal(together[1:], together[:-1], out=is_new[1:])
    return together if is_new.all() else together[is_new]


def _sorted(one: array[int], other: list[int]) -> array[int]:
    together = np.concatenate((np.array(one, np.uint64), np.array(other, np.uint64)))
    together.sort()
    return array("Q", together.tobytes())
