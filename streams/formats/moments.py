"""Event times: RFC 3339 with offset, or an integer of milliseconds, as milliseconds of the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["SECONDS", "TAILS", "read_moment"]

EARLIEST_MS: Final = -62_135_596_800_000
LATEST_MS: Final = 253_402_300_799_999
"""The years 1 to 9999, which RFC 3339 can write."""

SECOND: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}")
TAIL: Final = re.compile(r"(?:\.([0-9]+))?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))")
CACHED: Final = 50_000
"""Entries kept of each part: neighbours in a stream share seconds and fractions."""

SECONDS: Final[dict[str, int]] = {}
TAILS: Final[dict[str, int]] = {}
"""Milliseconds of the texts met lately: of what stands up to the second, and of the fraction and offset behind it."""


def read_moment(value: Any) -> int | None:
    """Milliseconds of the epoch, truncated; None where ``value`` is no moment.

    >>> read_moment("2026-03-01T12:00:00.2509Z"), read_moment("2026-03-01T20:00:00+08:00"), read_moment(1772366400000)
    (1772366400250, 1772366400000, 1772366400000)
    >>> read_moment("2026-03-01T12:00:00"), read_moment(True), read_moment(1.0), read_moment("1772366400000")
    (None, None, None, None)
    """
    if value.__class__ is str:
        second = SECONDS.get(value[:19])
        tail = TAILS.get(value[19:])
        if second is not None and tail is not None:
            return second + tail
        return _read_text(value)
    if value.__class__ is int and EARLIEST_MS <= value <= LATEST_MS:
        return int(value)
    return None


def _read_text(text: str) -> int | None:
    found = TAIL.fullmatch(text, 19)
    if found is None or not SECOND.fullmatch(text, 0, 19):
        return None
    leap = text[17:19] == "60" and text[14:16] == "59"
    try:
        moment = datetime.fromisoformat(f"{text[:10]}T{text[11:17]}{'59' if leap else text[17:19]}").replace(tzinfo=UTC)
    except ValueError:
        return None
    fraction, sign, hours, minutes = found.groups()
    tail = int(f"{fraction or ''}000"[:3])
    if sign:
        tail -= (1 if sign == "+" else -1) * (int(hours) * 60 + int(minutes)) * 60_000
    second = (int(moment.timestamp()) + leap) * 1000
    for cache, part, told in ((SECONDS, text[:19], second), (TAILS, text[19:], tail)):
        if len(cache) >= CACHED:
            cache.clear()
        cache[part] = told
    return second + tail
