"""Which series the monitor watches and what each is to the others: causes, steps and pairs, as data."""

from __future__ import annotations

import math

from detectors.bank import Series
from detectors.base import SegmentKey
from detectors.delay import NEXT_STEP, SAME_WINDOW, WHOLE_FUNNEL
from detectors.fusion import Pair
from streams.kpis import STAGES, Kpi

__all__ = ["PAIRS", "RANKS", "rank_of", "series_of"]

RANKS = (
    "payment_answer_ratio",
    "payment_success_ratio",
    "order_placement_ratio",
    "checkout_ratio",
    "add_to_cart_ratio",
    "product_view_ratio",
    "payment_confirmation_ratio",
    "payment_completion_ratio",
    "payment_conversion_ratio",
    "order_conversion_ratio",
    "payment_overall_ratio",
    "conversion_ratio",
    "sessions",
    "bounce_ratio",
    "browse_depth",
    "dwell_seconds",
    "cart_abandonment_ratio",
    "page_views",
    "visitors",
    "cart_items",
    "orders",
)
"""Causes before their effects: of KPIs that fall together the first is the one to tell."""

PAIRS = (
    Pair("product_view_ratio", "add_to_cart_ratio", "tracking"),
    Pair("add_to_cart_ratio", "checkout_ratio", "tracking"),
    Pair("checkout_ratio", "order_placement_ratio", "tracking"),
    Pair("order_placement_ratio", "payment_conversion_ratio", "tracking"),
    Pair("order_conversion_ratio", "payment_conversion_ratio", "tracking"),
    Pair("order_conversion_ratio", "sessions", "bots"),
    Pair("conversion_ratio", "sessions", "bots"),
    Pair("product_view_ratio", "sessions", "bots"),
)
"""One cause behind two findings: an event type that is lost, or sessions that never buy."""


EVENT, SEGMENT_EVENT, SHARE_EVENT = 0.1, 0.04, 0.3
"""Standard deviation of what a campaign does to one step of the funnel, to a segment beside its whole, and to the share
of the shoppers that come by it."""

ECHO_BORDER = 1.5
"""What ends after a silence tells late of what others have told before, and a count that sessions and rates make up
tells what these do, by a shape of the day that is known less well: by itself either has to be surer."""

MADE_UP = ("visitors", "page_views", "cart_items", "orders", "revenue")
"""Counts that follow from sessions and from what shoppers do in them."""

PLACES = {
    "sessions": 0,
    "orders_placed": 4,
    "orders_paid": 5,
    **{f"reached.{name}": n + 1 for n, name in enumerate(STAGES)},
}
"""How far into the funnel a counter is."""


def series_of(kpi: Kpi, segment: SegmentKey, weight: float) -> Series:
    """The series of a KPI; ``weight`` is the size of one event in a sum of amounts."""
    inside = bool(set(kpi.numerator) & set(kpi.denominator or ()))
    share = bool(segment) and kpi.denominator is None
    return Series(
        kpi=kpi.name,
        segment=segment,
        volume=kpi.denominator is None and not share,
        hurts=1 if kpi.hurts == "up" else -1,
        kernel=_kernel(kpi, inside=inside or share),
        binomial=share or (kpi.unit == "ratio" and (inside or kpi.delay_ms > 0)),
        delay_ms=kpi.delay_ms,
        rank=rank_of(kpi.name),
        weight=weight,
        scale=kpi.scale,
        event=SHARE_EVENT if share else (SEGMENT_EVENT if segment else EVENT) * math.sqrt(_steps(kpi)),
        steps=_steps(kpi),
        border=ECHO_BORDER if kpi.delay_ms or kpi.name.partition(".")[0] in MADE_UP else 1.0,
        share=share,
    )


def _steps(kpi: Kpi) -> int:
    """How many steps of the funnel a ratio spans: each may be moved by a campaign."""
    places = [PLACES.get(counter) for counter in (kpi.numerator[0], (kpi.denominator or kpi.numerator)[0])]
    if kpi.delay_ms:
        return 2
    return max(1, abs(places[0] - places[1])) if places[0] is not None and places[1] is not None else 1


def rank_of(kpi: str) -> int:
    """How close a KPI is to a cause (low) or to an effect of others (high)."""
    return RANKS.index(kpi) if kpi in RANKS else len(RANKS)


def _kernel(kpi: Kpi, *, inside: bool) -> int:
    """How successes follow their trials to begin with; the delay is learnt where there can be one."""
    if kpi.unit != "ratio" or inside or kpi.delay_ms:
        return SAME_WINDOW
    return WHOLE_FUNNEL if kpi.denominator == ("sessions",) and kpi.name != "product_view_ratio" else NEXT_STEP
