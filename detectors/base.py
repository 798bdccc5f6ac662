"""The contract: what a detector is shown, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["Incident", "Observation", "SegmentKey", "Verdict", "VerdictKind", "VerdictState"]

SegmentKey = tuple[tuple[str, str], ...]
VerdictState = Literal["warming_up", "calm", "suspect", "alert", "waiting", "unsure"]
VerdictKind = Literal["drop", "stop", "rise", "tracking", "silence", "bots", "drift"]


class Observation(NamedTuple):
    """One merged window as a detector sees it; ``value`` is None where the denominator is zero."""

    kpi: str
    segment: SegmentKey
    start_ms: int
    end_ms: int
    value: float | None
    successes: float
    trials: float | None
    """None for a volume KPI."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one KPI in one segment and one window.

    ``score`` is 0 when calm and 1.0 at the border, it does not saturate. ``lower`` and ``upper`` bound what is
    expected. ``active`` says that the persisted verdict (an alert) stands; ``since_ms`` is its onset.
    """

    kpi: str
    segment: SegmentKey
    start_ms: int
    end_ms: int
    state: VerdictState
    value: float | None
    successes: float
    trials: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    score: float
    active: bool
    since_ms: int | None
    kind: VerdictKind | None = None
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """The story of the verdicts that belong together; ``id`` is a function of onset and cause, never random."""

    id: str
    state: Literal["open", "ongoing", "recovered"]
    kind: VerdictKind
    kpis: tuple[str, ...]
    segments: tuple[SegmentKey, ...]
    onset_ms: int
    detected_ms: int
    updated_ms: int
    ended_ms: int | None
    summary: str
    orders_lost: float | None = None
    money_lost_minor: float | None = None
    currency: str | None = None
