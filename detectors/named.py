"""One series judged by a detector of the registry: guard, policy, freeze, and a fresh start when it was wrong."""

from __future__ import annotations

from dataclasses import replace

from detectors.base import Observation, Score, Verdict, VerdictKind, VerdictState
from detectors.guard import Guard
from detectors.incidents import Alert
from detectors.policy import Policy, PolicySpec, Standing
from detectors.registry import create

__all__ = ["NamedJudge"]


class NamedJudge:
    """A KPI of the whole under a named detector, in place of the scan.

    Parameters
    ----------
    name
        A detector of ``registry.names()``, or one behind its guard.
    hurts
        The side that counts.
    warm_up
        Usable windows before the first verdict.
    policy
        How alerts begin and end.

    Examples
    --------
    >>> judge = NamedJudge("threshold", "down", 0, PolicySpec())
    >>> verdict, alert = judge.observe(Observation("checkout_ratio", (), 0, 60_000, 0.1, 10, 100))
    >>> verdict.state, alert.kind, alert.onset_ms
    ('alert', 'drop', 0)
    """

    def __init__(self, name: str | Guard, hurts: str, warm_up: int, policy: PolicySpec) -> None:
        self.hurts = hurts
        self.guard = name if isinstance(name, Guard) else create(name, warm_up=warm_up, hurts=hurts)
        self.policy = Policy(policy)
        self.number = 0
        self.worst: tuple[float, Score, float] | None = None

    def observe(
        self, observation: Observation, unit: str = "ratio", rank: int = 50, ruling: str | None = None
    ) -> tuple[Verdict, Alert | None]:
        """The verdict on a window, and the alert where one stands or ends; then learn, unless one stands.

        Parameters
        ----------
        observation
            The window.
        unit, rank
            For the alert.
        ruling
            What is known of the alert from outside: ``held`` (no lasting change), ``accepted`` (one), ``pardoned``
            (no alert).
        """
        self.number += 1
        readiness = self.guard.readiness(observation)
        score = self.guard.score_one(observation)
        standing = Standing("calm", self.policy.since_ms is not None, self.policy.since_ms)
        if ruling == "pardoned":
            self.policy.drop()
            self.worst, standing = None, Standing("calm", False, None)
        elif readiness == "ready":
            standing = self.policy.step(
                self.number, score.score, observation.start_ms, hold=ruling == "held", accept=ruling == "accepted"
            )
        state: VerdictState = standing.state if readiness == "ready" else readiness
        kind: VerdictKind = "rise" if self.hurts == "up" else "stop" if observation.successes == 0 else "drop"
        alert = self._alert(observation, score, standing, kind)
        if alert is not None:
            alert = replace(alert, unit=unit, rank=rank)
        self._learn(observation, standing)
        return self._verdict(observation, score, standing, state, kind), alert

    def _alert(self, observation: Observation, score: Score, standing: Standing, kind: VerdictKind) -> Alert | None:
        if not (standing.active or standing.ended):
            return None
        if self.worst is None or score.score > self.worst[0]:
            self.worst = (score.score, score, observation.value or 0.0)
        strength, worst, value = self.worst
        if not standing.active:
            self.worst = None
        return Alert(
            kpi=observation.kpi,
            segment=observation.segment,
            kind="drift" if standing.timed_out else kind,
            onset_ms=standing.since_ms if standing.since_ms is not None else observation.start_ms,
            active=standing.active,
            score=strength,
            expected=worst.expected,
            observed=value,
        )

    def _verdict(
        self, observation: Observation, score: Score, standing: Standing, state: VerdictState, kind: VerdictKind
    ) -> Verdict:
        loud = state in {"alert", "suspect"}
        told = f"{observation.value} where {score.expected} was expected" if loud else ""
        return Verdict(
            kpi=observation.kpi,
            segment=observation.segment,
            start_ms=observation.start_ms,
            end_ms=observation.end_ms,
            state=state,
            value=observation.value,
            successes=observation.successes,
            trials=observation.trials,
            expected=score.expected,
            lower=score.lower,
            upper=score.upper,
            score=score.score,
            active=standing.active,
            since_ms=standing.since_ms if standing.active else None,
            kind=kind if loud else None,
            explanation=told,
        )

    def _learn(self, observation: Observation, standing: Standing) -> None:
        if standing.timed_out or standing.broke:
            # What it learnt is not true any more, or never was.
            self.guard = self.guard.clone()
        if standing.active:
            self.guard.skip_one(observation)
        else:
            self.guard.learn_one(observation)
