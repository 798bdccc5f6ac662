"""A second implementation of the semantics: slow, plain, from the text alone, without a line of the engine.

It reads whole logs, decides everything about arrival in a first pass, sorts, and processes in a second one. So it
knows no batches, no snapshots, no corrections: only what the rows have to be in the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from streams.engine.rows import WHOLE, Segment
from streams.engine.spec import EngineSpec
from tests.support.reference.arrival import Arrivals, Idle, arrival_order, receive
from tests.support.reference.decoding import SourceRecord
from tests.support.reference.shop import Shop

__all__ = ["Idle", "ReferenceRow", "SourceRecord", "arrival_order", "read_lines", "reference_rows"]


class ReferenceRow(NamedTuple):
    """A final merged row; ``visitors`` are the visitor keys themselves."""

    kind: str
    start_ms: int
    end_ms: int
    horizon_ms: int | None
    segment: Segment
    counters: dict[str, int]
    visitors: frozenset[str]

    def as_dict(self, spec: EngineSpec) -> dict[str, Any]:
        """The row as a line of a rows file says it, with the exact number of visitors."""
        told: dict[str, Any] = {
            "counters": self.counters,
            "end_ms": self.end_ms,
            "partition": None,
            "revision": 0,
            "row": self.kind,
            "segment": dict(self.segment),
            "spec": spec.fingerprint,
            "start_ms": self.start_ms,
        }
        if self.horizon_ms is not None:
            told["horizon_ms"] = self.horizon_ms
        if self.visitors:
            told["visitors"] = len(self.visitors)
        return told


def read_lines(path: Path) -> list[SourceRecord]:
    """The lines of a JSONL file, in arrival order."""
    lines = path.read_bytes().split(b"\n")
    return [SourceRecord("file", n, None, None, line) for n, line in enumerate(lines) if line.strip()]


def reference_rows(records: Iterable[SourceRecord | Idle], spec: EngineSpec) -> list[ReferenceRow]:
    """The final rows of one partition whose records arrive in the given order (see ``arrival_order``)."""
    arrivals = receive(records, spec)
    shop = Shop(spec)
    shop.process(arrivals.accepted)
    for moment, counter in arrivals.quality:
        shop.ledger.count_whole(moment, counter)
    rows = _window_rows(shop, arrivals) + _cohort_rows(shop)
    return sorted(rows, key=_order)


def _window_rows(shop: Shop, arrivals: Arrivals) -> list[ReferenceRow]:
    ledger, size = shop.ledger, shop.spec.window_ms
    keys = {key for key, counters in ledger.windows.items() if counters} | set(ledger.visitors)
    if arrivals.first_ms is not None and arrivals.stream_ms is not None:
        first, last = ledger.start_of(arrivals.first_ms), ledger.start_of(arrivals.stream_ms)
        keys |= {(start, WHOLE) for start in range(first, last + 1, size)}
    return [
        ReferenceRow(
            kind="window",
            start_ms=start,
            end_ms=start + size,
            horizon_ms=None,
            segment=segment,
            counters=dict(ledger.windows.get((start, segment), {})),
            visitors=frozenset(ledger.visitors.get((start, segment), ())),
        )
        for start, segment in keys
    ]


def _cohort_rows(shop: Shop) -> list[ReferenceRow]:
    size = shop.spec.window_ms
    return [
        ReferenceRow("cohort", start, start + size, horizon, segment, dict(counters), frozenset())
        for (start, horizon, segment), counters in shop.ledger.cohorts.items()
    ]


def _order(row: ReferenceRow) -> tuple[Any, ...]:
    return (row.start_ms, row.kind == "cohort", row.horizon_ms or 0, len(row.segment), row.segment)
