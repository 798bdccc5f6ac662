"""A wheel of timers: keys by the window whose closing has to look at them first."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Wheel"]


class Wheel:
    """Keys in buckets, one between each two closings; a key that is not due when its bucket comes is put back.

    >>> wheel = Wheel(window_ms=60, grace_ms=25)
    >>> wheel.put("a", 84), wheel.put("b", 85), wheel.next_ms()
    (None, None, 85)
    >>> wheel.take(85), wheel.take(144), wheel.take(145)
    (['a'], [], ['b'])
    """

    def __init__(self, window_ms: int, grace_ms: int) -> None:
        self._window, self._grace = window_ms, grace_ms
        self._buckets: dict[int, dict[str, None]] = {}
        self._first = 0
        """No bucket is before it, where there is one at all."""

    def put(self, key: str, due_ms: int) -> None:
        """Look at ``key`` before the first closing after ``due_ms``."""
        keys = self._buckets.get((due_ms - self._grace) // self._window)
        if keys is None:
            keys, _ = self.bucket(due_ms)
        keys[key] = None

    def put_all(self, dues: Iterable[tuple[str, int]]) -> None:
        """Put many keys, each with the time when it is due."""
        window, grace, of_number = self._window, self._grace, self._buckets.get
        for key, due_ms in dues:
            keys = of_number((due_ms - grace) // window)
            if keys is None:
                keys, _ = self.bucket(due_ms)
            keys[key] = None

    def bucket(self, due_ms: int) -> tuple[dict[str, None], int]:
        """Where to put a key that is due then, and the end of the times for which that is so."""
        bucket = (due_ms - self._grace) // self._window
        keys = self._buckets.get(bucket)
        if keys is None:
            self._first = min(self._first, bucket) if self._buckets else bucket
            keys = self._buckets[bucket] = {}
        return keys, (bucket + 1) * self._window + self._grace

    def take(self, closing_ms: int) -> list[str]:
        """The keys whose time is before a closing; they are in the wheel no more."""
        bucket = (closing_ms - self._grace) // self._window
        if not self._buckets or bucket <= self._first:
            return []
        self._first = bucket
        return [key for due in sorted(due for due in self._buckets if due < bucket) for key in self._buckets.pop(due)]

    def next_ms(self) -> int | None:
        """The closing that has to look at the next keys; None where there are none."""
        return (min(self._buckets) + 1) * self._window + self._grace if self._buckets else None
