"""The seam of input formats: one module a format, which turns a parsed record into native-shaped objects."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from streams.errors import ConfigError

__all__ = ["FORMATS", "Format", "get_format"]

FORMATS: Final = ("native", "ga4", "segment")


class Format(NamedTuple):
    """A format by name.

    ``translate`` takes one parsed JSON object and returns the native-shaped objects in it, in their order: field
    names and values as in the native format, unchecked. What is missing or malformed is left out or passed on as
    it is: the native validation names the reason. An event outside the vocabulary is passed on with its own
    ``event_type``, so that it is rejected with a reason; an event that is left out of the list is dropped on purpose.
    """

    name: str
    translate: Callable[[dict[str, Any]], list[dict[str, Any]]]


def get_format(name: str) -> Format:
    """The format of that name; raises ``ConfigError`` where there is none.

    >>> get_format("native").translate({"event_type": "page_view"})
    [{'event_type': 'page_view'}]
    """
    if name not in FORMATS:
        raise ConfigError("no such format", key="format", value=name, way_out=f"use one of {', '.join(FORMATS)}")
    module = importlib.import_module(f"streams.formats.{name}")
    return Format(name, module.translate)
