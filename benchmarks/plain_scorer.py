"""The plain scorer beside River's stock detectors and simple ones, on labelled series, by the rule of NAB.

The rule: A. Lavin, S. Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms - the Numenta Anomaly Benchmark",
ICMLA 2015, and its published weights. One threshold for all series of a detector, the one that suits it best; the
first detection in a window earns the more the earlier it is; each value over the threshold outside costs; 0 is a
detector that says nothing, 100 one that is right at the first value of each window.

Run it: ``python -m benchmarks.plain_scorer [--seeds 101 102 103] [--detail]``.
"""

from __future__ import annotations

import argparse
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from river import anomaly, linear_model, optim, preprocessing

from benchmarks.plain_series import FAMILIES, Series, corpus
from detectors.scorer import make_detector

__all__ = ["METHODS", "PROFILES", "REPORTING", "TUNING", "Profile", "normalised", "score_series", "sweep"]

Floats = NDArray[np.float64]
Score = Callable[[float, float], float]

TUNING = (1, 2, 3)
REPORTING = (101, 102, 103)
PROBATION, LONGEST = 0.15, 750


class Profile(NamedTuple):
    """What is earned and what it costs."""

    found: float
    false: float
    missed: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "few false": Profile(1.0, 0.22, 1.0),
    "few missed": Profile(1.0, 0.11, 2.0),
}


def reward(position: float) -> float:
    """By where a detection lies: -1 is the begin of the window, 0 its end, above behind it, in widths of it."""
    return -1.0 if position >= 3 else 2 / (1 + math.exp(5 * position)) - 1


class Told(NamedTuple):
    """Values that count, highest score first: the score, the window (or -1), what a detection there is worth."""

    scores: Floats
    windows: NDArray[np.int64]
    worth: Floats


def score_series(series: Sequence[Series], scores: Sequence[Floats]) -> Told:
    """Weigh each value of each series; values of the probation are left out."""
    told: list[tuple[float, int, float]] = []
    base = 0
    for one, mine in zip(series, scores, strict=True):
        probation = min(int(PROBATION * len(one.values)), LONGEST)
        window_of = np.full(len(one.values), -1)
        worth = np.full(len(one.values), -1.0)
        for number, (first, last) in enumerate(one.windows):
            width = last - first + 1
            ahead = range(last + 1, min(len(one.values), last + 3 * width))
            worth[last + 1 : ahead.stop] = [reward((place - last) / (width - 1)) for place in ahead]
            for place in range(first, last + 1):
                window_of[place] = base + number
                worth[place] = reward(-(last - place + 1) / width) / reward(-1.0)
        base += len(one.windows)
        told += zip(mine[probation:], window_of[probation:], worth[probation:], strict=True)
    told.sort(key=lambda row: -row[0])
    columns = list(zip(*told, strict=True))
    return Told(np.array(columns[0]), np.array(columns[1]), np.array(columns[2]))


def sweep(told: Told, windows: int, profile: Profile) -> tuple[float, float]:
    """The best raw score over all thresholds, and its threshold."""
    gained = np.full(windows, -profile.missed)
    total, best, limit = -profile.missed * windows, -profile.missed * windows, math.inf
    for place, (score, window, worth) in enumerate(zip(*told, strict=True)):
        if window < 0:
            total += profile.false * worth
        elif profile.found * worth > gained[window]:
            total += profile.found * worth - gained[window]
            gained[window] = profile.found * worth
        last = place + 1 == len(told.scores) or told.scores[place + 1] < score
        if last and total > best:
            best, limit = total, float(score)
    return best, limit


def normalised(raw: float, windows: int, profile: Profile) -> float:
    """0 for nothing said, 100 for all windows at their first value."""
    silent = -profile.missed * windows
    return 100 * (raw - silent) / (profile.found * windows - silent)


def _ours() -> Score:
    return make_detector().score_one


def _gaussian() -> Score:
    scorer = anomaly.GaussianScorer(grace_period=30)

    def score(moment: float, value: float) -> float:
        told = float(scorer.score_one(None, value))
        scorer.learn_one(None, value)
        return told if math.isfinite(told) else 0.0

    return score


def _trees() -> Score:
    model = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=10, height=6, window_size=250, seed=7)

    def score(moment: float, value: float) -> float:
        features = {"value": value}
        told = float(model.score_one(features))
        model.learn_one(features)
        return told

    return score


def _predictive() -> Score:
    """A regression on the last value and the hour."""
    model = preprocessing.StandardScaler() | linear_model.LinearRegression(optim.SGD(0.005), intercept_lr=0.01)
    detector = anomaly.PredictiveAnomalyDetection(model, n_std=4.0, warmup_period=100)
    before, unit = 0.0, 0.0

    def score(moment: float, value: float) -> float:
        nonlocal before, unit
        unit = unit or max(abs(value), 1e-9)
        angle = 2 * math.pi * (moment % 86_400) / 86_400
        features = {"last": before / unit, "cos": math.cos(angle), "sin": math.sin(angle)}
        told = float(detector.score_one(features, value / unit))
        detector.learn_one(features, value / unit)
        before = value
        return told if math.isfinite(told) else 0.0

    return score


def _window_tail() -> Score:
    """The tail of a normal distribution fitted to the last 2000 values, as the logarithm so that it never saturates."""
    held: deque[float] = deque(maxlen=2000)
    total = square = 0.0

    def score(moment: float, value: float) -> float:
        nonlocal total, square
        told = 0.0
        if len(held) > 30:
            mean = total / len(held)
            deviation = math.sqrt(max(square / len(held) - mean * mean, 0.0)) or 1e-9 + 1e-6 * abs(mean)
            told = abs(value - mean) / deviation
        if len(held) == held.maxlen:
            total -= held[0]
            square -= held[0] ** 2
        held.append(value)
        total += value
        square += value * value
        return told

    return score


def _entropy() -> Score:
    """How far the histogram of the last 52 values is from those of before: the nearest of them counts."""
    bins, size = 5, 52
    held: deque[float] = deque(maxlen=size)
    least, most = math.inf, -math.inf
    known: list[Floats] = []

    def score(moment: float, value: float) -> float:
        nonlocal least, most
        least, most = min(least, value), max(most, value)
        held.append(value)
        if len(held) < size or most <= least:
            return 0.0
        share = np.histogram(held, bins, (least, most))[0] / size
        far = [float(np.sum(share[share > 0] * np.log(share[share > 0] / other[share > 0]))) for other in known]
        told = min(far, default=0.0)
        if told * size > 10 or not known:
            known.append((share * size + 0.1) / (size + 0.1 * bins))
            del known[:-100]
        return told

    return score


def _random() -> Score:
    rng = np.random.default_rng(5)
    return lambda moment, value: float(rng.random())


METHODS: dict[str, Callable[[], Score]] = {
    "plain scorer": _ours,
    "windowed Gaussian tail": _window_tail,
    "relative entropy": _entropy,
    "River PredictiveAnomalyDetection": _predictive,
    "River GaussianScorer": _gaussian,
    "River HalfSpaceTrees": _trees,
    "random": _random,
    "null": lambda: lambda moment, value: 0.5,
}


def run(make: Callable[[], Score], series: Iterable[Series]) -> list[Floats]:
    """Scores of a fresh detector on each series."""
    told = []
    for one in series:
        score = make()
        pairs = zip(one.seconds.tolist(), one.values.tolist(), strict=True)
        told.append(np.array([score(moment, value) for moment, value in pairs]))
    return told


class Result(NamedTuple):
    """A detector on all series: its score by profile, its threshold, and what happens there at the standard one."""

    name: str
    scores: dict[str, float]
    threshold: float
    found: int
    windows: int
    false: int


def judge(name: str, series: Sequence[Series], scores: Sequence[Floats]) -> Result:
    """All profiles of one detector."""
    windows = sum(len(one.windows) for one in series)
    told = score_series(series, scores)
    best = {label: sweep(told, windows, profile) for label, profile in PROFILES.items()}
    threshold = best["standard"][1]
    over = told.windows[told.scores >= threshold]
    points = {label: normalised(raw, windows, PROFILES[label]) for label, (raw, _) in best.items()}
    return Result(name, points, threshold, len(set(over[over >= 0].tolist())), windows, int((over < 0).sum()))


def table(results: Sequence[Result]) -> Table:
    """A line for each detector."""
    told = Table("detector", *PROFILES, "threshold", "windows found", "false detections")
    for one in results:
        points = [f"{one.scores[label]:.1f}" for label in PROFILES]
        told.add_row(one.name, *points, f"{one.threshold:.3g}", f"{one.found} of {one.windows}", str(one.false))
    return told


def detail(series: Sequence[Series], scores: Sequence[Floats], threshold: float) -> Table:
    """A line for each family: windows found, false detections, at the threshold that suits all."""
    told = Table("family", "windows", "found", "false", "highest inside", "highest outside")
    for family in FAMILIES:
        mine = [pair for pair in zip(series, scores, strict=True) if pair[0].name == family]
        found = false = windows = 0
        inside: list[float] = []
        outside: list[float] = []
        for one, values in mine:
            rest = np.ones(len(values), dtype=bool)
            rest[: min(int(PROBATION * len(values)), LONGEST)] = False
            for first, last in one.windows:
                inside.append(float(values[first : last + 1].max()))
                found += inside[-1] >= threshold
                rest[first : last + 1] = False
            windows += len(one.windows)
            false += int((values[rest] >= threshold).sum())
            outside.append(float(values[rest].max()))
        tops = " ".join(f"{value:.2f}" for value in inside)
        told.add_row(family, str(windows), str(found), str(false), tops, " ".join(f"{v:.2f}" for v in outside))
    return told


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table for the reporting seeds, or others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(REPORTING))
    parser.add_argument("--only", choices=list(METHODS), help="one detector")
    parser.add_argument("--detail", action="store_true", help="a table by family for each detector")
    wanted = parser.parse_args(arguments)
    series = [one for seed in wanted.seeds for one in corpus(seed)]
    console, results = Console(width=150), []
    for name in [wanted.only] if wanted.only else list(METHODS):
        scores = run(METHODS[name], series)
        results.append(judge(name, series, scores))
        if wanted.detail:
            console.print(name, detail(series, scores, results[-1].threshold))
    console.print(table(results))
    values = sum(len(one.values) for one in series)
    console.print(f"{len(series)} series, {values} values, seeds {wanted.seeds}, {datetime.now(UTC):%Y-%m-%d}")


if __name__ == "__main__":
    main()
