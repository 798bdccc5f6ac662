"""How well the cause of a loss is named on generated cubes whose cause is known.

    python -m benchmarks.attribution [--cubes 200] [--tuning]

Prints precision, recall and F1 of the segments named, by size of the shop and kind of cause, for the search over values
and pairs, for single values alone and for Adtributor. The reporting seeds are used unless ``--tuning`` asks for those
that settings were chosen on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from time import process_time
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.adtributor import adtribute
from detectors.attribution import Cell, attribute
from detectors.base import SegmentKey
from detectors.leaves import locate
from tests.support.cubes import CAUSES, SIZES, Cube, draw_cube, leaves_of

REPORTING, TUNING = 100_000, 0
"""Where the seeds begin."""

Method = Callable[[Cube], Iterable[SegmentKey]]


class Score(NamedTuple):
    """Segments named rightly, named, and to be named."""

    right: int = 0
    named: int = 0
    wanted: int = 0

    def __add__(self, other: Score) -> Score:  # type: ignore[override]
        return Score(*(one + two for one, two in zip(self, other, strict=True)))

    @property
    def precision(self) -> float:
        """Share of what was named that is a cause."""
        return self.right / self.named if self.named else 0.0

    @property
    def recall(self) -> float:
        """Share of the causes that were named."""
        return self.right / self.wanted if self.wanted else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.right / max(1, self.named + self.wanted)


def searched(cube: Cube) -> list[SegmentKey]:
    """The segments that the search over values and pairs names."""
    return [blame.segment for blame in locate(leaves_of(cube), cube.expected)]


def single(cube: Cube) -> list[SegmentKey]:
    """The segments that single values alone, as judged without a cube, point to."""
    rate = float(cube.usual_successes.sum() / cube.usual_trials.sum())
    cells = []
    for row, dimension in enumerate(cube.dimensions):
        sums = [
            np.bincount(cube.codes[row], one).tolist()
            for one in (cube.successes, cube.trials, cube.usual_successes, cube.usual_trials)
        ]
        for value, (hits, tries, usual_hits, usual_tries) in enumerate(zip(*sums, strict=True)):
            usual = usual_hits / max(usual_tries, 1) * cube.expected / rate
            cells.append(Cell(((dimension, cube.values[row][value]),), hits, usual * tries))
    whole = Cell((), float(cube.successes.sum()), cube.expected * float(cube.trials.sum()))
    return [blame.segment for blame in attribute(whole, cells)]


METHODS: dict[str, Method] = {"values and pairs": searched, "single values": single, "Adtributor": adtribute}


def measure(cubes: int, first_seed: int) -> tuple[dict[tuple[str, str, str], Score], dict[str, float]]:
    """Scores by method, size and cause, and seconds of processor time a cube by method."""
    scores: dict[tuple[str, str, str], Score] = {}
    spent = dict.fromkeys(METHODS, 0.0)
    for size in SIZES:
        for cause in CAUSES:
            for seed in range(first_seed, first_seed + cubes):
                cube, truth = draw_cube(seed, size, cause)
                for name, method in METHODS.items():
                    began = process_time()
                    named = set(method(cube))
                    spent[name] += process_time() - began
                    score = Score(len(named & truth), len(named), len(truth))
                    scores[name, size, cause] = scores.get((name, size, cause), Score()) + score
    return scores, {name: seconds / (cubes * len(SIZES) * len(CAUSES)) for name, seconds in spent.items()}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cubes", type=int, default=200, help="of each size and cause")
    parser.add_argument("--tuning", action="store_true", help="the seeds that settings were chosen on")
    options = parser.parse_args()
    scores, seconds = measure(options.cubes, TUNING if options.tuning else REPORTING)
    table = Table("shop", "cause", *METHODS, title=f"precision / recall / F1, {options.cubes} cubes a line")
    for size in SIZES:
        for cause in (*CAUSES, "all"):
            cells = []
            for name in METHODS:
                of = [scores[name, size, one] for one in (CAUSES if cause == "all" else (cause,))]
                score = sum(of, Score())
                cells.append(f"{score.precision:.2f} / {score.recall:.2f} / {score.f1:.2f}")
            table.add_row(size if cause == CAUSES[0] else "", cause, *cells, end_section=cause == "all")
    console = Console(width=110)
    console.print(table)
    console.print(*(f"{name}: {1000 * told:.1f} ms a cube" for name, told in seconds.items()), sep="; ")


if __name__ == "__main__":
    main()
