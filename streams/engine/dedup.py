"""Duplicates: the identities of events that counted, by the minute of their event time as sent."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["Duplicates"]

MINUTE_MS: Final = 60_000
RECENT_MINUTES: Final = 3
"""Minutes behind the newest closing that are kept as sets; older ones are sorted arrays, an eighth of the size."""


class Duplicates:
    """Remembers identities (64-bit hashes) as long as a copy of the event may still be accepted.

    >>> seen = Duplicates(keep_ms=3_600_000)
    >>> seen.is_copy(7, 1_000, 1_000), seen.is_copy(7, 1_000, 1_000), seen.is_copy(8, 1_000, 1_000)
    (False, True, False)
    """

    def __init__(self, keep_ms: int) -> None:
        self._keep = keep_ms
        self._recent: dict[int, set[int]] = {}
        self._older: dict[int, array[int]] = {}
        self._latest: dict[int, int] = {}
        """Largest event time in each minute: a skewed clock's minutes are not those of the partition."""

    def sift(self, events: list[Any]) -> tuple[list[Any], list[Any]]:
        """The events that count, from now on, and the copies, both in their order."""
        recent_of, older_of, latest_of = self._recent, self._older, self._latest
        fresh: list[Any] = []
        copies: list[Any] = []
        known, recent, latest_ms = None, None, 0
        for event in events:
            identity, event_ms, minute = event.identity, event.event_ms, event.event_time // MINUTE_MS
            if minute != known:
                known, recent = minute, None if minute in older_of else recent_of.get(minute)
                latest_ms = latest_of.get(minute, 0)
            if recent is None or not identity:
                known = None  # the minute may be a new one
                is_copy = identity and self.is_copy(identity, event.event_time, event_ms)
                (copies if is_copy else fresh).append(event)
            elif identity in recent:
                copies.append(event)
            else:
                recent.add(identity)
                if event_ms > latest_ms:
                    latest_ms = latest_of[minute] = event_ms
                fresh.append(event)
        return fresh, copies

    def is_copy(self, identity: int, sent_ms: int, event_ms: int) -> bool:
        """Whether this identity has counted already; from now on it has."""
        minute = sent_ms // MINUTE_MS
        recent = self._recent.get(minute)
        if recent is None:
            recent = self._recent[minute] = set()
            self._latest.setdefault(minute, event_ms)
        elif identity in recent:
            return True
        older = self._older.get(minute)
        if older is not None:
            place = bisect_left(older, identity)
            if place < len(older) and older[place] == identity:
                return True
        recent.add(identity)
        self._latest[minute] = max(self._latest[minute], event_ms)
        return False

    def forget(self, closing_ms: int) -> None:
        """Forget minutes that no copy can belong to any more, and pack those that few copies belong to."""
        oldest = closing_ms - self._keep
        for minute in [minute for minute, latest in self._latest.items() if latest < oldest]:
            del self._latest[minute]
            self._recent.pop(minute, None)
            self._older.pop(minute, None)
        packed = closing_ms // MINUTE_MS - RECENT_MINUTES
        for minute in [minute for minute in self._recent if minute < packed]:
            self._older[minute] = array("Q", sorted((*self._recent.pop(minute), *self._older.get(minute, ()))))

    def state(self) -> list[tuple[int, int, bytes]]:
        """Each minute with its largest event time and its identities, sorted."""
        return [
            (
                minute,
                latest,
                array("Q", sorted((*self._recent.get(minute, ()), *self._older.get(minute, ())))).tobytes(),
            )
            for minute, latest in sorted(self._latest.items())
        ]

    def load(self, state: Iterable[tuple[int, int, bytes]]) -> None:
        """Know the identities of a snapshot."""
        for minute, latest, identities in state:
            self._latest[minute] = latest
            known = self._older[minute] = array("Q")
            known.frombytes(identities)
