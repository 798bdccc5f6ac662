"""Which alerts may have one cause: those of one step of the funnel and what lies behind it, at nearly one time."""

from __future__ import annotations

from typing import Literal

from detectors.base import VerdictKind

__all__ = ["CLOSE_MS", "EFFECT_MS", "Kin", "kin"]

CLOSE_MS = 5 * 60_000
"""Two steps that fail this close to each other fail together: a broken site fails in several."""

EFFECT_MS = 10 * 60_000
"""How far the onset that an effect tells may lie from that of its cause, where the effect is told first."""

STEP_OF = {
    "sessions": "visit",
    "visitors": "visit",
    "product_view_ratio": "product",
    "add_to_cart_ratio": "cart",
    "checkout_ratio": "checkout",
    "order_placement_ratio": "order",
    "payment_answer_ratio": "payment",
    "payment_success_ratio": "payment",
    "payment_confirmation_ratio": "payment",
    "payment_completion_ratio": "payment",
    "payment_conversion_ratio": "payment",
    "payment_overall_ratio": "payment",
}
"""KPIs of a single step; all others are moved by trouble in several and tell effects."""

PASSED = {
    "page_views": {"visit", "product"},
    "cart_items": {"visit", "product", "cart"},
    "order_conversion_ratio": {"product", "cart", "checkout", "order"},
}
"""The steps that move an effect, where those are not all."""

Kin = Literal["same", "effect", "cause", "apart"]


def kin(head: tuple[str, VerdictKind], other: tuple[str, VerdictKind]) -> Kin:
    """How an alert (``other``) relates to the one that an incident is named after: its step, its effect, its cause.

    >>> kin(("checkout_ratio", "drop"), ("payment_success_ratio", "drop"))
    'apart'
    >>> kin(("checkout_ratio", "drop"), ("orders", "drop"))
    'effect'
    >>> kin(("dwell_seconds", "drop"), ("payment_success_ratio", "stop"))
    'cause'
    """
    (name, kind), (other_name, other_kind) = head, other
    if "silence" in {kind, other_kind} or (kind == other_kind and kind in {"tracking", "bots"}):
        return "same"
    if kind in {"tracking", "bots"} and other_name not in STEP_OF:
        return "effect"
    step, other_step = STEP_OF.get(name), STEP_OF.get(other_name)
    if step is None and other_step is None:
        return "effect"
    if step is None:
        return "cause" if other_step in PASSED.get(name, {other_step}) else "apart"
    if other_step is None:
        return "effect" if step in PASSED.get(other_name, {step}) else "apart"
    return "same" if step == other_step else "apart"
