"""Runs stories through an engine as a file, and sums up what its rows say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from streams.engine import NO_APPEND_TIME, WHOLE, Batch, Engine, EngineSpec, Row, Segment, SourceSpec
from tests.support.stories import START_MS, to_lines

FILE = "file"


def file_spec(**changes: Any) -> EngineSpec:
    return EngineSpec(sources=(SourceSpec(FILE),), **changes)


def batch(lines: Sequence[bytes | None], first: int = 0, append_ms: Sequence[int] | None = None) -> Batch:
    count = len(lines)
    appended = append_ms or [NO_APPEND_TIME] * count
    return Batch(FILE, 0, range(first, first + count), appended, [None] * count, lines)


def rows_of(events: Iterable[dict[str, Any]], **changes: Any) -> list[Row]:
    """All rows of a file with these events in this order."""
    engine = Engine(file_spec(**changes), 0)
    engine.push(batch(to_lines(events)))
    return engine.finish().rows


def totals(rows: Iterable[Row], segment: Segment = WHOLE) -> dict[str, int]:
    """Counters of a segment over all its rows."""
    summed: Counter[str] = Counter()
    for row in rows:
        if row.segment == segment:
            summed.update(row.counters)
    return dict(summed)


def moments(rows: Iterable[Row], counter: str) -> dict[int, int]:
    """A counter of the whole by the seconds from the start of the story to its window (corrections added in)."""
    found: Counter[int] = Counter()
    for row in rows:
        if row.segment == WHOLE and counter in row.counters:
            found[(row.start_ms - START_MS) // 1000] += row.counters[counter]
    return dict(found)


def values_of(rows: Iterable[Row], dimension: str, counter: str) -> dict[str, int]:
    """A counter by the values of one dimension."""
    found: Counter[str] = Counter()
    for row in rows:
        if len(row.segment) == 1 and row.segment[0][0] == dimension and counter in row.counters:
            found[row.segment[0][1]] += row.counters[counter]
    return dict(found)
