"""Scrapes every worker again and again, as Prometheus would: no total may step back, no lost partition may be told."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from tests.faults.background import Background
from tests.support.live import WorkerProcess, metrics

__all__ = ["Scraper", "partitions_told"]

SCRAPE_SECONDS = 1.0
TOTAL = re.compile(r"^(\w+_total(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)
PARTITION = re.compile(r'^\w+\{[^}]*partition="(\d+)"', re.MULTILINE)


class Scraper(Background):
    """Looks at all workers once a second."""

    def __init__(self, workers: Callable[[], Iterable[WorkerProcess]]) -> None:
        super().__init__()
        self._workers = workers
        self._totals: dict[WorkerProcess, dict[str, float]] = defaultdict(dict)
        self.pages = 0
        self.backward: list[str] = []
        """Totals that have stepped back in a living process."""
        self._twice: dict[int, float] = {}
        self.longest_twice = 0.0
        """Seconds for which a partition was told of by two workers."""

    def _run(self) -> None:
        while not self._over.wait(SCRAPE_SECONDS):
            told = Counter(number for worker in list(self._workers()) for number in partitions_told(self.look(worker)))
            now = time.monotonic()
            # A look that saw it once ends what lasted.
            self._twice = {number: self._twice.get(number, now) for number, times in told.items() if times > 1}
            self.longest_twice = max([self.longest_twice, *(now - since for since in self._twice.values())])

    def look(self, worker: WorkerProcess) -> str:
        """One page of a worker, its totals laid beside those of the page before."""
        page = metrics(worker)
        before = self._totals[worker]
        for name, told in TOTAL.findall(page):
            total = float(told)
            if total < before.get(name, 0.0):
                self.backward.append(f"{name} of process {worker.pid} went from {before[name]} to {total}")
            before[name] = total
        self.pages += bool(page)
        return page


def partitions_told(page: str) -> set[int]:
    """Partitions of which a page has series."""
    return {int(number) for number in PARTITION.findall(page)}
