"""What may come from outside, given to whatever reads it: any bytes, and no exception that is none of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import orjson

from streams.anomalies import decode_anomaly
from streams.engine.batch import Batch
from streams.engine.cube import decode_record, encode_cube
from streams.engine.engine import Engine
from streams.engine.rows import encode_row
from streams.engine.spec import EngineSpec, SourceSpec
from streams.errors import InputError, StateError
from streams.formats import FORMATS
from streams.live.ingest import dead_letter
from streams.live.snapshots import gather
from tests.support.malformed import NOON_MS

__all__ = ["TARGETS", "count", "restore", "seeds"]

BETWEEN = b"\n"
"""Parts the records of one input, and in a record its key from its value."""
KEY = b"\x01"
STEP_MS = 700


def spec_of(name: str) -> EngineSpec:
    """Two sources of a format, few values a dimension, rows of pairs: as much as can be between input and rows."""
    sources = (SourceSpec("clicks", name), SourceSpec("orders", name))
    return EngineSpec(sources=sources, max_values=2, pairs=(("channel", "device"),), max_record_bytes=4_096)


def count(name: str, data: bytes) -> None:
    """Records of a format through an engine: counted or rejected, told, saved, restored and ended."""
    spec = spec_of(name)
    engine = Engine(spec, 0)
    records = data.split(BETWEEN)[:40]
    for topic in ("clicks", "orders"):
        # The same bytes to both topics, at other times: copies, late ones and payments without a session come of it.
        engine.push(batch_of(topic, records))
        engine.set_caught_up(topic, True)
    outcome = engine.drain()
    assert outcome.records == 2 * len(records), f"{outcome.records} of {2 * len(records)} records were absorbed"
    for reject in outcome.rejects:
        dead_letter(reject, 64)
    restored = Engine.restore(spec, 0, engine.snapshot())
    for topic in ("clicks", "orders"):
        # What waits for its turn is read a second time, from where the state says.
        first = restored.resume_offsets.get(topic, len(records))
        if first < len(records):
            restored.push(batch_of(topic, records, first))
        restored.set_caught_up(topic, True)
    rows = [engine.finish().rows, [*restored.drain().rows, *restored.finish().rows]]
    told = [[encode_row(row) for row in some] for some in rows]
    assert told[0] == told[1], "a restored engine goes on otherwise"
    for row in outcome.rows:
        decode_record(encode_row(row))
    for cube in outcome.cubes:
        decode_record(encode_cube(cube))


def batch_of(topic: str, records: list[bytes], first: int = 0) -> Batch:
    """Records of one input from a place on, as a batch of a topic."""
    parts = [record.rpartition(KEY) for record in records[first:]]
    places = range(first, len(records))
    late_ms = 0 if topic == "clicks" else 333
    return Batch(
        topic=topic,
        partition=0,
        offsets=list(places),
        append_ms=[NOON_MS + STEP_MS * place + late_ms for place in places],
        keys=[key if found else None for key, found, _ in parts],
        values=[value or None for *_, value in parts],
    )


def read(data: bytes) -> None:
    """Bytes as a record of the workers' own topics."""
    for decode in (decode_record, decode_anomaly):
        with contextlib.suppress(InputError):
            decode(data)


def restore(data: bytes) -> None:
    """Bytes as a stored state, and as pieces of one on the topic."""
    with contextlib.suppress(StateError):
        Engine.restore(spec_of("native"), 0, data)
    parts = [record.partition(KEY) for record in data.split(BETWEEN)]
    with contextlib.suppress(StateError):
        gather([(key, value or None, NOON_MS) for key, _, value in parts])


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    **{name: lambda data, name=name: count(name, data) for name in FORMATS},  # type: ignore[misc]
    "rows": read,
    "state": restore,
}
"""By name, what takes any bytes."""


def seeds(name: str) -> list[bytes]:
    """Inputs from which others can grow: whole stories, a row, a state."""
    event = {"event_time": NOON_MS, "session_id": "s", "visitor_id": "v", "channel": "sem", "device": "ios"}
    money = {"order_id": "o", "payment_id": "p", "amount": "19.90", "currency": "EUR"}
    kinds = (
        "page_view",
        "product_view",
        "add_to_cart",
        "checkout_started",
        "order_placed",
        "payment_failed",
        "order_paid",
    )
    native = BETWEEN.join(orjson.dumps({"event_id": kind, "event_type": kind, **event, **money}) for kind in kinds)
    item = {"item_id": "p", "quantity": 2, "price": 3.5, "item_category": "shoes"}
    params = {"session_id": 1, "transaction_id": "o", "value": 7, "currency": "EUR", "items": [item]}
    names = ("view_item", "add_to_cart", "begin_checkout", "purchase", "refund")
    events = [{"name": one, "params": params, "timestamp_micros": NOON_MS * 1_000} for one in names]
    bodies = [
        {"client_id": "v", "events": events},
        *({"event_name": one, "event_timestamp": NOON_MS * 1_000} for one in names),
    ]
    track = {"type": "track", "anonymousId": "v", "timestamp": "2026-03-01T12:00:00Z", "messageId": "m"}
    acts = ("Product Viewed", "Product Added", "Checkout Started", "Order Completed", "Order Refunded")
    told = [{**track, "event": one, "properties": {"order_id": "o", "total": 7, "products": [item]}} for one in acts]
    if name in FORMATS:
        values = {"native": native, "ga4": BETWEEN.join(map(orjson.dumps, bodies))}
        return [values.get(name, BETWEEN.join(map(orjson.dumps, told))), b"s" + KEY + native]
    engine = Engine(spec_of("native"), 0)
    engine.push(batch_of("clicks", native.split(BETWEEN)))
    engine.set_caught_up("clicks", True)
    engine.set_caught_up("orders", True)
    engine.drain()
    if name == "state":
        return [engine.snapshot()]
    outcome = engine.finish()
    return [*map(encode_row, outcome.rows[:5]), *map(encode_cube, outcome.cubes[:2])]
