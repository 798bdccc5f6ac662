"""What a run of a case found, and what it paged for besides: pages held against labels."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from streams.monitor import Monitor, MonitorSpec
from tests.detection.cases import DAY, Case
from tests.detection.labels import Label
from tests.detection.rough import RoughShop

__all__ = ["ECHO", "GRACE", "ONE_PAGE", "Page", "Run", "Tally", "one_page_each", "run_monitor", "score"]

GRACE = 20
"""Minutes behind the end of an incident in which it may still be found: its shoppers are on their way."""

ECHO = 75
"""Minutes behind the end in which a page is neither a find nor a false one: KPIs of sessions and carts that end after
half an hour of silence still tell of it."""

ONE_PAGE = 15
"""Incidents that open within so many minutes are one page."""

LASTING = 300
"""Minutes in which an alert for a lasting fall may stand, and within which it may page."""


class Page(NamedTuple):
    """The close of the window that paged, in minutes from the start of the run, and what it said."""

    minute: int
    kind: str
    kpis: tuple[str, ...]
    summary: str


@dataclass
class Run:
    """What a detector did with a case: pages, and the minutes in which any alert stood."""

    case: Case
    pages: list[Page]
    standing: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Tally:
    """Sums over runs; ``delays`` in minutes from the onset to the close of the window that paged."""

    found: dict[str, list[int]] = field(default_factory=dict)
    delays: list[int] = field(default_factory=list)
    false: list[tuple[str, int, Page]] = field(default_factory=list)
    crowd: int = 0
    missed: list[tuple[str, Label]] = field(default_factory=list)
    repeats: int = 0
    echoes: int = 0
    quiet: int = 0
    loud: int = 0

    @property
    def there(self) -> int:
        """Incidents."""
        return sum(map(len, self.found.values()))

    @property
    def recall(self) -> float:
        """Share of the incidents that were found."""
        return sum(map(sum, self.found.values())) / max(1, self.there)

    @property
    def precision(self) -> float:
        """Share of the pages that were for an incident: the first for each, and all false ones."""
        hits = sum(map(sum, self.found.values()))
        return hits / max(1, hits + len(self.false))

    @property
    def false_a_week(self) -> float:
        """False pages in a week without incidents."""
        return len(self.false) / max(self.quiet / (7 * DAY), 1e-9)

    def delay(self, share: float = 0.5) -> float:
        """Median delay, or another quantile."""
        return float(np.quantile(self.delays, share)) if self.delays else float("nan")

    def row(self) -> tuple[str, ...]:
        """Recall, delays, precision, false pages a week, loud share, for a table."""
        found = sum(map(sum, self.found.values()))
        return (
            f"{found} of {self.there}" if self.there else "–",
            f"{self.recall:.2f}" if self.there else "–",
            f"{statistics.median(self.delays):.0f} / {self.delay(0.9):.0f}" if self.delays else "–",
            f"{self.precision:.2f}" if self.there else "–",
            f"{len(self.false)} in {self.quiet / (7 * DAY):.1f}",
            f"{self.false_a_week:.1f}",
            f"{self.loud / max(1, self.quiet):.2%}",
        )


def run_monitor(case: Case, shop: RoughShop | None = None, spec: MonitorSpec | None = None) -> Run:
    """Show a case to the monitor, window by window."""
    monitor = Monitor(spec or case.spec())
    pages: list[Page] = []
    loud: list[int] = []
    for window in (shop or case.shop()).windows():
        judgement = monitor.observe(window)
        minute = (window.end_ms - case.traits.start_ms) // 60_000
        pages += [Page(minute, one.kind, one.kpis, one.summary) for one in judgement.incidents if one.state == "open"]
        if any(one.active for one in judgement.verdicts):
            loud.append(minute - 1)
    return Run(case, pages, list(_spans(loud)))


def one_page_each(pages: Sequence[Page]) -> Iterator[Page]:
    """The first of those that open within a quarter of an hour."""
    last = -ONE_PAGE - 1
    for page in pages:
        if page.minute - last > ONE_PAGE:
            last = page.minute
            yield page


def score(runs: Iterable[Run], tally: Tally | None = None) -> Tally:
    """Hold pages against labels; a page that no label explains is false."""
    tally = tally or Tally()
    for run in runs:
        _score(run, tally)
    return tally


def _score(run: Run, tally: Tally) -> None:
    case, labels = run.case, [label for label in run.case.labels if label.end > run.case.history]
    covered = np.zeros(case.minutes, dtype=bool)
    covered[: case.history] = True
    pages = [page for page in run.pages if page.minute > case.history]
    explained: set[int] = set()
    for label in labels:
        if label.kind == "level":
            pages = _allow_once(label, pages, covered)
        if not label.must_page:
            continue
        inside = [page for page in pages if label.start < page.minute <= label.end + GRACE]
        late = [page for page in pages if label.end + GRACE < page.minute <= label.end + ECHO]
        covered[label.start : label.end + ECHO] = True
        explained.update(id(page) for page in (*inside, *late))
        tally.found.setdefault(label.name, []).append(int(bool(inside)))
        tally.repeats += max(0, len(list(one_page_each(inside))) - 1)
        tally.echoes += len(list(one_page_each(late)))
        if inside:
            tally.delays.append(inside[0].minute - label.start)
        else:
            tally.missed.append((f"{case.name}/{case.size}/{case.seed}", label))
    false = list(one_page_each([page for page in pages if id(page) not in explained]))
    tally.false += [(f"{case.name}/{case.size}/{case.seed}", page.minute, page) for page in false]
    tally.crowd += sum(_in_crowd(page, labels) for page in false)
    loud = np.zeros(case.minutes, dtype=bool)
    for begin, end in run.standing:
        loud[begin:end] = True
    tally.quiet += int((~covered).sum())
    tally.loud += int((loud & ~covered).sum())


def _allow_once(label: Label, pages: list[Page], covered: np.ndarray) -> list[Page]:
    """A lasting fall may page once, when it begins; a lasting rise may not."""
    if label.size <= 0:
        return pages
    covered[label.start : label.start + LASTING] = True
    first = next((page for page in pages if label.start < page.minute <= label.start + LASTING), None)
    return [page for page in pages if page is not first]


def _in_crowd(page: Page, labels: Sequence[Label]) -> bool:
    return any(
        label.kind in {"campaign", "surge"} and label.start < page.minute <= label.end + ECHO for label in labels
    )


def _spans(minutes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive minutes, half-open."""
    begin = last = None
    for minute in minutes:
        if last is None or minute != last + 1:
            if begin is not None and last is not None:
                yield begin, last + 1
            begin = minute
        last = minute
    if begin is not None and last is not None:
        yield begin, last + 1
