"""The pure engine: batches of records in, KPI rows out, in event time."""

from streams.engine.batch import NO_APPEND_TIME, Batch, Outcome, Reject
from streams.engine.engine import Engine
from streams.engine.rows import WHOLE, Row, RowKind, Segment, decode_row, encode_row, row_key, row_order
from streams.engine.sketch import estimate_visitors, sketch_visitors, unite_sketches
from streams.engine.spec import EngineSpec, SourceSpec

__all__ = [
    "NO_APPEND_TIME",
    "WHOLE",
    "Batch",
    "Engine",
    "EngineSpec",
    "Outcome",
    "Reject",
    "Row",
    "RowKind",
    "Segment",
    "SourceSpec",
    "decode_row",
    "encode_row",
    "estimate_visitors",
    "row_key",
    "row_order",
    "sketch_visitors",
    "unite_sketches",
]
