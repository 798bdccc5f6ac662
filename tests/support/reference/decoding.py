"""Reads one native record, slowly and in the order of the rules: an event, or the reason why there is none."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, NamedTuple

from streams.engine.spec import EngineSpec

__all__ = [
    "BACK_OFFICE",
    "OUTCOMES",
    "SHOPPER",
    "NativeEvent",
    "NativeItem",
    "RejectionError",
    "SourceRecord",
    "read_native",
]

SHOPPER = frozenset(
    [
        "page_view",
        "product_view",
        "list_view",
        "add_to_cart",
        "remove_from_cart",
        "cart_view",
        "checkout_started",
        "checkout_step",
        "order_placed",
        "payment_attempted",
    ]
)
OUTCOMES = frozenset(("payment_succeeded", "payment_failed", "order_paid"))
BACK_OFFICE = frozenset(("order_cancelled", "order_refunded", "ad_report"))

EARLIEST_MS = -62_135_596_800_000  # 0001-01-01
LATEST_MS = 253_402_300_799_999  # 9999-12-31

NO_MINOR_UNIT = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
THREE_DIGITS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
FOUR_DIGITS = frozenset(("CLF", "UYW"))

LARGEST_AMOUNT = 10**13
LARGEST_QUANTITY = 10**12

RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")


class SourceRecord(NamedTuple):
    """One record of a source log; ``append_ms`` is None for a line of a file."""

    topic: str
    offset: int
    append_ms: int | None
    key: bytes | None
    value: bytes | None


class RejectionError(Exception):
    """The record cannot be used; ``reason`` is its name."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass
class NativeItem:
    quantity: int = 1
    values: dict[str, str] = field(default_factory=dict)


@dataclass
class NativeEvent:
    """What a record says. ``identity`` is None where copies are not to be recognised."""

    event_type: str
    sent_event_ms: int
    identity: tuple[Any, ...] | None
    key: str
    append_ms: int | None
    sender_clock_ms: int | None
    visitor: str | None
    order_id: str | None
    payment_id: str | None
    money: tuple[str, int] | None
    decline: Any
    values: dict[str, str]
    items: list[NativeItem]
    defects: list[str]


def read_native(record: SourceRecord, spec: EngineSpec) -> NativeEvent:
    """The event of ``record``; raises ``RejectionError``."""
    told = _json_object(record.value, spec)
    event_type = _event_type(told)
    event_ms = _event_time(told)
    defects: list[str] = []
    session_id = _text(told, "session_id", "session_id", defects)
    key = record.key.decode("utf-8", "replace") if record.key else session_id
    if key is None:
        if event_type != "ad_report":
            raise RejectionError("no_session")
        key = ""
    event_id = _text(told, "event_id", "event_id", defects)
    identity: tuple[Any, ...] | None = None
    if event_id is not None:
        identity = ("id", event_id, event_ms)
    elif spec.derive_event_id == "content":
        identity = ("content", record.value, key, event_ms)
    values = {}
    for name in (*spec.session_dimensions, *spec.payment_dimensions):
        value = _text(told, name, name, defects)
        if value is not None:
            values[name] = value
    append_field = _clock(told, "append_time", defects)
    _text(told, "user_id", "user_id", defects)
    return NativeEvent(
        event_type=event_type,
        sent_event_ms=event_ms,
        identity=identity,
        key=key,
        append_ms=record.append_ms if record.append_ms is not None else append_field,
        sender_clock_ms=_clock(told, "sent_at", defects),
        visitor=_text(told, "visitor_id", "visitor_id", defects),
        order_id=_text(told, "order_id", "order_id", defects),
        payment_id=_text(told, "payment_id", "payment_id", defects),
        money=_money(told, defects),
        decline=told.get("decline"),
        values=values,
        items=_items(told, spec, defects),
        defects=defects,
    )


def _json_object(value: bytes | None, spec: EngineSpec) -> dict[str, Any]:
    if value is not None and len(value) > spec.max_record_bytes:
        raise RejectionError("too_large")
    try:
        told = json.loads(
            (value or b"").decode("utf-8"), parse_int=_integer, parse_float=_double, parse_constant=_no_constant
        )
        json.dumps(told, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise RejectionError("not_json") from error
    if not isinstance(told, dict):
        raise RejectionError("not_json")
    return told


def _integer(text: str) -> int | float:
    number = int(text)
    return number if -(2**63) <= number < 2**64 else _double(text)


def _double(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is beyond a double")
    return number


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _event_type(told: dict[str, Any]) -> str:
    event_type = told.get("event_type")
    if event_type is None or event_type == "":
        raise RejectionError("no_event_type")
    if not isinstance(event_type, str) or event_type not in SHOPPER | OUTCOMES | BACK_OFFICE:
        raise RejectionError("unknown_event_type")
    return event_type


def _event_time(told: dict[str, Any]) -> int:
    if told.get("event_time") in (None, ""):
        raise RejectionError("no_event_time")
    event_ms = _moment(told["event_time"])
    if event_ms is None:
        raise RejectionError("bad_event_time")
    return event_ms


def _moment(value: Any) -> int | None:
    """Milliseconds since the epoch, None where ``value`` is no time."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if EARLIEST_MS <= value <= LATEST_MS else None
    match = RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    day, clock, fraction, offset = match.groups()
    try:
        second = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if offset in 'Zz' else offset}")
    except ValueError:
        return None
    thousandths = int(((fraction or "") + "000")[:3])
    return round(second.timestamp()) * 1000 + thousandths


def _clock(told: dict[str, Any], name: str, defects: list[str]) -> int | None:
    value = told.get(name)
    if value is None or value == "":
        return None
    moment = _moment(value)
    if moment is None:
        defects.append(name)
    return moment


def _text(told: dict[str, Any], name: str, field_name: str, defects: list[str]) -> str | None:
    """A dimension or an id: text, or a number that becomes its text."""
    value = told.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    defects.append(field_name)
    return None


def _money(told: dict[str, Any], defects: list[str]) -> tuple[str, int] | None:
    """Currency and minor units, None where either is missing."""
    amount = told.get("amount")
    number: Decimal | None = None
    if amount is not None and amount != "":
        number = _decimal(amount)
        if number is None:
            defects.append("amount")
    currency = told.get("currency")
    code: str | None = None
    if currency is not None and currency != "":
        if isinstance(currency, str) and re.fullmatch("[A-Za-z]{3}", currency):
            code = currency.upper()
        else:
            defects.append("currency")
    if number is None or code is None:
        return None
    digits = 0 if code in NO_MINOR_UNIT else 3 if code in THREE_DIGITS else 4 if code in FOUR_DIGITS else 2
    return code, int(number.scaleb(digits).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def _decimal(amount: Any) -> Decimal | None:
    if isinstance(amount, bool) or not isinstance(amount, int | float | str) or "_" in str(amount):
        return None
    try:
        number = Decimal(str(amount))
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number < LARGEST_AMOUNT else None


def _items(told: dict[str, Any], spec: EngineSpec, defects: list[str]) -> list[NativeItem]:
    listed = told.get("items")
    if listed is None or listed in ("", []):
        return [NativeItem()]
    if not isinstance(listed, list):
        defects.append("items")
        return [NativeItem()]
    items = []
    for entry in listed:
        item = NativeItem()
        if isinstance(entry, dict):
            item.quantity = _quantity(entry, defects)
            _text(entry, "product_id", "product_id", defects)
            for name in spec.product_dimensions:
                value = _text(entry, name, name, defects)
                if value is not None:
                    item.values[name] = value
        else:
            defects.append("items")
        items.append(item)
    return items


def _quantity(entry: dict[str, Any], defects: list[str]) -> int:
    quantity = entry.get("quantity")
    if quantity is None or quantity == "":
        return 1
    if isinstance(quantity, int) and not isinstance(quantity, bool) and 0 < quantity <= LARGEST_QUANTITY:
        return quantity
    defects.append("quantity")
    return 1
