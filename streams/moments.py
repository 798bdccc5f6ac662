"""Moments as people write them, on the shop's clock."""

from __future__ import annotations

from datetime import datetime

from streams.coarse import zone_of
from streams.errors import InputError

__all__ = ["parse_moment"]


def parse_moment(text: str, time_zone: str, key: str) -> int:
    """Milliseconds of an ISO 8601 moment; without an offset it is one of the shop's clock.

    A moment that the clock shows twice in autumn is the first; one that it skips in spring is moved on by the hour.

    Examples
    --------
    >>> parse_moment("2026-03-01T12:00", "Asia/Shanghai", "--to") == parse_moment("2026-03-01T04:00Z", "UTC", "--to")
    True
    >>> parse_moment("noon", "UTC", "--from")
    Traceback (most recent call last):
    streams.errors.InputError: --from = 'noon': not a moment; write it as 2026-03-01T12:00 or 2026-03-01T12:00+08:00
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        local = moment if moment.tzinfo else moment.replace(tzinfo=zone_of(time_zone))
        milliseconds = round(local.timestamp() * 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(
            "not a moment", key=key, value=text, way_out="write it as 2026-03-01T12:00 or 2026-03-01T12:00+08:00"
        ) from error
    if milliseconds < 0:
        raise InputError("before 1970", key=key, value=text, way_out="name a moment of the log")
    return milliseconds
