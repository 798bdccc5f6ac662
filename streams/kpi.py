"""A KPI: one formula over the counters of a row, and the vocabulary of counters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from streams.engine.rows import Row, Segment
from streams.engine.spec import DAY_MS, HOUR_MS, MINUTE_MS, EngineSpec
from streams.events import REASONS, STAGES

__all__ = [
    "PAID_CHANNELS",
    "STAGES",
    "Hurts",
    "Kpi",
    "counter_kinds",
    "counters_of",
    "dimension_kinds",
    "horizon_label",
    "known_counters",
    "minor_exponent",
]

PAID_CHANNELS = (
    "sem",
    "cpc",
    "ppc",
    "paid_search",
    "paid_social",
    "paid_video",
    "paid_shopping",
    "display",
    "affiliate",
    "ads",
)
"""Channels whose sessions are bought, unless the configuration names others."""

Hurts = Literal["down", "up"]

_SESSION: frozenset[str] = frozenset({"session"})
_PRODUCT: frozenset[str] = frozenset({"session", "product"})
_ORDER: frozenset[str] = frozenset({"session", "payment"})
_WHOLE: frozenset[str] = frozenset()

_CART_FATES = ("opened", "idle", "resumed", "converted", "recovered", "kept", "abandoned", "emptied")
_KINDS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("sessions", "page_views", "list_views", "cart_removes", "visitors"), _SESSION),
    **dict.fromkeys(("product_views", "cart_adds", "cart_items"), _PRODUCT),
    **dict.fromkeys(("sessions_ended", "bounces", "ended_page_views", "ended_dwell_ms"), _SESSION),
    **dict.fromkeys((f"carts_{what}" for what in _CART_FATES), _SESSION),
    # An order is seldom placed with a method known: dividing by it per method would compare two populations.
    "orders_placed": _SESSION,
    **dict.fromkeys((f"orders_{what}" for what in ["attempted", "paid", "cancelled", "refunded", "orphan"]), _ORDER),
    **dict.fromkeys(
        ("payment_attempts", "payments_succeeded", "payments_declined_soft", "payments_declined_hard"), _ORDER
    ),
    **dict.fromkeys(("orders_new", "orders_repeat", "orders_known_user"), _SESSION),
    **dict.fromkeys(("ad_impressions", "ad_clicks"), _SESSION),
    **dict.fromkeys(("duplicates", "behind_watermark", "late", "clamped", "sessions_paid"), _WHOLE),
}
_FAMILIES: tuple[tuple[re.Pattern[str], frozenset[str], str], ...] = (
    (re.compile(rf"(reached|implied)\.({'|'.join(STAGES)})"), _SESSION, "reached.<stage>"),
    (re.compile(r"(orders_valued|revenue_minor|refund_minor)\.[A-Z]{3}"), _ORDER, "revenue_minor.<CUR>"),
    (re.compile(r"ad_spend_minor\.[A-Z]{3}"), _SESSION, "ad_spend_minor.<CUR>"),
    (re.compile(rf"cohort\.(sessions|{'|'.join(STAGES)})@(\d+[smhd])"), _SESSION, "cohort.<stage>@<horizon>"),
    (re.compile(rf"rejected\.({'|'.join(REASONS)})"), _WHOLE, "rejected.<reason>"),
    (re.compile(r"field_defects\.[a-z_]+"), _WHOLE, "field_defects.<field>"),
)
_UNIT_MS = {"s": 1000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}

# ISO 4217 minor units that are not 2.
_EXPONENTS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def minor_exponent(currency: str) -> int:
    """Digits behind the decimal point of a currency by ISO 4217; 2 where it is unknown.

    >>> minor_exponent("CNY"), minor_exponent("JPY"), minor_exponent("KWD")
    (2, 0, 3)
    """
    return _EXPONENTS.get(currency, 2)


def horizon_label(horizon_ms: int) -> str:
    """A horizon in its largest whole unit, as cohort counters carry it.

    >>> horizon_label(900_000), horizon_label(3_600_000), horizon_label(90_000)
    ('15m', '1h', '90s')
    """
    for unit in ("d", "h", "m", "s"):
        if horizon_ms % _UNIT_MS[unit] == 0:
            return f"{horizon_ms // _UNIT_MS[unit]}{unit}"
    return f"{horizon_ms}ms"


def known_counters() -> tuple[str, ...]:
    """Every counter's name; a family as its pattern (``reached.<stage>``)."""
    return (
        *_KINDS,
        *(shape for _, _, shape in _FAMILIES),
        *(f"{how}.{stage}" for how in ("reached", "implied") for stage in STAGES),
    )


def counter_kinds(counter: str) -> frozenset[str] | None:
    """Kinds of dimension a counter is kept for; empty is "whole only", None is "no such counter".

    >>> sorted(counter_kinds("payments_succeeded"))
    ['payment', 'session']
    >>> counter_kinds("late"), counter_kinds("latte")
    (frozenset(), None)
    """
    known = _KINDS.get(counter)
    if known is not None:
        return known
    return next((kinds for pattern, kinds, _ in _FAMILIES if pattern.fullmatch(counter)), None)


@dataclass(frozen=True, slots=True)
class Kpi:
    """A formula over counters.

    Parameters
    ----------
    name
        Unique, lower case; a family member carries its currency or horizon behind it (``revenue.CNY``).
    numerator, denominator
        Counters to add; one written ``-name`` is subtracted. No denominator: a volume.
    unit
        ``ratio``, ``count``, ``seconds``, ``pages``, or the ISO code of a currency (major units).
    hurts
        The direction that costs money; None where neither does by itself.
    delay_ms
        How long after the cause the counters move: subtracted when the onset of an incident is told.
    min_window_ms
        Shortest window in which the figure means something; 0 where any does, seconds too.
    scale
        Multiplies the value (not the counts): seconds from milliseconds, major from minor units.
    horizon_ms
        Set for a cohort KPI: it is formed over cohort rows of this horizon.
    word, help
        The term analysts use for it in Chinese, and one sentence.

    Examples
    --------
    >>> kpi = Kpi("payment_success_ratio", ("payments_succeeded",), ("payments_succeeded", "payments_declined_hard"))
    >>> kpi.value({"payments_succeeded": 9, "payments_declined_hard": 1})
    0.9
    >>> kpi.value({}) is None
    True
    """

    name: str
    numerator: tuple[str, ...]
    denominator: tuple[str, ...] | None = None
    unit: str = "count"
    hurts: Hurts | None = None
    delay_ms: int = 0
    min_window_ms: int = 0
    scale: float = 1.0
    word: str = ""
    help: str = ""
    currency: str | None = None
    horizon_ms: int | None = None
    kinds: frozenset[str] = field(init=False)
    plain: tuple[str | None, str | None] = field(init=False, repr=False, compare=False)
    """Numerator and denominator, where they are one counter."""

    def __post_init__(self) -> None:
        shared = frozenset(("session", "payment", "product"))
        for term in (*self.numerator, *(self.denominator or ())):
            shared &= counter_kinds(term.removeprefix("-")) or _WHOLE
        object.__setattr__(self, "kinds", shared)
        object.__setattr__(self, "plain", (_plain(self.numerator), _plain(self.denominator or ())))

    def counts(self, counters: Mapping[str, float]) -> tuple[float, float | None]:
        """Successes and trials, unscaled; trials is None for a volume. An absent counter is zero."""
        top, base = self.plain
        successes = _total(self.numerator, counters) if top is None else counters.get(top, 0)
        if base is not None:
            return successes, counters.get(base, 0)
        return successes, None if self.denominator is None else _total(self.denominator, counters)

    def value(self, counters: Mapping[str, float]) -> float | None:
        """The figure in its unit; None where the denominator is zero."""
        successes, trials = self.counts(counters)
        if trials is None:
            return successes * self.scale
        return None if trials == 0 else successes / trials * self.scale

    def may_split(self, segment: Segment, kinds: Mapping[str, str]) -> bool:
        """Whether the figure may be formed for a segment; ``kinds`` is ``dimension_kinds(spec)``.

        >>> kinds = {"device": "session", "payment_provider": "payment"}
        >>> overall = Kpi("payment_overall_ratio", ("orders_paid",), ("orders_placed",))
        >>> [overall.may_split(((dimension, "x"),), kinds) for dimension in kinds]
        [True, False]
        """
        return all(kinds.get(dimension, "session") in self.kinds for dimension, _ in segment)

    @property
    def formula(self) -> str:
        """The formula as one line of text.

        >>> Kpi("a", ("x", "-y"), ("z", "w")).formula
        '(x - y) / (z + w)'
        """
        top = _sum_text(self.numerator)
        if self.denominator is None:
            return top
        return f"{_bracket(top)} / {_bracket(_sum_text(self.denominator))}"


def dimension_kinds(spec: EngineSpec) -> dict[str, str]:
    """The kind of each configured dimension: ``session``, ``payment`` or ``product``.

    >>> dimension_kinds(EngineSpec())["payment_provider"]
    'payment'
    """
    return {
        **dict.fromkeys(spec.product_dimensions, "product"),
        **dict.fromkeys(spec.payment_dimensions, "payment"),
        **dict.fromkeys(spec.session_dimensions, "session"),
    }


def counters_of(
    row: Row, rows: Mapping[Segment, Row] | None = None, paid_channels: Sequence[str] = PAID_CHANNELS
) -> dict[str, float]:
    """What formulas are evaluated on: the row's counters, its visitors and, of the whole, ``sessions_paid``.

    ``sessions_paid`` is the sum over the paid channels of the same window, so it needs that window's ``rows``.

    >>> sem = Row("window", 0, 60_000, (("channel", "sem"),), None, {"sessions": 3}, "f")
    >>> whole = Row("window", 0, 60_000, (), None, {"sessions": 12}, "f", visitors=11.0)
    >>> counters_of(whole, {(): whole, sem.segment: sem})
    {'sessions': 12, 'visitors': 11.0, 'sessions_paid': 3}
    """
    told: dict[str, float] = dict(row.counters)
    if row.visitors is not None:
        told["visitors"] = row.visitors
    if rows is not None and not row.segment:
        paid = (rows.get((("channel", name),)) for name in paid_channels)
        told["sessions_paid"] = sum(each.counters.get("sessions", 0) for each in paid if each is not None)
    return told


def _plain(terms: tuple[str, ...]) -> str | None:
    return terms[0] if len(terms) == 1 and terms[0][0] != "-" else None


def _total(terms: tuple[str, ...], counters: Mapping[str, float]) -> float:
    total: float = 0
    for term in terms:
        if term[0] == "-":
            total -= counters.get(term[1:], 0)
        else:
            total += counters.get(term, 0)
    return total


def _sum_text(terms: tuple[str, ...]) -> str:
    text = " ".join(f"- {term[1:]}" if term[0] == "-" else f"+ {term}" for term in terms)
    return text.removeprefix("+ ")


def _bracket(text: str) -> str:
    return f"({text})" if " " in text else text
