"""What a simulated shop is told: traffic, funnel, faults of delivery, and incidents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.durations import parse_duration
from streams.errors import InputError

__all__ = ["FunnelSpec", "IncidentKind", "IncidentSpec", "ShopSpec", "parse_incident"]

IncidentKind = Literal[
    "payment_outage",
    "decline_rise",
    "payment_hang",
    "checkout_broken",
    "tracking_loss",
    "traffic_stop",
    "bots",
    "surge",
    "campaign",
    "drift",
    "silence",
]

DEFAULT_SEVERITY: Mapping[IncidentKind, float] = {
    "payment_outage": 0.95,
    "decline_rise": 0.3,
    "payment_hang": 0.8,
    "checkout_broken": 0.85,
    "tracking_loss": 1.0,
    "traffic_stop": 0.95,
    "bots": 1.5,
    "surge": 1.0,
    "campaign": 1.0,
    "drift": 0.35,
    "silence": 1.0,
}


@dataclass(frozen=True, slots=True)
class IncidentSpec:
    """One thing that goes wrong (or right) in ``[start_ms, end_ms)`` for the shoppers of ``segment``.

    ``severity`` is the share hit for what takes away (0..1) and the extra traffic, as a share of the usual, for
    what adds (``bots``, ``surge``, ``campaign``); None takes the usual of the kind. ``segment`` holds
    (dimension, value) pairs; ``tracking_loss`` also knows the pair ``event_type``, ``silence`` the pair ``topic``.
    """

    kind: IncidentKind
    start_ms: int
    end_ms: int
    segment: tuple[tuple[str, str], ...] = ()
    severity: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(IncidentKind):
            raise InputError(
                "no such kind of incident", key="incident", value=self.kind,
                way_out="use one of " + ", ".join(get_args(IncidentKind)),
            )  # fmt: skip
        if self.end_ms <= self.start_ms:
            raise InputError("an incident must end after it starts", key="incident.end_ms", value=self.end_ms)
        if self.strength < 0 or (self.strength > 1 and self.kind not in {"bots", "surge", "campaign"}):
            raise InputError("not a share", key="incident.severity", value=self.severity, way_out="use 0..1")

    @property
    def strength(self) -> float:
        """The severity, or the usual one of the kind."""
        return DEFAULT_SEVERITY[self.kind] if self.severity is None else self.severity


@dataclass(frozen=True, slots=True)
class FunnelSpec:
    """Probabilities of an average shopper, each given the step before; devices and channels lie around them."""

    bounce: float = 0.38
    product: float = 0.86
    cart: float = 0.18
    checkout: float = 0.52
    order: float = 0.80
    attempt: float = 0.97
    approve: float = 0.93
    soft_share: float = 0.65
    retry: float = 0.60
    slow_payment: float = 0.08
    """Share of payments that are answered minutes later, by the server alone."""


@dataclass(frozen=True, slots=True)
class ShopSpec:
    """A shop: the same spec gives the same records, whatever pieces they are asked for in.

    ``sessions_per_minute`` is the mean of a week; ``rhythm`` bends it by hour and weekday of ``time_zone`` (0 is
    flat, 1 the full shape), ``noise`` is the standard deviation of its slow wandering. ``duplicate_ratio`` and
    ``poison_ratio`` are shares of records, ``late_ratio`` is the share of sessions whose phone was offline;
    ``disorder_ms`` is the longest ordinary way from the shopper to the broker. Before ``opens_ms`` nobody came;
    None: the shop has always been there, and a span begins with sessions that are under way.
    """

    seed: int = 1
    sessions_per_minute: float = 300.0
    time_zone: str = "Asia/Shanghai"
    currency: str = "CNY"
    rhythm: float = 1.0
    noise: float = 0.02
    funnel: FunnelSpec = FunnelSpec()
    incidents: tuple[IncidentSpec, ...] = ()
    duplicate_ratio: float = 0.003
    poison_ratio: float = 0.0003
    late_ratio: float = 0.001
    disorder_ms: int = 4_000
    customers: int = 20_000
    click_topic: str = "clickstream"
    orders_topic: str = "orders"
    opens_ms: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sessions_per_minute < float("inf"):
            raise InputError(
                "a shop needs visitors", key="sessions_per_minute", value=self.sessions_per_minute, way_out="use > 0"
            )
        for name in ("duplicate_ratio", "poison_ratio", "late_ratio", "rhythm"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError("not a share", key=name, value=value, way_out="use 0..1")
        if self.disorder_ms < 0 or self.customers < 1:
            raise InputError("must not be negative", key="disorder_ms", value=self.disorder_ms)
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise InputError(
                "no such time zone", key="time_zone", value=self.time_zone, way_out="use a name like Asia/Shanghai"
            ) from error


def parse_incident(text: str, start_ms: int) -> IncidentSpec:
    """The incident of ``kind@+30m/10m[:dimension=value,...][*severity]``, counted from ``start_ms``.

    >>> parse_incident("checkout_broken@+30m/10m:device=ios*0.5", 0)
    IncidentSpec(kind='checkout_broken', start_ms=1800000, end_ms=2400000, segment=(('device', 'ios'),), severity=0.5)
    """
    matched = re.fullmatch(r"(\w+)@\+?([^/:*]+)/([^/:*]+)(?::([^*]+))?(?:\*([\d.]+))?", text)
    if matched is None:
        raise InputError(
            "not an incident", key="incident", value=text, way_out="write kind@+30m/10m[:dimension=value][*severity]"
        )
    kind, offset, length, segment, severity = matched.groups()
    pairs = [pair.partition("=") for pair in (segment or "").split(",") if pair]
    if any(not dimension or not value for dimension, _, value in pairs):
        raise InputError("not a segment", key="incident", value=text, way_out="write dimension=value after the colon")
    try:
        first_ms = start_ms + parse_duration(offset)
        last_ms = first_ms + parse_duration(length)
        share = float(severity) if severity else None
    except ValueError as error:
        raise InputError(str(error), key="incident", value=text) from error
    return IncidentSpec(
        kind=kind,  # type: ignore[arg-type]  # checked by the incident itself
        start_ms=first_ms,
        end_ms=last_ms,
        segment=tuple(sorted((dimension, value) for dimension, _, value in pairs)),
        severity=share,
    )
