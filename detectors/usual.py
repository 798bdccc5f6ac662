"""What each combination of dimension values usually counts, and what it counted lately: bounded, fading over a day."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.base import SegmentKey
from detectors.leaves import REST, Leaves

__all__ = ["Usual", "usual_rates"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Values = tuple[str, ...]

DAY_MS = 86_400_000
LAG = 30
"""Windows before one is learnt, as in ``detectors.scan``: an onset is mostly found within them."""

RECENT = 60
"""Windows that are kept one by one; a loss that stands longer is located in the latest of them."""

MOST = 2_000
"""Combinations that are kept; beyond it the smaller half is forgotten."""

ENOUGH = 100
"""Usual trials (or counts) without which nothing is located: a usual rate must be known better than the rate now."""

SHRUNK = 20.0
"""Trials that the estimate from single values is worth beside those of the combination itself."""

SHAPE = 500.0
"""Trials that the day's shares are worth beside those of the windows just before: who comes changes with the hour."""

ROUNDS = 3


class _Window(NamedTuple):
    end_ms: int
    places: Places
    counts: Floats


class Usual:
    """Fading sums and recent windows of the combinations of one set of dimensions.

    Parameters
    ----------
    dimensions
        Names; the values of a combination come in this order.
    counters
        What is kept of each combination.
    window_ms
        Length of a window.

    Examples
    --------
    >>> usual = Usual(("device",), ("hits", "tries"), 60_000)
    >>> for minute in range(1, 60):
    ...     usual.take(60_000 * minute, [("ios",), ("web",)], {"hits": (9, 8), "tries": (10, 10)})
    >>> leaves = usual.leaves(since_ms=57 * 60_000, numerator=("hits",), denominator=("tries",))
    >>> leaves.trials.tolist(), leaves.usual.round(2).tolist()
    ([20.0, 20.0], [0.9, 0.8])
    """

    def __init__(self, dimensions: tuple[str, ...], counters: tuple[str, ...], window_ms: int) -> None:
        self.dimensions, self.counters = dimensions, counters
        self._fade = math.exp(-window_ms / DAY_MS)
        self._places: dict[Values, int] = {}
        self._known: list[dict[str, int]] = [{} for _ in dimensions]
        """Of each dimension its values as codes."""
        self._codes: Places = np.zeros((len(dimensions), 0), dtype=np.int64)
        """Of each combination its codes, a row a dimension."""
        self._sums: Floats = np.zeros((0, len(counters)))
        self._recent: deque[_Window] = deque()
        self._masked: set[int] = set()
        """Ends of recent windows that are not to be learnt."""

    def take(self, end_ms: int, leaves: Sequence[Values], columns: Mapping[str, Sequence[float]]) -> None:
        """Take a window: it is learnt ``LAG`` windows later, unless it was masked by then.

        Parameters
        ----------
        leaves, columns
            The combinations that counted, each once, and by counter what each of them did.
        """
        places = np.array([self._place(values) for values in leaves], dtype=np.int64)
        counts = np.zeros((len(leaves), len(self.counters)))
        for column, name in enumerate(self.counters):
            counts[:, column] = columns.get(name, 0.0)
        self._recent.append(_Window(end_ms, places, counts))
        self._grow()
        self._sums *= self._fade
        if len(self._recent) > LAG:
            window = self._recent[-1 - LAG]
            if window.end_ms not in self._masked:
                self._sums[window.places] += window.counts
        if len(self._recent) > RECENT:
            self._masked.discard(self._recent.popleft().end_ms)
        if len(self._places) > MOST:
            self._forget()

    def mask(self, since_ms: int) -> None:
        """Keep the windows that end after this moment from being learnt, where they are not learnt yet."""
        self._masked.update(window.end_ms for window in self._recent if window.end_ms > since_ms)

    def windows(self, since_ms: int) -> int:
        """How many recent windows end after this moment."""
        return sum(window.end_ms > since_ms for window in self._recent)

    def totals(self, since_ms: int) -> tuple[dict[str, float], dict[str, float]]:
        """The counters of all combinations since a moment, and the usual ones, which are on a scale of their own."""
        now, before = (table.sum(axis=0) for table in self._lately(since_ms))
        day = self._sums.sum(axis=0)
        usual = before + day * (SHAPE / max(float(day.max(initial=0.0)), 1e-9))
        return (
            dict(zip(self.counters, now.tolist(), strict=True)),
            dict(zip(self.counters, usual.tolist(), strict=True)),
        )

    def leaves(
        self,
        since_ms: int,
        numerator: Sequence[str],
        denominator: Sequence[str] | None = None,
        dimensions: Sequence[str] | None = None,
        within: SegmentKey = (),
    ) -> Leaves | None:
        """What was counted since a moment beside what is usual; None where too little is usual.

        Parameters
        ----------
        numerator, denominator
            Counters to add; one written ``-name`` is subtracted. No denominator: a count.
        dimensions
            Those that may be told; None: all.
        within
            Only the combinations with these values, whose dimensions are then left out.
        """
        chosen = self._chosen(within)
        now, before, usual = (table[chosen] for table in (*self._lately(since_ms), self._sums))
        told = [name for name in (dimensions or self.dimensions) if name not in dict(within)]
        rows = [self.dimensions.index(name) for name in told]
        named, codes = tuple(told), self._codes[rows][:, chosen]
        values = tuple(tuple(self._known[row]) for row in rows)
        weights = self._weights(numerator)
        successes, usual_successes = now @ weights, usual @ weights
        if denominator is None:
            if usual_successes.sum() < ENOUGH:
                return None
            return Leaves(named, values, codes, successes, _shape(before @ weights, usual_successes))
        weights = self._weights(denominator)
        trials, usual_trials = now @ weights, usual @ weights
        if usual_trials.sum() < ENOUGH or usual_successes.sum() <= 0 or trials.sum() <= 0:
            return None
        rates = usual_rates(codes, usual_successes, usual_trials)
        return Leaves(named, values, codes, successes, rates, trials, _shape(before @ weights, usual_trials))

    def _lately(self, since_ms: int) -> tuple[Floats, Floats]:
        """Sums of the recent windows behind a moment and, where they may be learnt, of those before it."""
        now, before = np.zeros_like(self._sums), np.zeros_like(self._sums)
        for window in self._recent:
            if window.end_ms > since_ms:
                np.add.at(now, window.places, window.counts)
            elif window.end_ms not in self._masked:
                np.add.at(before, window.places, window.counts)
        return now, before

    def _chosen(self, within: SegmentKey) -> Places:
        """The places with these values that have counted anything."""
        number = len(self._places)
        chosen: NDArray[np.bool_] = np.any(self._sums[:number], axis=1)
        for window in self._recent:
            chosen[window.places] = True
        for name, value in within:
            row = self.dimensions.index(name)
            chosen &= self._codes[row][:number] == self._known[row].get(value, -1)
        return np.flatnonzero(chosen)

    def _grow(self) -> None:
        """Make room for the sums of new places, and code their values."""
        number, before = len(self._places), self._codes.shape[1]
        if number > len(self._sums):
            grown = np.zeros((2 * number, len(self.counters)))
            grown[: len(self._sums)] = self._sums
            self._sums = grown
        if number > before:
            fresh = list(self._places)[before:]
            codes = [
                [known.setdefault(values[row], len(known)) for values in fresh] for row, known in enumerate(self._known)
            ]
            self._codes = np.hstack((self._codes, np.array(codes, dtype=np.int64).reshape(len(codes), len(fresh))))

    def _weights(self, terms: Sequence[str]) -> Floats:
        weights = np.zeros(len(self.counters))
        for term in terms:
            weights[self.counters.index(term.removeprefix("-"))] += -1 if term.startswith("-") else 1
        return weights

    def _place(self, values: Values) -> int:
        return self._places.setdefault(values, len(self._places))

    def _forget(self) -> None:
        """Keep the larger half, and what counted lately as far as there is room; the others become one."""
        total = self._sums[: len(self._places)].sum(axis=1)
        for window in self._recent:
            np.add.at(total, window.places, window.counts.sum(axis=1))
        rest = (REST,) * len(self.dimensions)
        kept = set(np.argsort(-total, kind="stable")[: MOST // 2].tolist())
        old, self._places = self._places, {rest: 0}
        new = np.array([self._place(values) if place in kept else 0 for values, place in old.items()], dtype=np.int64)
        sums = np.zeros((2 * len(self._places), len(self.counters)))
        np.add.at(sums, new, self._sums[: len(old)])
        self._sums = sums
        self._known = [{} for _ in self.dimensions]
        self._codes = self._codes[:, :0]
        self._grow()
        self._recent = deque(self._renamed(window, new) for window in self._recent)

    def _renamed(self, window: _Window, new: Places) -> _Window:
        """A window by the new places, each once."""
        places, group = np.unique(new[window.places], return_inverse=True)
        counts = np.zeros((len(places), len(self.counters)))
        np.add.at(counts, group.reshape(-1), window.counts)
        return _Window(window.end_ms, places, counts)


def _shape(before: Floats, usual: Floats) -> Floats:
    result: Floats = before + usual * (SHAPE / max(usual.sum(), 1e-9))
    return result


def usual_rates(codes: Places, successes: Floats, trials: Floats) -> Floats:
    """The usual rate of each combination: its own where it has enough trials, else what its single values make likely.

    Parameters
    ----------
    codes
        Values of each combination: a row a dimension.

    Examples
    --------
    >>> codes = np.array([[0, 0, 1], [0, 1, 1]])
    >>> usual_rates(codes, np.array([50.0, 300.0, 0.0]), np.array([100.0, 1000.0, 0.0])).round(2).tolist()
    [0.5, 0.3, 0.3]
    """
    overall = float(successes.sum() / trials.sum())
    likely = np.full(len(trials), overall)
    for _ in range(ROUNDS):
        for values in codes:
            seen = np.bincount(values, successes)
            fair = np.bincount(values, trials * likely)
            likely = likely * ((seen + SHRUNK * overall) / (fair + SHRUNK * overall))[values]
    rates: Floats = (successes + SHRUNK * likely) / (trials + SHRUNK)
    return rates
