"""River's own detectors behind the contract: scores of our own over their statistics, so that none saturates."""

from __future__ import annotations

import copy
import math
from datetime import UTC, datetime
from typing import Literal

from river import anomaly, drift, linear_model, optim, preprocessing, stats

from detectors.base import Detector, Observation, Score

__all__ = ["AdwinDetector", "GaussianDetector", "HalfSpaceTreesDetector", "PredictiveDetector", "ThresholdDetector"]

BORDER_SD = 4.5
"""Standard deviations that are a score of 1.0: about one false page a week for a normal series of minutes."""

TINY = 1e-9
SETTLED = 30
"""Windows in which a regression finds its level; their errors say nothing about the later ones."""


class _Valued(Detector):
    """A detector of the value alone, with the side that hurts."""

    def __init__(self, hurts: Literal["down", "up"] = "down") -> None:
        self.hurts = hurts

    def learn_one(self, observation: Observation) -> None:
        """Take the value in, where there is one."""
        if observation.value is not None and math.isfinite(observation.value):
            self._learn(observation.value, observation)

    def _learn(self, value: float, observation: Observation) -> None:
        raise NotImplementedError

    def _judge(self, value: float | None, expected: float, deviation: float) -> Score:
        """The one-sided distance in standard deviations over the border."""
        if value is None or not math.isfinite(value):
            return Score(0.0)
        # A constant history has no spread: a thousandth of its level keeps one tick from being infinitely odd.
        deviation = max(deviation, abs(expected) * 1e-3, TINY)
        gap = expected - value if self.hurts == "down" else value - expected
        band = BORDER_SD * deviation
        return Score(max(0.0, gap / band), expected, expected - band, expected + band)


class GaussianDetector(_Valued):
    """River's ``GaussianScorer``: its normal distribution, but the distance in place of the saturating tail area."""

    def __init__(self, hurts: Literal["down", "up"] = "down") -> None:
        super().__init__(hurts)
        self.scorer = anomaly.GaussianScorer(grace_period=1)

    def score_one(self, observation: Observation) -> Score:
        """Distance from the mean of all that was learnt."""
        normal = self.scorer.gaussian
        if normal.n_samples < 2:
            return Score(0.0)
        return self._judge(observation.value, normal.mu, normal.sigma)

    def _learn(self, value: float, observation: Observation) -> None:
        self.scorer.learn_one(None, value)


class PredictiveDetector(_Valued):
    """River's ``PredictiveAnomalyDetection`` over a regression on the hour and the last values.

    The stock ``score_one`` changes its statistics and stops at 1.0; here the error is judged by statistics that are
    learnt in ``learn_one`` only.
    """

    def __init__(self, hurts: Literal["down", "up"] = "down") -> None:
        super().__init__(hurts)
        model = preprocessing.StandardScaler() | linear_model.LinearRegression(optim.SGD(0.01))
        self.predictive = anomaly.PredictiveAnomalyDetection(model)
        self.recent = stats.EWMean(fading_factor=0.1)
        self.scale = stats.EWVar(fading_factor=0.01)
        self.unit: float | None = None
        self.learnt = 0

    def score_one(self, observation: Observation) -> Score:
        """Distance from the forecast, in units of its usual error."""
        if self.unit is None or self.learnt <= SETTLED:
            return Score(0.0)
        # Prediction looks up weights it may create on the way: a copy keeps looking free of traces.
        model = copy.deepcopy(self.predictive.predictive_model)
        expected = float(model.predict_one(self._features(observation))) * self.unit
        return self._judge(observation.value, expected, math.sqrt(max(self.scale.get(), 0.0)))

    def _learn(self, value: float, observation: Observation) -> None:
        if self.unit is None:
            self.unit = max(abs(value), TINY)
        features = self._features(observation)
        expected = float(copy.deepcopy(self.predictive.predictive_model).predict_one(features)) * self.unit
        error = value - expected
        self.learnt += 1
        if math.isfinite(error):
            if self.learnt > SETTLED:
                self.scale.update(error)
            self.predictive.learn_one(features, value / self.unit)
        self.recent.update(value)

    def _features(self, observation: Observation) -> dict[str, float]:
        moment = datetime.fromtimestamp(observation.start_ms / 1000, UTC)
        angle = 2 * math.pi * (moment.hour * 60 + moment.minute) / 1440
        recent = self.recent.get() or 0.0
        return {"cos": math.cos(angle), "sin": math.sin(angle), "recent": recent / (self.unit or 1.0)}


class HalfSpaceTreesDetector(_Valued):
    """River's ``HalfSpaceTrees`` on value and hour; its score against the spread of its own past scores.

    The trees know rarity, not distance, so their score stops growing outside what they have seen: the distance from
    the mean is added there.
    """

    def __init__(self, hurts: Literal["down", "up"] = "down", seed: int = 7) -> None:
        super().__init__(hurts)
        self.seed = seed
        limits = {"value": (0.0, 1.0), "hour": (0.0, 1.0)}
        self.trees = anomaly.HalfSpaceTrees(n_trees=15, height=6, window_size=240, limits=limits, seed=seed)
        self.normal = stats.Var()
        self.mean = stats.Mean()
        self.usual = stats.Mean()
        self.spread = stats.Var()

    def score_one(self, observation: Observation) -> Score:
        """Rarity against usual rarity, on the side that hurts, weighted by the distance."""
        if self.mean.n < 2:
            return Score(0.0)
        plain = self._judge(observation.value, self.mean.get(), math.sqrt(max(self.normal.get(), 0.0)))
        if plain.score == 0.0:
            return plain
        rarity = self.trees.score_one(self._features(observation))
        spread = math.sqrt(max(self.spread.get(), 0.0)) + 0.02
        odd = max(0.0, (rarity - self.usual.get()) / spread) / BORDER_SD
        return plain._replace(score=plain.score * (0.5 + 0.5 * min(1.0, odd)))

    def _learn(self, value: float, observation: Observation) -> None:
        features = self._features(observation)
        rarity = self.trees.score_one(features)
        self.trees.learn_one(features)
        self.usual.update(rarity)
        self.spread.update(rarity)
        self.mean.update(value)
        self.normal.update(value)

    def _features(self, observation: Observation) -> dict[str, float]:
        deviation = math.sqrt(max(self.normal.get(), 0.0)) or 1.0
        place = 0.5 + ((observation.value or 0.0) - self.mean.get()) / (10 * deviation)
        minute = datetime.fromtimestamp(observation.start_ms / 1000, UTC)
        return {"value": min(1.0, max(0.0, place)), "hour": (minute.hour + minute.minute / 60) / 24}


class AdwinDetector(_Valued):
    """River's ``ADWIN``: distance from the mean of its adaptive window, which shrinks where the level changes."""

    def __init__(self, hurts: Literal["down", "up"] = "down", delta: float = 0.002) -> None:
        super().__init__(hurts)
        self.delta = delta
        self.adwin = drift.ADWIN(delta=delta)

    def score_one(self, observation: Observation) -> Score:
        """Distance from the mean of the window, in its standard deviations."""
        if self.adwin.width < 2:
            return Score(0.0)
        # What River calls the variance of the window is its sum of squares.
        deviation = math.sqrt(max(self.adwin.variance / self.adwin.width, 0.0))
        return self._judge(observation.value, self.adwin.estimation, deviation)

    def _learn(self, value: float, observation: Observation) -> None:
        self.adwin.update(value)


class ThresholdDetector(_Valued):
    """A fixed limit, for comparison: 1.0 at the limit, growing with the distance as a share of it."""

    def __init__(self, hurts: Literal["down", "up"] = "down", limit: float = 0.5) -> None:
        super().__init__(hurts)
        self.limit = limit

    def score_one(self, observation: Observation) -> Score:
        """One plus the distance beyond the limit, as a share of the limit."""
        value = observation.value
        if value is None or not math.isfinite(value):
            return Score(0.0)
        beyond = (self.limit - value if self.hurts == "down" else value - self.limit) / max(abs(self.limit), TINY)
        return Score(max(0.0, 1.0 + beyond), self.limit)

    def _learn(self, value: float, observation: Observation) -> None:
        """A fixed limit learns nothing."""
