"""Durations as people write them: ``90s``, ``30m``, ``1h30m``, ``250ms``, to integer milliseconds and back."""

from __future__ import annotations

import re

__all__ = ["format_duration", "parse_duration"]

LONGEST_MS = 36_525 * 86_400_000
_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(text: str) -> int:
    """Milliseconds of ``text``; raises ``ValueError`` with the accepted form.

    >>> parse_duration("1h30m"), parse_duration("250ms"), parse_duration("0.5s")
    (5400000, 250, 500)
    >>> parse_duration("30")
    Traceback (most recent call last):
    ...
    ValueError: '30' is no duration; write a number with a unit, such as "30s", "5m", "1h30m", "250ms"
    """
    squeezed = text.strip().replace(" ", "")
    parts = _PART.findall(squeezed)
    if not parts or "".join(number + unit for number, unit in parts) != squeezed:
        raise ValueError(f'{text!r} is no duration; write a number with a unit, such as "30s", "5m", "1h30m", "250ms"')
    total = sum(float(number) * _UNITS_MS[unit] for number, unit in parts)
    if total > LONGEST_MS:
        raise ValueError(f"{text[:40]!r} is longer than a hundred years")
    return round(total)


def format_duration(ms: int) -> str:
    """The shortest text that ``parse_duration`` reads back.

    >>> format_duration(5_400_000), format_duration(60_000), format_duration(0)
    ('1h30m', '1m', '0s')
    """
    text, rest = "", ms
    for unit, size in _UNITS_MS.items():
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"
