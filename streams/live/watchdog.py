"""Ends a worker that is alive but does nothing; it runs on a thread that no event loop can hold up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from streams.live.logs import get_logger

__all__ = ["EXIT_STUCK", "Vitals", "Watchdog", "diagnose"]

EXIT_STUCK = 75
"""EX_TEMPFAIL: a supervisor starts the worker again, and it goes on from its snapshots."""

LOOK_SECONDS = 1.0
FROZEN_SECONDS = 5.0

logger = get_logger("watchdog")


@dataclass(slots=True)
class Vitals:
    """What the watchdog looks at; written by the worker, moments in monotonic seconds."""

    started: float
    ready: bool = False
    rebalancing_since: float | None = None
    answered: float = 0.0
    """The last answer of a broker to a fetch."""
    progressed: float = 0.0
    """The last time that the engines absorbed records, or that there were none to absorb."""
    beat: float = 0.0
    """The last turn of the event loop."""
    stopping_since: float | None = None

    def shift(self, seconds: float) -> None:
        """Move every moment: the whole process has stood still for so long, and nothing is to be held against it."""
        self.started += seconds
        self.answered += seconds
        self.progressed += seconds
        self.beat += seconds
        if self.rebalancing_since is not None:
            self.rebalancing_since += seconds


def diagnose(vitals: Vitals, now: float, stuck_seconds: float, stop_seconds: float) -> str | None:
    """What is wrong with a worker, or None.

    >>> diagnose(Vitals(started=0.0), now=61.0, stuck_seconds=60.0, stop_seconds=10.0)
    'not ready 61 s after the start'
    >>> diagnose(Vitals(started=0.0), now=60.0, stuck_seconds=60.0, stop_seconds=10.0) is None
    True
    """
    if vitals.stopping_since is not None:
        late = now - vitals.stopping_since
        return f"not stopped {late:.0f} s after the signal" if late > stop_seconds else None
    if not vitals.ready and vitals.rebalancing_since is None:
        late = now - vitals.started
        return f"not ready {late:.0f} s after the start" if late > stuck_seconds else None
    if now - vitals.beat > stuck_seconds:
        return f"the event loop has not turned for {now - vitals.beat:.0f} s"
    if vitals.rebalancing_since is not None:
        late = now - vitals.rebalancing_since
        return f"rebalancing for {late:.0f} s" if late > stuck_seconds else None
    if now - vitals.answered > stuck_seconds:
        return f"no answer to a fetch for {now - vitals.answered:.0f} s"
    if now - vitals.progressed > stuck_seconds:
        return f"records wait and none was absorbed for {now - vitals.progressed:.0f} s"
    return None


class Watchdog(threading.Thread):
    """Looks every second and ends the process with code 75 where the worker is stuck.

    Parameters
    ----------
    vitals
        Written by the worker.
    stuck_seconds, stop_seconds
        How long nothing may happen, and how long a stop may take.
    report
        Told what is wrong before the end.
    leave
        Ends the process.
    """

    def __init__(
        self,
        vitals: Vitals,
        stuck_seconds: float,
        stop_seconds: float,
        report: Callable[[str], None],
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._vitals, self._stuck_seconds, self._stop_seconds = vitals, stuck_seconds, stop_seconds
        self._report, self._leave = report, leave
        self._over = threading.Event()

    def cancel(self) -> None:
        """Look no more."""
        self._over.set()

    def run(self) -> None:
        """Look until cancelled."""
        looked = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            now = time.monotonic()
            if now - looked > FROZEN_SECONDS:
                self._vitals.shift(now - looked)
            looked = now
            if problem := diagnose(self._vitals, now, self._stuck_seconds, self._stop_seconds):
                logger.critical("stuck problem=%r: the process ends with code %d", problem, EXIT_STUCK)
                self._report(problem)
                self._leave(EXIT_STUCK)
                return
