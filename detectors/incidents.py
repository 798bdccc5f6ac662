"""Alerts that belong together become one incident with a name, an onset and one sentence."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from detectors.base import Blame, Incident, SegmentKey, VerdictKind
from detectors.kinship import CLOSE_MS, EFFECT_MS, kin

__all__ = ["Alert", "IncidentBook", "Step", "sentence"]

KIND_ORDER: tuple[VerdictKind, ...] = ("silence", "tracking", "bots", "stop", "drop", "rise", "drift")
NAMED = 2
"""Segments that the sentence names at most; the others are in the incident's attribution."""

LARGE, MOSTLY = 0.25, 0.5
"""Share of a loss that each named segment must have, and all of them together."""

MEMORY_MS = 24 * 3_600_000
"""How long a recovered incident can take in what its delayed KPIs tell later."""


class Step(NamedTuple):
    """A step of the funnel, by the stages on both sides, and its share of a change."""

    early: str
    later: str
    share: float


@dataclass(frozen=True, slots=True)
class Alert:
    """A persisted verdict as an incident sees it at one window.

    ``onset_ms`` has the KPI's delay subtracted. ``expected`` and ``observed`` are values since the onset, in
    ``unit``; ``rank`` tells how close the KPI is to a cause (low) or to an effect of others (high).
    """

    kpi: str
    segment: SegmentKey
    kind: VerdictKind
    onset_ms: int
    active: bool
    score: float
    expected: float | None
    observed: float | None
    unit: str = "ratio"
    rank: int = 0
    orders_lost: tuple[float, float, float] | None = None
    """Best guess, low and high."""
    attribution: tuple[Blame, ...] = ()
    step: Step | None = None
    """Of a ratio over several steps that at which most was lost."""
    delay_ms: int = 0
    """The KPI's delay: what it tells at a window's end happened this much earlier."""


@dataclass(slots=True)
class _Story:
    id: str
    onset_ms: int
    detected_ms: int
    members: dict[tuple[str, SegmentKey], Alert] = field(default_factory=dict)
    ended_ms: int | None = None
    last_ms: int = 0
    """When the latest of its ended alerts ended in truth, the KPI's delay subtracted."""

    def leave(self, alert: Alert, end_ms: int) -> None:
        """Take note that a member does not stand any more."""
        known = self.members.get((alert.kpi, alert.segment), alert)
        where, step = alert.attribution or known.attribution, alert.step or known.step
        self.members[alert.kpi, alert.segment] = replace(alert, active=False, attribution=where, step=step)
        self.last_ms = max(self.last_ms, self.detected_ms, end_ms - alert.delay_ms)

    def holds(self, alert: Alert) -> bool:
        """Whether this very series, or the whole of its KPI, is a member already."""
        return (alert.kpi, alert.segment) in self.members or (alert.kpi, ()) in self.members

    def moves(self, alert: Alert, end_ms: int) -> bool:
        """Whether the evidence of an effect is of this incident's time, though it may reach back to before its onset.

        Any of it while the incident is open: a slow loss shows in what it moves hours later. Behind its end, most.
        """
        until = end_ms - alert.delay_ms
        shared = min(until, until if self.ended_ms is None else self.ended_ms) - max(alert.onset_ms, self.onset_ms)
        return shared > 0 if self.ended_ms is None else 2 * shared >= until - alert.onset_ms

    def distance(self, alert: Alert) -> tuple[bool, int, int]:
        """How far an alert is from this incident: members are nearest, then onsets, then the latest incident."""
        return not self.holds(alert), abs(alert.onset_ms - self.onset_ms), -self.detected_ms

    def headline(self) -> Alert:
        """The alert that tells the cause: worst kind, whole before segment, cause before effect, most evidence."""
        return min(
            self.members.values(),
            key=lambda one: (
                KIND_ORDER.index(one.kind) if one.kind in {"silence", "tracking", "bots"} else 9,
                len(one.segment),
                # Nothing arrives: that is told by a count, not by a share of nothing.
                one.kind == "silence" and one.unit == "ratio",
                one.rank,
                -one.score,
                one.kpi,
                one.segment,
            ),
        )


class IncidentBook:
    """Open incidents; a function of the alerts it was told, in order.

    Parameters
    ----------
    zone, currency, minor_digits
        For the sentence, and for the money lost: digits behind the point of the currency's major unit.
    join_ms
        Alerts that begin within this time of an incident's detection belong to it.
    """

    def __init__(
        self, zone: ZoneInfo, currency: str | None = None, join_ms: int = 30 * 60_000, minor_digits: int = 2
    ) -> None:
        self.zone, self.currency, self.join_ms, self.minor_digits = zone, currency, join_ms, minor_digits
        self._stories: list[_Story] = []

    def update(self, end_ms: int, alerts: Sequence[Alert], order_value_minor: float | None = None) -> list[Incident]:
        """The incidents that changed with the window ending at ``end_ms``.

        Parameters
        ----------
        alerts
            Those that stand, and those that ended with this window (``active`` false).
        order_value_minor
            Usual value of an order, to tell lost money from lost orders.
        """
        changed: dict[str, Literal["open", "ongoing", "recovered"]] = {}
        for alert in sorted(alerts, key=lambda one: (one.rank, len(one.segment), one.kpi, one.segment)):
            story = self._find(alert, end_ms)
            if story is None:
                if not alert.active:
                    continue
                story = _Story(_identity(alert), alert.onset_ms, end_ms)
                self._stories.append(story)
                changed[story.id] = "open"
            if alert.active:
                story.members[alert.kpi, alert.segment] = alert
                story.ended_ms = None
            else:
                story.leave(alert, end_ms)
            changed.setdefault(story.id, "ongoing")
        standing = {(one.kpi, one.segment) for one in alerts if one.active}
        told = []
        for story in self._stories:
            for gone in [one for key, one in story.members.items() if one.active and key not in standing]:
                story.leave(gone, end_ms)
                changed.setdefault(story.id, "ongoing")
            if story.id not in changed:
                continue
            if story.ended_ms is None and not any(one.active for one in story.members.values()):
                story.ended_ms = story.last_ms
                changed[story.id] = "recovered"
            elif story.ended_ms is not None:
                continue
            told.append(self._tell(story, changed[story.id], end_ms, order_value_minor))
        self._stories = [one for one in self._stories if one.ended_ms is None or end_ms - one.ended_ms < MEMORY_MS]
        return told

    def _find(self, alert: Alert, end_ms: int) -> _Story | None:
        key = (alert.kpi, alert.segment)
        for story in self._stories:
            if story.ended_ms is None and key in story.members and story.members[key].active:
                return story
        if not alert.active:
            return None
        fitting = [story for story in self._stories if self._belongs(alert, story, end_ms)]
        return min(fitting, key=lambda story: story.distance(alert), default=None)

    def _belongs(self, alert: Alert, story: _Story, end_ms: int) -> bool:
        """Whether an alert that begins is part of an incident: its kin, and of its time."""
        if story.ended_ms is None and story.holds(alert):
            return True
        head = story.headline()
        kind = kin((head.kpi, head.kind), (alert.kpi, alert.kind))
        apart = abs(alert.onset_ms - story.onset_ms)
        if kind in {"apart", "cause"}:
            return apart <= (CLOSE_MS if kind == "apart" else EFFECT_MS)
        # A delayed KPI tells of an incident when that may be over: its onset, set back, lies inside.
        latest = story.onset_ms + self.join_ms if story.ended_ms is None else story.ended_ms
        inside = story.onset_ms - CLOSE_MS <= alert.onset_ms <= latest
        fresh = story.ended_ms is None and end_ms - story.detected_ms <= self.join_ms
        known = story.ended_ms is None and any(kpi == alert.kpi for kpi, _ in story.members)
        moved = kind == "effect" and story.moves(alert, end_ms)
        return inside or fresh or moved or (known and alert.onset_ms <= latest)

    def _amount(self, minor: int | None) -> str:
        """Money for the sentence; empty where it is not known."""
        return f"{minor / 10**self.minor_digits:,.0f} {self.currency}" if minor is not None and self.currency else ""

    def _tell(
        self, story: _Story, state: Literal["open", "ongoing", "recovered"], end_ms: int, value: float | None
    ) -> Incident:
        head = story.headline()
        lost = head.orders_lost
        money = None if lost is None or value is None else round(lost[0] * value)
        return Incident(
            id=story.id,
            state=state,
            kind=head.kind,
            kpis=tuple(sorted({kpi for kpi, _ in story.members})),
            segments=tuple(sorted({segment for _, segment in story.members if segment})),
            onset_ms=story.onset_ms,
            detected_ms=story.detected_ms,
            updated_ms=end_ms,
            ended_ms=story.ended_ms,
            summary=sentence(head, story.onset_ms, self.zone, lost, self._amount(money)),
            orders_lost=None if lost is None else round(lost[0], 1),
            money_lost_minor=money,
            currency=self.currency if money is not None else None,
            orders_lost_low=None if lost is None else round(lost[1], 1),
            orders_lost_high=None if lost is None else round(lost[2], 1),
            attribution=head.attribution,
        )


def sentence(
    alert: Alert, onset_ms: int, zone: ZoneInfo, lost: tuple[float, float, float] | None = None, money: str = ""
) -> str:
    """One line for a pager: what fell, from what to what, since when, where the loss sits, and what it costs.

    >>> where = (Blame((("device", "ios"), ("payment_method", "alipay")), 0.88),)
    >>> alert = Alert("payment_success_ratio", (), "drop", 0, True, 2.0, 0.931, 0.714, attribution=where)
    >>> told = sentence(alert, 50_520_000, ZoneInfo("UTC"), (120.4, 90.0, 150.0), "23,900 CNY")
    >>> for part in told.split("; "):
    ...     print(part)
    payment success 93.1 % → 71.4 % since 14:02
    88 % of the loss is device=ios × payment_method=alipay (rate)
    about 120 orders, 23,900 CNY lost
    """
    name = alert.kpi.partition("@")[0].replace(".", " ").removesuffix("_ratio").replace("_", " ")
    where = " in " + ", ".join(f"{key}={value}" for key, value in alert.segment) if alert.segment else ""
    since = datetime.fromtimestamp(onset_ms / 1000, zone).strftime("%H:%M")
    prefix = {
        "silence": "no events arrive: ",
        "tracking": "tracking loss: ",
        "bots": "bots dilute the rates: ",
        "drift": "lasting change taken as the new normal: ",
    }.get(alert.kind, "")
    change = f" {figure(alert.expected, alert.unit)} → {figure(alert.observed, alert.unit)} since {since}"
    if alert.step is not None and alert.step.share >= MOSTLY:
        early, later, share = alert.step
        change += f", {100 * min(share, 1.0):.0f} % of it between {early} and {later}"
    cost = ""
    if lost is not None and lost[0] >= 1:
        cost = f"; about {lost[0]:.0f} orders{', ' if money else ''}{money} lost"
    return f"{prefix}{name}{where}{change}{_located(alert)}{cost}"


def _located(alert: Alert) -> str:
    """The largest segments of a loss with their share; empty where they are not most of it."""
    named = [one for one in alert.attribution[:NAMED] if one.share >= LARGE and one.segment != alert.segment]
    if sum(one.share for one in named) < MOSTLY:
        return ""
    of = "the rise" if alert.kind == "rise" else "the loss"
    first, *others = (
        (f"{100 * one.share:.0f} %", " × ".join(f"{key}={value}" for key, value in one.segment) + f" ({one.kind})")
        for one in named
    )
    return f"; {first[0]} of {of} is {first[1]}" + "".join(f", {share} {where}" for share, where in others)


def figure(value: float | None, unit: str) -> str:
    """A value with its unit, short enough for a pager.

    >>> figure(0.0712, "ratio"), figure(1234.5, "count"), figure(12.34, "CNY"), figure(None, "ratio")
    ('7.1 %', '1234 a minute', '12.3 CNY', 'none')
    """
    if value is None or not math.isfinite(value):
        return "none"
    if unit == "ratio":
        return f"{100 * value:.1f} %"
    if unit == "count":
        return f"{value:.0f} a minute" if value >= 20 else f"{value:.1f} a minute"
    return f"{value:.1f} {unit}"


def _identity(alert: Alert) -> str:
    """A function of onset and cause, so that a rebuilt state gives the incident the same name."""
    told = f"{alert.onset_ms}|{alert.kpi}|{alert.segment}|{alert.kind}"
    return hashlib.blake2b(told.encode(), digest_size=6).hexdigest()
