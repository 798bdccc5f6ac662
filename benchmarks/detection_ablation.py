"""What each part of the method is worth: the library judged with one part at a time taken out.

A part is taken out by replacing it in the process that judges the case, so that the method itself has no switches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import Pool
from typing import Any

import numpy as np

from detectors import scan
from detectors.border import Border
from detectors.delay import SAME_WINDOW, DelayBank
from detectors.model import LogLinear
from detectors.scan import Look, Scan
from detectors.surge import Surge
from streams import monitor
from streams.monitor import MonitorSpec
from tests.detection.cases import Case
from tests.detection.scoring import Run, run_monitor

__all__ = ["PARTS", "ablate"]

Part = Callable[[MonitorSpec], MonitorSpec]


def ablate(cases: Sequence[Case], jobs: int, parts: Sequence[str] = ()) -> dict[str, list[Run]]:
    """Every case judged without each of the parts; the whole method first."""
    chosen = [name for name in PARTS if not parts or name in parts]
    tasks = [(name, case) for name in chosen for case in cases]
    # A process a task: what was taken out of one must be whole in the next.
    with Pool(jobs, maxtasksperchild=1) as pool:
        runs = pool.starmap(_without, tasks, 1)
    return {name: [run for (part, _), run in zip(tasks, runs, strict=True) if part == name] for name in chosen}


def _without(name: str, case: Case) -> Run:
    return run_monitor(case, spec=PARTS[name](case.spec()))


def _whole(spec: MonitorSpec) -> MonitorSpec:
    return spec


def _own_border(spec: MonitorSpec) -> MonitorSpec:
    _put(Border, "_close", _nothing)
    return spec


def _tracked_level(spec: MonitorSpec) -> MonitorSpec:
    """Every window is judged against the profile, as the profile-only windows are."""
    inner = Scan._doubt

    def doubt(self: Scan, level: Any, profile: Any, cross: Any, level_var: Any) -> Any:
        factor, told = inner(self, level, profile, cross, level_var)
        flat = profile + self.model.sigma2
        return np.zeros_like(factor), np.broadcast_to(flat, told.shape).copy()

    _put(Scan, "_doubt", doubt)
    return spec


def _lags(spec: MonitorSpec) -> MonitorSpec:
    inner = DelayBank.add
    _put(DelayBank, "add", lambda self, kernel, **more: inner(self, SAME_WINDOW, **more))
    return spec


def _learnt_lags(spec: MonitorSpec) -> MonitorSpec:
    _put(DelayBank, "choose", _nothing)
    return spec


def _binomial(spec: MonitorSpec) -> MonitorSpec:
    from detectors import evidence

    _put(evidence, "BINOMIAL_BELOW", 0.0)
    return spec


def _windows(longest: int, shortest: int, spec: MonitorSpec) -> MonitorSpec:
    inner = Scan.look
    dropped = (longest < scan.WINDOWS) | (shortest > scan.WINDOWS)

    def look(self: Scan, *arguments: Any) -> Look:
        told = inner(self, *arguments)
        told.evidence[:, dropped] = 0.0
        return told

    _put(Scan, "look", look)
    return spec


def _segments(spec: MonitorSpec) -> MonitorSpec:
    return replace(spec, segment_kpis=())


def _pairs(spec: MonitorSpec) -> MonitorSpec:
    _put(monitor, "PAIRS", ())
    return spec


def _noise(spec: MonitorSpec) -> MonitorSpec:
    for name in ("learn_minute", "learn_sigma", "_learn_noise"):
        _put(LogLinear, name, _nothing)
    return spec


def _slots(spec: MonitorSpec) -> MonitorSpec:
    inner = LogLinear.add
    _put(LogLinear, "add", lambda self, start: inner(self, replace(start, slot=0.0)))
    return spec


def _notes(spec: MonitorSpec) -> MonitorSpec:
    return replace(spec, notes=())


def _crowds(spec: MonitorSpec) -> MonitorSpec:
    _put(Surge, "learn", lambda self, *arguments, **more: False)
    return spec


def _freeze(spec: MonitorSpec) -> MonitorSpec:
    _put(Scan, "mask", _nothing)
    return spec


PARTS: dict[str, Part] = {
    "whole method": _whole,
    "no border of its own": _own_border,
    "no tracked level": _tracked_level,
    "successes of the same minute": _lags,
    "lags not learnt": _learnt_lags,
    "scaled Poisson for all": _binomial,
    "windows of 1 minute only": partial(_windows, 1, 1),
    "windows up to 5 minutes": partial(_windows, 5, 1),
    "windows up to 60 minutes": partial(_windows, 60, 1),
    "windows from 8 minutes on": partial(_windows, 240, 8),
    "no segments": _segments,
    "no pairs": _pairs,
    "noise not learnt": _noise,
    "no quarters of an hour": _slots,
    "no notes": _notes,
    "crowds not felt": _crowds,
    "learning never stops": _freeze,
}


def _nothing(*_: Any, **__: Any) -> None:
    """Stands where something was taken out."""


def _put(place: Any, name: str, what: Any) -> None:
    if not hasattr(place, name):
        raise AttributeError(f"{place} has no {name}: the method has changed and its ablation has not")
    setattr(place, name, what)
