"""What incidents do to shoppers and their records, and what a monitor is expected to see of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zlib import crc32

from streams.simulate.spec import IncidentKind, IncidentSpec

__all__ = ["Effects", "PaymentClimate", "label"]

TRACKED_BY = {
    "page_view": ("page_views",),
    "product_view": ("product_view_ratio", "add_to_cart_ratio"),
    "add_to_cart": ("add_to_cart_ratio", "cart_items"),
    "checkout_started": ("checkout_ratio",),
    "order_placed": ("order_placement_ratio", "order_conversion_ratio"),
    "payment_attempted": ("payment_answer_ratio",),
    "payment_succeeded": ("payment_success_ratio", "payment_completion_ratio", "orders"),
    "payment_failed": ("payment_success_ratio",),
}
EXPECTED: Mapping[IncidentKind, tuple[str, tuple[str, ...]]] = {
    "payment_outage": (
        "drop",
        ("payment_success_ratio", "payment_completion_ratio", "payment_conversion_ratio", "orders", "revenue"),
    ),
    "decline_rise": ("drop", ("payment_success_ratio", "payment_completion_ratio")),
    "payment_hang": (
        "drop",
        ("payment_answer_ratio", "payment_completion_ratio", "payment_conversion_ratio", "orders", "revenue"),
    ),
    "checkout_broken": ("drop", ("checkout_ratio", "order_conversion_ratio", "conversion_ratio", "orders")),
    "tracking_loss": ("tracking", ()),
    "traffic_stop": ("drop", ("sessions", "visitors", "page_views", "orders", "revenue")),
    "bots": ("bots", ("sessions", "add_to_cart_ratio", "conversion_ratio")),
    "surge": ("rise", ()),
    "campaign": ("rise", ()),
    "drift": ("drop", ("checkout_ratio", "order_conversion_ratio", "conversion_ratio", "orders")),
    "silence": ("silence", ("sessions", "orders")),
}
QUIET: frozenset[IncidentKind] = frozenset({"surge", "campaign"})
"""Nothing is broken: a page for them is a false one."""

LOSSES: frozenset[IncidentKind] = frozenset({"tracking_loss", "silence", "traffic_stop"})


class PaymentClimate(NamedTuple):
    """Chances at the moment of one attempt: it breaks, it is declined besides, it is never answered."""

    broken: float = 0.0
    declined: float = 0.0
    silent: float = 0.0


CALM = PaymentClimate()


class Effects:
    """The incidents of a shop, asked one question at a time.

    Nothing is drawn here: a share is decided by a hash of the session or event id, so that the numbers drawn by
    everybody else do not depend on incidents, and nothing before an incident depends on it.
    """

    def __init__(self, incidents: Iterable[IncidentSpec]) -> None:
        ordered = sorted(incidents, key=lambda one: (one.start_ms, one.kind, one.segment))
        self._payment = tuple(i for i in ordered if i.kind in {"payment_outage", "decline_rise", "payment_hang"})
        self._checkout = tuple(i for i in ordered if i.kind in {"checkout_broken", "drift"})
        self._losses = tuple(i for i in ordered if i.kind in LOSSES)
        self.crowds = tuple(i for i in ordered if i.kind in {"bots", "surge", "campaign"})

    def checkout(self, at_ms: int, dims: Mapping[str, str]) -> float:
        """Factor on the chance to get from the cart to the checkout."""
        factor = 1.0
        for incident in self._checkout:
            if touches(incident, at_ms, dims):
                part = (at_ms - incident.start_ms) / (incident.end_ms - incident.start_ms)
                factor *= 1 - incident.strength * (part if incident.kind == "drift" else 1.0)
        return factor

    def payment(self, at_ms: int, dims: Mapping[str, str]) -> PaymentClimate:
        """The climate of an attempt; ``dims`` holds the payment dimensions besides the session's."""
        if not self._payment:
            return CALM
        works, accepts, answers = 1.0, 1.0, 1.0
        for incident in self._payment:
            if touches(incident, at_ms, dims):
                rest = 1 - incident.strength
                if incident.kind == "payment_outage":
                    works *= rest
                elif incident.kind == "decline_rise":
                    accepts *= rest
                else:
                    answers *= rest
        return PaymentClimate(1 - works, 1 - accepts, 1 - answers)

    def losing(self, first_ms: int, last_ms: int) -> tuple[IncidentSpec, ...]:
        """Incidents that may take away records of ``[first_ms, last_ms]``; mostly none."""
        if not self._losses:
            return ()
        return tuple(i for i in self._losses if i.start_ms <= last_ms and i.end_ms > first_ms)


def touches(incident: IncidentSpec, at_ms: int, dims: Mapping[str, str]) -> bool:
    """Whether the incident is on at that moment for such a shopper."""
    return incident.start_ms <= at_ms < incident.end_ms and all(dims.get(k) == v for k, v in incident.segment)


def struck(incident: IncidentSpec, identity: str) -> bool:
    """Whether this session or event is in the share that an incident takes away."""
    return crc32(identity.encode()) < incident.strength * 2**32


def turned_away(incident: IncidentSpec, session: str, start_ms: int, dims: Mapping[str, str]) -> bool:
    """Whether a stop of traffic keeps a whole session from coming."""
    return incident.kind == "traffic_stop" and touches(incident, start_ms, dims) and struck(incident, session)


def lost(incident: IncidentSpec, event_id: str, at_ms: int, dims: Mapping[str, str]) -> bool:
    """Whether a record is lost on its way; ``dims`` holds ``event_type`` and ``topic`` besides."""
    return incident.kind != "traffic_stop" and touches(incident, at_ms, dims) and struck(incident, event_id)


def label(incident: IncidentSpec) -> dict[str, Any]:
    """The truth about an incident, for a backtest.

    ``verdict`` is the kind of finding a monitor should come to, ``kpis`` those that should tell it (any of them
    will do), ``page`` says whether it should page at all.
    """
    verdict, kpis = EXPECTED[incident.kind]
    segment = dict(incident.segment)
    if incident.kind == "tracking_loss":
        kpis = TRACKED_BY.get(segment.get("event_type", ""), ("page_views",))
    return {
        "kind": incident.kind,
        "verdict": verdict,
        "kpis": list(kpis),
        "segment": segment,
        "severity": incident.strength,
        "page": incident.kind not in QUIET,
        "announced": incident.kind == "campaign",
        "start_ms": incident.start_ms,
        "end_ms": incident.end_ms,
        "start": datetime.fromtimestamp(incident.start_ms / 1000, UTC).isoformat(),
        "end": datetime.fromtimestamp(incident.end_ms / 1000, UTC).isoformat(),
    }
