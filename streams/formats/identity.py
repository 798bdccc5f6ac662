"""Ids that a format lacks: a pseudonym of a person's id, and an id of an event from what it says."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["derived_id", "pseudonym"]


def pseudonym(user: Any) -> str | None:
    """16 hex digits in place of a user id, which may be a name or an address; None where there is none.

    >>> pseudonym("anna@shop.example") == pseudonym("anna@shop.example") != pseudonym("ben@shop.example")
    True
    >>> pseudonym("") is None
    True
    """
    if isinstance(user, bool) or not isinstance(user, str | int) or user == "":
        return None
    return hashlib.blake2b(str(user).encode("utf-8", "replace"), digest_size=8, person=b"user").hexdigest()


def derived_id(*facts: Any) -> str:
    """An event id from what tells one event from another: equal facts, equal id, in every run and on every machine.

    >>> derived_id("v-1", "page_view", 1772366400000) == derived_id("v-1", "page_view", 1772366400000)
    True
    >>> derived_id("v-1", None) == derived_id("v-1", "None")
    False
    """
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8, person=b"event").hexdigest()
