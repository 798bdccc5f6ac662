"""The series of one kind, and what each of them counted in the window that is judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from detectors.bank import Bank, Counted, Series
from detectors.border import Border

__all__ = ["Group"]

SEGMENTS = 1 << 30
"""Place of segments among verdicts: behind the whole."""


@dataclass(slots=True)
class Group:
    """A bank and what its series read from rows."""

    bank: Bank
    border: Border
    successes: list[float] = field(default_factory=list)
    trials: list[float] | None = None
    places: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    """Numbers of the series in the order in which their verdicts are told."""

    def admit(self, series: Series, step: int, place: int = SEGMENTS) -> int:
        """Watch a series, whose verdicts have this place among the others; its number."""
        self.successes.append(0)
        if self.trials is not None:
            self.trials.append(0)
        self.places.append(place)
        number = self.bank.admit(series, step)
        self.order = sorted(range(len(self.places)), key=self.places.__getitem__)
        return number

    def counted(self) -> Counted:
        """What every series counted in this window."""
        return Counted(self.successes, self.trials, self.order)

    def give(self, number: int, successes: float, trials: float | None) -> None:
        """Take what a series counted in this window."""
        self.successes[number] = successes
        if self.trials is not None and trials is not None:
            self.trials[number] = trials
