"""Series of one kind, what they counted in the present window, and their look at it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from detectors.bank import Bank, Counted, Series
from detectors.border import Border
from detectors.reading import Reading
from detectors.scan import Look

__all__ = ["Group"]

ENOUGH_TOLD = 0.7
"""Share of the partitions from which they speak for those that have not told."""

SEGMENTS = 1 << 30
"""Place of segments among verdicts: behind the whole."""


@dataclass(slots=True)
class Group:
    """A bank and what its series count, by their numbers; ``trials`` is None for volumes, which have none."""

    bank: Bank
    border: Border
    successes: list[float] = field(default_factory=list)
    trials: list[float] | None = None
    places: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    """Numbers of the series in the order in which their verdicts are told."""

    @property
    def watched(self) -> int:
        """Series that have an expectation."""
        return int(np.count_nonzero(self.bank.scan.ready))

    def admit(self, series: Series, step: int, place: int = SEGMENTS) -> int:
        """Watch a series, whose verdicts have this place among the others; its number."""
        self.successes.append(0)
        if self.trials is not None:
            self.trials.append(0)
        self.places.append(place)
        number = self.bank.admit(series, step)
        self.order = sorted(range(len(self.places)), key=self.places.__getitem__)
        return number

    def give(self, number: int, successes: float, trials: float | None) -> None:
        """Take what a series counted in this window."""
        self.successes[number] = successes
        if self.trials is not None and trials is not None:
            self.trials[number] = trials

    def counted(self) -> Counted:
        """What every series counted in this window."""
        return Counted(self.successes, self.trials, self.order)

    def look(self, step: int, watched: int, told: float) -> tuple[Look, Reading]:
        """What the window shows.

        Parameters
        ----------
        step
            Number of the window.
        watched
            Series of all kinds that share the budget of false pages.
        told
            Share of the partitions that have told their rows.
        """
        bank = self.bank
        # A partition that has not told leaves its share out of both sides of a ratio, but not of a volume, nor
        # of what is on its way from earlier windows: there the others speak for it, unless they are too few.
        seen = told >= np.where(bank.delayed, ENOUGH_TOLD, np.where(bank.scan.volume, 1.0, 0.0))
        share = np.where(bank.delayed, max(told, 0.01), 1.0)
        count = np.maximum(np.array(self.successes, dtype=float), 0.0) / bank.weights / share
        trials = np.ones(len(count)) if self.trials is None else np.array(self.trials, dtype=float)
        upstream = np.maximum(trials, 0.0) / share
        return bank.look(step, count, upstream, seen, self.border.needed(bank.segmented, watched))
