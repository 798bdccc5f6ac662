"""Detectors by name: ours, River's behind the contract, and those that other packages bring."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from detectors.base import Detector
from detectors.guard import Guard
from detectors.ratio import CountDetector, RatioDetector
from detectors.stock import (
    AdwinDetector,
    GaussianDetector,
    HalfSpaceTreesDetector,
    PredictiveDetector,
    ThresholdDetector,
)

__all__ = ["GROUP", "create", "names", "register"]

GROUP = "funnelwatch.detectors"
"""Entry points of this group are detectors: a name, and a class (or a function) that gives a ``Detector``."""

_KNOWN: dict[str, Callable[..., Detector]] = {
    "scan.ratio": RatioDetector,
    "scan.count": CountDetector,
    "river.gaussian": GaussianDetector,
    "river.predictive": PredictiveDetector,
    "river.half_space_trees": HalfSpaceTreesDetector,
    "river.adwin": AdwinDetector,
    "threshold": ThresholdDetector,
}


def names() -> tuple[str, ...]:
    """Every name that ``create`` knows, sorted.

    >>> "river.half_space_trees" in names()
    True
    """
    return tuple(sorted({*_KNOWN, *(point.name for point in entry_points(group=GROUP))}))


def register(name: str, factory: Callable[..., Detector]) -> None:
    """Make a detector known in this process; a name that is taken raises ``ValueError``."""
    if name in names():
        raise ValueError(f"detector {name!r} exists; choose another name")
    _KNOWN[name] = factory


def create(name: str, /, *, warm_up: int = 60, **settings: Any) -> Guard:
    """A fresh detector behind its guard.

    Parameters
    ----------
    name
        One of ``names()``.
    warm_up
        Usable windows before the first score.
    settings
        Arguments of the detector, such as ``hurts``.

    Raises
    ------
    KeyError
        Where no detector has this name; the message lists those that exist.
    """
    factory = _KNOWN.get(name)
    if factory is None:
        found = next((point for point in entry_points(group=GROUP) if point.name == name), None)
        if found is None:
            raise KeyError(f"no detector is called {name!r}; there are {', '.join(names())}")
        factory = found.load()
    return Guard(factory(**settings), warm_up=warm_up)
