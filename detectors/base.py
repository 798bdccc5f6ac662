"""The contract: what a detector is shown, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, NamedTuple

from river.base import Base

__all__ = [
    "Blame",
    "BlameKind",
    "Detector",
    "Incident",
    "Observation",
    "Score",
    "SegmentKey",
    "Verdict",
    "VerdictKind",
    "VerdictState",
]

SegmentKey = tuple[tuple[str, str], ...]
VerdictState = Literal["warming_up", "calm", "suspect", "alert", "waiting", "unsure"]
VerdictKind = Literal["drop", "stop", "rise", "tracking", "silence", "bots", "drift"]

BlameKind = Literal["rate", "mix", "volume"]


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


class Score(NamedTuple):
    """What a detector thinks of one observation, given what it has learnt before it.

    ``score`` is 0 when calm and 1.0 at the border, and goes on growing with the evidence. ``expected``, ``lower`` and
    ``upper`` are in the unit of the observation's value. ``since_ms`` is the start of the stretch that the evidence
    comes from. ``calm`` is the evidence of this window alone that the shop is back to normal, in nats, negative
    where it still looks like the incident; None where the detector has no such notion.
    """

    score: float
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    since_ms: int | None = None
    kind: VerdictKind | None = None
    calm: float | None = None


class Detector(Base, ABC):  # type: ignore[misc]
    """A judge of one series: ``score_one`` looks, ``learn_one`` changes.

    A River estimator, so ``clone`` and ``_get_params`` work: keep every argument of ``__init__`` as an attribute of the
    same name. One detector holds one series; its windows come in order of end.
    """

    @abstractmethod
    def score_one(self, observation: Observation) -> Score:
        """The score of an observation; changes nothing, so asking twice gives the same answer."""

    @abstractmethod
    def learn_one(self, observation: Observation) -> None:
        """Take the observation into what is expected of the next ones."""


class Verdict(NamedTuple):
    """The judgement of one KPI in one segment and one window.

    ``score`` is 0 when calm and 1.0 at the border, it does not saturate. ``lower`` and ``upper`` bound what is
    expected. ``active`` says that the persisted verdict (an alert) stands; ``since_ms`` is its onset. ``smallest_drop``
    is the least share by which the value has to change, in the direction that hurts, to be told within ten windows;
    1.0 where it takes all of it, or more. None while nothing can be told.
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
    smallest_drop: float | None = None


class Blame(NamedTuple):
    """A segment and its share of a loss.

    ``kind`` is ``rate`` where the segment converts worse, ``mix`` where more (or less) of it came, and ``volume`` for
    a count that has no trials.
    """

    segment: SegmentKey
    share: float
    kind: BlameKind = "rate"


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
    orders_lost_low: float | None = None
    orders_lost_high: float | None = None
    attribution: tuple[Blame, ...] = ()
    """Segments by their share of the change, the largest first."""
    label: str | None = None
    """What an operator said of it (``incident``, ``expected``, ``new-normal``), or ``withdrawn``: what was learnt later
    explains it."""
