"""Money: amounts as minor units of the currency's ISO 4217 exponent."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

__all__ = ["minor_units", "read_amount", "read_currency"]

EXPONENTS: Final = {
    **dict.fromkeys(
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
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
"""Currencies whose minor unit is no hundredth, ISO 4217."""

MAX_EXPONENT: Final = 13
"""An amount from 10**13 on is no amount: sums of minor units stay below 2**63."""

LARGEST: Final = 10**MAX_EXPONENT
MAX_DIGITS: Final = 400


def read_amount(value: Any) -> Decimal | None:
    """The amount of a decimal string or a number; None where it is none, negative or beyond all reason.

    >>> read_amount("398.00"), read_amount(12), read_amount(0.145)
    (Decimal('398.00'), Decimal('12'), Decimal('0.145'))
    >>> [read_amount(value) for value in ("-1", "NaN", "1e999999", "12,5", "1_000", True, [])]
    [None, None, None, None, None, None, None]
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return _read(str(value)) if not isinstance(value, int) or -LARGEST < value < LARGEST else None


@lru_cache(maxsize=10_000)
def _read(text: str) -> Decimal | None:
    """The amount of a text; prices repeat."""
    try:
        amount = Decimal(text) if len(text) <= MAX_DIGITS and "_" not in text else None
    except (InvalidOperation, ValueError):
        return None
    if amount is None or not amount.is_finite() or amount < 0 or (amount and amount.adjusted() >= MAX_EXPONENT):
        return None
    return amount


def read_currency(value: Any) -> str | None:
    """The currency code in upper case; None where it is not three letters.

    >>> read_currency("cny"), read_currency("RMB¥"), read_currency(156)
    ('CNY', None, None)
    """
    return value.upper() if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha() else None


@lru_cache(maxsize=10_000)
def minor_units(amount: Decimal, currency: str) -> int:
    """The amount in minor units, half to even.

    >>> minor_units(Decimal("398.00"), "CNY"), minor_units(Decimal("0.125"), "EUR"), minor_units(Decimal("0.5"), "JPY")
    (39800, 12, 0)
    """
    shifted = amount.scaleb(EXPONENTS.get(currency, 2), Context(prec=MAX_DIGITS + 10))
    return int(shifted.to_integral_value(ROUND_HALF_EVEN))
