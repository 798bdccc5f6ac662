"""Drives an engine through a scenario in any pieces, and lays its final rows beside those of the reference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random

from streams.engine.batch import NO_APPEND_TIME, Batch, Outcome, Reject
from streams.engine.cube import Cube
from streams.engine.engine import Engine
from streams.engine.rows import Row, Segment
from streams.engine.sketch import estimate_visitors, unite_sketches
from streams.engine.spec import EngineSpec, SourceSpec
from tests.support.reference import Idle, SourceRecord, reference_rows
from tests.support.strategies import Scenario

__all__ = [
    "Cell",
    "Cells",
    "Driver",
    "Told",
    "cells_of",
    "differences",
    "engine_cells",
    "engine_spec",
    "reference_cells",
    "restart",
    "run",
    "run_roughly",
    "unequal_cells",
]

PARTITION = 0

Cell = tuple[str, int, int, Segment]
"""Row kind, horizon (0 for a window), start, segment."""
Cells = dict[Cell, tuple[dict[str, int], float]]
"""Counters and visitors of each cell."""


@dataclass
class Told:
    """Everything an engine said, in order."""

    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    cubes: list[Cube] = field(default_factory=list)
    records: int = 0

    def hear(self, outcome: Outcome) -> None:
        self.rows += outcome.rows
        self.rejects += outcome.rejects
        self.cubes += outcome.cubes
        self.records += outcome.records


def engine_spec(scenario: Scenario) -> EngineSpec:
    """The spec of the scenario with the topics that it has."""
    topics = ("file",) if scenario.is_file else ("clickstream", "orders")
    return replace(scenario.spec, sources=tuple(SourceSpec(topic, scenario.format_name) for topic in topics))


class Driver:
    """Pushes the logs of a scenario piece by piece; ``cut`` chooses the sizes, None pushes each log whole."""

    def __init__(self, scenario: Scenario, cut: Random | None = None, engine: Engine | None = None) -> None:
        self.spec = engine_spec(scenario)
        self.engine = engine or Engine(self.spec, PARTITION)
        self.told = Told()
        self._cut = cut
        self._logs = {source.topic: list(log) for source, log in zip(self.spec.sources, scenario.logs, strict=True)}
        self.pushed: dict[str, list[SourceRecord]] = {source.topic: [] for source in self.spec.sources}

    def pieces(self) -> Iterator[None]:
        """Pushes one piece at each step, and drains now and then; ends when the logs are used up."""
        done = {topic: 0 for topic, log in self._logs.items() if log}
        while done:
            topic = self._cut.choice(sorted(done)) if self._cut else next(iter(done))
            log, start = self._logs[topic], done[topic]
            piece = log[start : start + self._cut.choice([1, 1, 2, 3, 7, 20, 50])] if self._cut else log
            self.pushed[topic] += piece
            self.push(topic, piece)
            done[topic] += len(piece)
            if done[topic] == len(log):
                del done[topic]
            if self._cut is None or self._cut.random() < 0.7:
                self.told.hear(self.engine.drain())
            yield

    def push(self, topic: str, records: list[SourceRecord]) -> None:
        """One batch of a topic to the engine."""
        if records:
            self.engine.push(_batch(topic, records))

    def finish(self) -> Told:
        """The end of the logs: what is held is processed, every timer fires, every window closes."""
        for source in self.spec.sources:
            self.engine.set_caught_up(source.topic, True)
        self.told.hear(self.engine.drain())
        self.told.hear(self.engine.finish())
        return self.told


def run(scenario: Scenario, cut: Random | None = None) -> Told:
    """All that an engine says about the scenario."""
    driver = Driver(scenario, cut)
    for _ in driver.pieces():
        pass
    return driver.finish()


def restart(driver: Driver) -> None:
    """A new engine from the snapshot, its sources read again from where it wants them."""
    driver.engine = Engine.restore(driver.spec, driver.engine.partition, driver.engine.snapshot())
    for topic, records in driver.pushed.items():
        start = driver.engine.resume_offsets.get(topic, 0)
        driver.push(topic, [record for record in records if record.offset >= start])
    driver.told.hear(driver.engine.drain())


def run_roughly(scenario: Scenario, rng: Random) -> tuple[Told, list[SourceRecord | Idle]]:
    """As ``run``, with silences, restarts and repeated pieces; also the arrivals as the reference takes them."""
    driver = Driver(scenario)
    arrivals: list[SourceRecord | Idle] = []
    waiting = scenario.arrivals()
    while waiting:
        size = rng.randint(1, 30)
        head, waiting = waiting[:size], waiting[size:]
        arrivals += head
        for topic, pushed in driver.pushed.items():
            pushed += [record for record in head if record.topic == topic]
            driver.push(topic, pushed[-rng.choice([size, size + 5, 80]) :])
        _drain_all(driver)
        if driver.engine.stream_ms is not None and rng.random() < 0.5:
            moment = driver.engine.stream_ms + rng.choice([-5_000, 0, 1, 9_000, 40_000, scenario.spec.session_gap_ms])
            arrivals.append(Idle(moment))
            driver.told.hear(driver.engine.idle(moment))
        if rng.random() < 0.3:
            restart(driver)
            _drain_all(driver)
    return driver.finish(), arrivals


def _drain_all(driver: Driver) -> None:
    """All sources are at their ends for a moment."""
    for caught_up in (True, False):
        for topic in driver.pushed:
            driver.engine.set_caught_up(topic, caught_up)
        if caught_up:
            driver.told.hear(driver.engine.drain())


def _batch(topic: str, records: list[SourceRecord]) -> Batch:
    return Batch(
        topic=topic,
        partition=PARTITION,
        offsets=[record.offset for record in records],
        append_ms=[NO_APPEND_TIME if record.append_ms is None else record.append_ms for record in records],
        keys=[record.key for record in records],
        values=[record.value for record in records],
    )


def cells_of(rows: Iterable[Row]) -> Cells:
    """Counters and visitors of each cell, corrections added in."""
    counters: dict[Cell, dict[str, int]] = defaultdict(dict)
    sketches: dict[Cell, list[bytes]] = defaultdict(list)
    for row in rows:
        cell = ("window" if row.horizon_ms is None else "cohort", row.horizon_ms or 0, row.start_ms, row.segment)
        told = counters[cell]
        for name, count in row.counters.items():
            told[name] = told.get(name, 0) + count
        if row.sketch is not None:
            sketches[cell].append(row.sketch)
    united = {cell: unite_sketches(found) for cell, found in sketches.items()}
    return {
        cell: (told, estimate_visitors(united[cell]) if united.get(cell) else 0.0) for cell, told in counters.items()
    }


def engine_cells(scenario: Scenario, cut: Random | None = None) -> Cells:
    return cells_of(run(scenario, cut).rows)


def reference_cells(scenario: Scenario, arrivals: list[SourceRecord | Idle] | None = None) -> Cells:
    rows = reference_rows(scenario.arrivals() if arrivals is None else arrivals, scenario.spec)
    return {
        (row.kind, row.horizon_ms or 0, row.start_ms, row.segment): (row.counters, float(len(row.visitors)))
        for row in rows
    }


def differences(scenario: Scenario, cut: Random | None = None) -> list[str]:
    """One line for each cell in which the engine and the reference do not agree."""
    return unequal_cells(reference_cells(scenario), engine_cells(scenario, cut))


def unequal_cells(expected: Cells, found: Cells) -> list[str]:
    """One line for each cell, or counter of a cell, that is not the same in both."""
    lines = []
    for cell in sorted(expected.keys() | found.keys()):
        if cell not in found:
            lines.append(f"{cell}: the engine has no row, expected {expected[cell]}")
        elif cell not in expected:
            lines.append(f"{cell}: the engine has a row too many, {found[cell]}")
        else:
            lines += _unequal(cell, expected[cell], found[cell])
    return lines


def _unequal(cell: Cell, expected: tuple[dict[str, int], float], found: tuple[dict[str, int], float]) -> list[str]:
    lines = []
    for name in sorted(expected[0].keys() | found[0].keys()):
        if expected[0].get(name) != found[0].get(name):
            lines.append(f"{cell} {name}: expected {expected[0].get(name)}, engine {found[0].get(name)}")
    if abs(expected[1] - found[1]) > max(0.5, 0.05 * expected[1]):
        lines.append(f"{cell} visitors: expected {expected[1]}, engine {found[1]}")
    return lines
