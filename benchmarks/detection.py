"""How well the monitor finds labelled incidents in simulated weeks of a busy, a medium and a small shop.

    python -m benchmarks.detection [--quick] [--tuning] [--seeds 1] [--sizes busy,medium,small] [--cases notes,gaps]
        [--peers] [--bound] [--ablate] [--list] [--jobs 2]

Prints recall, delay (median and 90 %), precision, false pages a week and the share of quiet time in an alert, by size
of the shop and kind of case. The reporting seeds are used unless ``--tuning`` asks for those that settings were chosen
on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import Pool

from rich.console import Console
from rich.table import Table

from benchmarks.detection_ablation import ablate
from benchmarks.detection_bound import best_possible
from benchmarks.detection_peers import compare
from tests.detection.cases import CASES, DAY, REPORTING, SIZES, TUNING, Case, make_case
from tests.detection.scoring import Run, Tally, run_monitor, score

COLUMNS = (
    "found",
    "recall",
    "delay, median / 90 %",
    "precision",
    "false pages in weeks",
    "a week",
    "quiet time in alert",
)
Judge = Callable[[Case], Run]


def chosen(arguments: argparse.Namespace) -> list[Case]:
    """The cases that the arguments ask for; the longest first, so that two processes end together."""
    seeds = list(TUNING if arguments.tuning else REPORTING)[arguments.first : arguments.first + arguments.seeds]
    names = arguments.cases.split(",") if arguments.cases else ["notes"] if arguments.quick else list(CASES)
    cases = [make_case(name, size, seed) for seed in seeds for name in names for size in arguments.sizes.split(",")]
    return sorted(cases, key=lambda case: -case.minutes)


def run_all(judge: Judge, cases: Sequence[Case], jobs: int) -> list[Run]:
    """Every case judged, two at a time where asked."""
    if jobs == 1:
        return [judge(case) for case in cases]
    with Pool(jobs) as pool:
        return pool.map(judge, cases, chunksize=1)


def tabulate(title: str, rows: Iterable[tuple[str, Tally]], console: Console) -> None:
    """One line for each name."""
    table = Table("", *COLUMNS, title=title, title_justify="left")
    for name, tally in rows:
        table.add_row(name, *tally.row())
    console.print(table)


def by_case(runs: Sequence[Run], console: Console) -> None:
    """A table of sizes and cases, and one of kinds."""
    sizes = [size for size in SIZES if any(run.case.size == size for run in runs)]
    names = [name for name in CASES if any(run.case.name == name for run in runs)]
    rows = [
        (f"{size}, {name}", score(run for run in runs if run.case.size == size and run.case.name == name))
        for size in sizes
        for name in names
    ]
    tabulate("The monitor, by shop and case", rows, console)
    kinds = Table("incident", *sizes, title="Found, and median delay, by kind (all cases)", title_justify="left")
    tallies = {size: score(run for run in runs if run.case.size == size) for size in sizes}
    for kind in sorted({kind for tally in tallies.values() for kind in tally.found}):
        kinds.add_row(kind, *(_share(tally, kind) for tally in tallies.values()))
    console.print(kinds)
    for size, tally in tallies.items():
        console.print(
            f"{size}: {tally.repeats} further pages during an incident, {tally.echoes} within the hour behind one, "
            f"{tally.crowd} of {len(tally.false)} false pages while a crowd was there"
        )


def list_pages(runs: Sequence[Run], console: Console) -> None:
    """Every false page and every miss."""
    tally = score(runs)
    for where, minute, page in tally.false:
        told = f"FALSE {where} {_clock(minute)} {page.kind} {page.summary} {', '.join(page.kpis)}"
        console.print(told, soft_wrap=True)
    for where, label in tally.missed:
        console.print(f"MISS  {where} {_clock(label.start)} {label.name}", soft_wrap=True)


def main() -> None:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", action="store_true", help="the seeds that settings were chosen on")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first seed")
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--cases", default="", help=f"of {', '.join(CASES)}; all unless told")
    parser.add_argument("--quick", action="store_true", help="the weeks with notes only")
    parser.add_argument("--peers", action="store_true", help="static thresholds, 3-sigma and River beside it")
    parser.add_argument("--bound", action="store_true", help="a test that knows the true rates beside it")
    parser.add_argument("--ablate", action="store_true", help="what each part of the method is worth")
    parser.add_argument("--parts", default="", help="only these parts of the ablation")
    parser.add_argument("--list", action="store_true", help="every false page and every miss")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    console, begin = Console(width=150), time.perf_counter()
    cases = chosen(arguments)
    if arguments.ablate:
        parts = ablate(cases, arguments.jobs, arguments.parts.split(",") if arguments.parts else ())
        for size in arguments.sizes.split(","):
            rows = [(name, score(run for run in runs if run.case.size == size)) for name, runs in parts.items()]
            tabulate(f"Without one part, {size}", rows, console)
        return
    runs = run_all(run_monitor, cases, arguments.jobs)
    by_case(runs, console)
    weeks = [run for run in runs if run.case.name == "notes"]
    if arguments.bound:
        bound = best_possible([run.case for run in weeks]).items()
        rows = [(f"{size}, {nats} nats", each) for size, (nats, each) in bound]
        tabulate("A test that knows the true rates", rows, console)
    if arguments.peers:
        peers = compare([run.case for run in weeks], arguments.jobs)
        rows = [(f"{one.size}, {one.method}, {one.limit}", one.tally) for one in peers]
        tabulate("Others on the same rows (weeks with notes)", rows, console)
    if arguments.list:
        list_pages(runs, console)
    windows = sum(case.minutes for case in cases)
    console.print(f"{len(runs)} runs, {windows / DAY:.0f} days, {time.perf_counter() - begin:.0f} s")


def _share(tally: Tally, kind: str) -> str:
    hits = tally.found.get(kind, [])
    return f"{sum(hits)} of {len(hits)}" if hits else "–"


def _clock(minute: int) -> str:
    return f"day {minute // DAY} {minute % DAY // 60:02d}:{minute % 60:02d}"


if __name__ == "__main__":
    main()
