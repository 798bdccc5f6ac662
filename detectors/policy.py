"""From scores to alerts: persistence, recovery with its own evidence, time-out, and a breaker for a wrong model."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from detectors.base import VerdictState

__all__ = ["Policy", "PolicySpec", "Standing"]


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """How alerts begin and end; lengths in windows.

    Parameters
    ----------
    needed, among
        An alert stands after scores of 1.0 and more in ``needed`` of the last ``among`` windows.
    suspect
        Score from which a window is told as suspect.
    release
        Score under which a window speaks for recovery, for detectors that give no ``calm`` evidence of their own.
    recovered
        Evidence for recovery, added up and never below zero, that ends an alert; nats, or calm windows.
    timeout
        Longest alert before it is taken as a lasting change.
    breaker_high, breaker_low, breaker_windows
        Share of windows in alarm, smoothed over ``breaker_windows``, from which the model counts as wrong, and
        under which it is trusted again.
    """

    needed: int = 1
    among: int = 1
    suspect: float = 0.75
    release: float = 0.5
    recovered: float = 4.0
    timeout: int = 240
    breaker_high: float = 0.4
    breaker_low: float = 0.05
    breaker_windows: int = 1440


class Standing(NamedTuple):
    """Where a series stands after a window; ``began``, ``ended``, ``timed_out``, ``broke`` tell this window's turns."""

    state: VerdictState
    active: bool
    since_ms: int | None
    began: bool = False
    ended: bool = False
    timed_out: bool = False
    broke: bool = False


class Policy:
    """The alert of one series.

    Examples
    --------
    >>> policy = Policy(PolicySpec(needed=2, among=3))
    >>> [policy.step(n, 1.2, since_ms=60_000 * n).active for n in (1, 2, 3)]
    [False, True, True]
    """

    def __init__(self, spec: PolicySpec | None = None) -> None:
        self.spec = spec or PolicySpec()
        self.hits: deque[int] = deque()
        self.since_ms: int | None = None
        self.began_at = 0
        self.back = 0.0
        self.share = 0.0
        self.unsure = False
        self.last = 0

    @property
    def quiet(self) -> bool:
        """Whether a calm window would change nothing but the fading of the past."""
        return self.since_ms is None and not self.unsure

    def step(
        self,
        number: int,
        score: float,
        since_ms: int,
        calm: float | None = None,
        *,
        hold: bool = False,
        accept: bool = False,
    ) -> Standing:
        """Take the score of window ``number`` (they may be skipped, never repeated).

        Parameters
        ----------
        since_ms
            Where the evidence of this window begins: the onset, should an alert begin now.
        calm
            Evidence of this window alone for recovery, in nats; None: told from the score.
        hold
            Do not take what is seen for a lasting change, however long it lasts: nothing at all is no new level.
        accept
            Take what is seen for a lasting change at once: somebody who knows has said so.
        """
        lasting = accept or number - self.began_at >= self.spec.timeout
        if not hold and self.since_ms is not None and lasting:
            return self._end(number, timed_out=True)
        alarmed = score >= 1.0
        self._fade(number, alarmed or self.since_ms is not None)
        if self.unsure:
            self.unsure = self.share > self.spec.breaker_low
            return Standing("unsure" if self.unsure else "calm", False, None)
        if self.share > self.spec.breaker_high:
            left = self._end(number)
            self.unsure = True
            return left._replace(state="unsure", ended=left.since_ms is not None, broke=True)
        if self.since_ms is not None:
            return self._stand(number, score, calm)
        return self._watch(number, score, since_ms, alarmed)

    def drop(self) -> None:
        """Forget the alert that stands, and the windows that led to it."""
        self.since_ms, self.back = None, 0.0
        self.hits.clear()

    def _watch(self, number: int, score: float, since_ms: int, alarmed: bool) -> Standing:
        if alarmed:
            self.hits.append(number)
        while self.hits and self.hits[0] <= number - self.spec.among:
            self.hits.popleft()
        if len(self.hits) >= self.spec.needed:
            self.hits.clear()
            self.since_ms, self.began_at, self.back = since_ms, number, 0.0
            return Standing("alert", True, since_ms, began=True)
        return Standing("suspect" if score >= self.spec.suspect else "calm", False, None)

    def _stand(self, number: int, score: float, calm: float | None) -> Standing:
        told = calm if calm is not None else (1.0 if score < self.spec.release else -1.0)
        self.back = max(0.0, self.back + told)
        if self.back >= self.spec.recovered:
            return self._end(number)
        return Standing("alert", True, self.since_ms)

    def _end(self, number: int, timed_out: bool = False) -> Standing:
        since, self.since_ms, self.back, self.last = self.since_ms, None, 0.0, number
        self.hits.clear()
        return Standing("calm", False, since, ended=True, timed_out=timed_out)

    def _fade(self, number: int, alarmed: bool) -> None:
        gap = max(1, number - self.last) if self.last else 1
        weight = 1 / self.spec.breaker_windows
        self.share *= math.exp(-gap * weight)
        self.share += weight if alarmed else 0.0
        self.last = number
