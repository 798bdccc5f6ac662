"""Rows: one window (or cohort, or correction) of one segment and one partition, on the topic and in files."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import orjson

from streams.errors import InputError

__all__ = ["WHOLE", "Row", "RowKind", "Segment", "decode_row", "encode_row", "row_key", "row_order"]

RowKind = Literal["window", "cohort", "correction"]
KINDS = frozenset(get_args(RowKind))
Segment = tuple[tuple[str, str], ...]
"""Sorted ``(dimension, value)`` pairs: none is the whole, one a single value, two a configured pair."""

WHOLE: Segment = ()
LARGEST = (1 << 63) - 1
"""The largest sum that is written down; only nonsense is larger."""


class Row(NamedTuple):
    """Counters of ``[start_ms, end_ms)`` in one segment.

    ``partition`` is None in a merged row. A cohort row (or a correction to one) has ``horizon_ms``; a
    correction has ``correction`` >= 1, counting up per window and segment. ``sketch`` is the serialised
    visitor sketch of the row, None where it has no visitor; ``visitors`` the estimate, merged rows only.
    """

    kind: RowKind
    start_ms: int
    end_ms: int
    segment: Segment
    partition: int | None
    counters: Mapping[str, int]
    spec: str
    revision: int = 0
    horizon_ms: int | None = None
    correction: int = 0
    sketch: bytes | None = None
    visitors: float | None = None
    missing_partitions: tuple[int, ...] = ()


def row_key(row: Row) -> bytes:
    """The key of a row on the compacted topic: equal keys overwrite each other.

    >>> row_key(Row("window", 0, 60_000, (("device", "ios"),), 3, {}, "f"))
    b'60000|{"device":"ios"}|3'
    """
    tail = f"|h{row.horizon_ms}" if row.horizon_ms is not None else ""
    tail += f"|c{row.correction}" if row.kind == "correction" else ""
    partition = "" if row.partition is None else row.partition
    return f"{row.end_ms}|{orjson.dumps(dict(row.segment)).decode()}|{partition}{tail}".encode()


def encode_row(row: Row) -> bytes:
    """One line of JSON: keys sorted, compact, UTF-8 unescaped, empty fields left out.

    ``segment`` and ``counters`` are always there: ``{}`` is the whole, and a window of zeros.

    >>> encode_row(Row("window", 0, 60_000, (), 3, {"sessions": 12}, "f"))
    b'{"counters":{"sessions":12},"end_ms":60000,"partition":3,"revision":0,"row":"window","segment":{},"spec":"f","start_ms":0}'
    """
    told: dict[str, Any] = {
        "counters": dict(row.counters),
        "end_ms": row.end_ms,
        "partition": row.partition,
        "revision": row.revision,
        "row": row.kind,
        "segment": dict(row.segment),
        "spec": row.spec,
        "start_ms": row.start_ms,
    }
    if row.horizon_ms is not None:
        told["horizon_ms"] = row.horizon_ms
    if row.correction:
        told["correction"] = row.correction
    if row.sketch is not None:
        told["visitors_sketch"] = base64.b64encode(row.sketch).decode()
    if row.visitors is not None:
        told["visitors"] = row.visitors
    if row.missing_partitions:
        told["missing_partitions"] = list(row.missing_partitions)
    try:
        return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # a sum beyond 64 bits: nonsense that somebody sent, and no reason to stop
        told["counters"] = {name: min(count, LARGEST) for name, count in row.counters.items()}
        return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def decode_row(data: bytes) -> Row:
    """The row of a line; raises ``InputError`` where it is not one.

    >>> row = Row("cohort", 0, 60_000, (("device", "ios"),), None, {"cohort.sessions@15m": 4}, "f", horizon_ms=900_000)
    >>> decode_row(encode_row(row)) == row
    True
    """
    try:
        told = orjson.loads(data)
        if told.get("row", "window") not in KINDS:
            raise ValueError(f"it is a {told['row']!r}")
        sketch = told.get("visitors_sketch")
        return Row(
            kind=told.get("row", "window"),
            start_ms=int(told["start_ms"]),
            end_ms=int(told["end_ms"]),
            segment=tuple(sorted(told.get("segment", {}).items())),
            partition=told.get("partition"),
            counters=told.get("counters", {}),
            spec=told.get("spec", ""),
            revision=told.get("revision", 0),
            horizon_ms=told.get("horizon_ms"),
            correction=told.get("correction", 0),
            sketch=base64.b64decode(sketch) if sketch else None,
            visitors=told.get("visitors"),
            missing_partitions=tuple(told.get("missing_partitions", ())),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"not a KPI row: {error}", key="row", value=data[:80], way_out="write rows as `replay --rows` does"
        ) from error


def row_order(row: Row) -> tuple[Any, ...]:
    """Sort key of a rows file: start, window before cohort, whole first, then dimension and value by code point."""
    return (row.start_ms, row.kind != "window", row.horizon_ms or 0, len(row.segment), row.segment)
