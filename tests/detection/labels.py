"""What happens in the labelled weeks, when, how much of it, and whether it should page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["HURTS", "Kind", "Label"]

Kind = Literal["payment", "hang", "step", "traffic", "tracking", "silence", "bots", "campaign", "surge", "level"]

HURTS: frozenset[str] = frozenset({"payment", "hang", "step", "traffic", "tracking", "silence", "bots"})
"""Kinds that must be found; a page for a campaign or a surge is a false one, for a lasting fall it may come once."""


@dataclass(frozen=True)
class Label:
    """From minute ``start`` to ``end`` of the run, ``size`` is lost (or added, for bots, campaigns and surges).

    Parameters
    ----------
    ramp
        Minutes until the full size is reached.
    step
        The step of the funnel, for the kinds ``step``, ``tracking`` and ``level``.
    device, channel, provider
        Where it happens; empty is everywhere.
    lowers
        Share of the conversion that a campaign or surge loses besides.
    announced
        Whether the calendar has a note of it.
    """

    kind: Kind
    start: int
    end: int
    size: float
    ramp: int = 0
    step: str = ""
    device: str = ""
    channel: str = ""
    provider: str = ""
    lowers: float = 0.0
    announced: bool = False

    @property
    def must_page(self) -> bool:
        """Whether it is an incident."""
        return self.kind in HURTS

    @property
    def name(self) -> str:
        """Kind, place, share and length, for tables.

        >>> Label("payment", 0, 60, 0.9, provider="psp-1").name
        'payment psp-1 90 % 60 min'
        """
        where = "/".join(part for part in (self.step, self.provider, self.device, self.channel) if part)
        slope = f" over {self.ramp}" if self.ramp > 20 else ""
        return f"{self.kind} {where + ' ' if where else ''}{100 * self.size:.0f} % {self.end - self.start} min{slope}"

    def at(self, minutes: int, *, tail: int = 0) -> NDArray[np.float64]:
        """The size at each minute of a run; ``tail`` minutes of going back behind the end."""
        minute = np.arange(minutes)
        rise = np.clip((minute - self.start + 1) / self.ramp, 0, 1) if self.ramp else 1.0
        fall = np.clip(1 - (minute - self.end + 1) / (tail + 1), 0, 1) if tail else (minute < self.end)
        told: NDArray[np.float64] = self.size * np.where(minute >= self.start, rise, 0.0) * fall
        return told
