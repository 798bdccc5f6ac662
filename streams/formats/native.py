"""The native format: one JSON object a record, with the field names of the engine."""

from __future__ import annotations

from typing import Any

__all__ = ["translate"]


def translate(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The object itself: a native record holds one event."""
    return [record]
