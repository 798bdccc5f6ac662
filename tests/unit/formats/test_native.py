"""The native format: reasons, defects, and the typed decoder beside the careful one."""

import json
from random import Random
from typing import Any

import orjson
import pytest

from streams.engine import EngineSpec
from streams.engine.decode import Decoded, Decoder
from streams.errors import ConfigError
from streams.formats.native import NativeReader

GOOD = {"event_id": "e", "event_type": "page_view", "event_time": 1_772_366_400_000, "session_id": "s"}


def decode(event: Any, key: bytes | None = None) -> Decoded:
    value = event if isinstance(event, bytes) else json.dumps(event).encode()
    (one,) = Decoder(EngineSpec()).decode("clickstream", key, value, -1)
    return one


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"[1]", "not_json"),
        (b"", "not_json"),
        (b'{"event_type":"page_view","event_time":1,"session_id":"s","x":"\xff"}', "not_json"),
        (b'{"event_type":"page_view","event_time":NaN,"session_id":"s"}', "not_json"),
        (GOOD | {"event_type": ""}, "no_event_type"),
        (GOOD | {"event_type": None}, "no_event_type"),
        (GOOD | {"event_type": "sneeze"}, "unknown_event_type"),
        (GOOD | {"event_type": ["page_view"]}, "unknown_event_type"),
        (GOOD | {"event_time": ""}, "no_event_time"),
        (GOOD | {"event_time": "2026-03-01T12:00:00"}, "bad_event_time"),
        (GOOD | {"event_time": "2026-02-30T12:00:00Z"}, "bad_event_time"),
        (GOOD | {"event_time": True}, "bad_event_time"),
        (GOOD | {"event_time": 1.5}, "bad_event_time"),
        (GOOD | {"event_time": 10**30}, "bad_event_time"),
        (GOOD | {"session_id": ""}, "no_session"),
        (GOOD | {"x": "y" * (1 << 20)}, "too_large"),
    ],
)
def test_what_cannot_be_counted_has_a_reason(event: Any, reason: str) -> None:
    assert decode(event).reason == reason


@pytest.mark.parametrize(
    ("fields", "defects"),
    [
        ({"amount": "12,5"}, ["amount"]),
        ({"amount": -1}, ["amount"]),
        ({"amount": True}, ["amount"]),
        ({"currency": "EURO"}, ["currency"]),
        ({"currency": 978}, ["currency"]),
        ({"items": {"a": 1}}, ["items"]),
        (
            {"items": ["shoe", {"quantity": 0}, {"quantity": "2"}, {"category": []}]},
            ["items", "quantity", "quantity", "category"],
        ),
        ({"device": {}}, ["device"]),
        ({"order_id": False}, ["order_id"]),
        ({"sent_at": "yesterday", "append_time": []}, ["append_time", "sent_at"]),
        ({"device": "", "amount": "", "currency": None, "items": "", "sent_at": ""}, []),
        ({"price": {}, "decline": 5, "reason": []}, []),
    ],
)
def test_a_defect_drops_its_field_and_is_counted(fields: dict[str, Any], defects: list[str]) -> None:
    one = decode(GOOD | fields)
    assert one.event is not None
    assert list(one.defects) == defects


def test_numbers_become_their_text() -> None:
    event = decode(GOOD | {"session_id": 7, "order_id": 12345}).event
    assert event is not None
    assert (event.key, event.order_id) == ("7", "12345")


def test_the_record_key_stands_in_for_a_session_id() -> None:
    event = decode({"event_type": "page_view", "event_time": 1}, key=b"k").event
    assert event is not None
    assert event.key == "k"


def test_an_event_cannot_set_what_the_engine_decides() -> None:
    event = decode(GOOD | {" late": True, " key": "other", " ms": 5, " kind": 15}).event
    assert event is not None
    assert (event.key, event.event_ms, event.kind) == ("s", GOOD["event_time"], 0)


VALUES: list[Any] = ["", "x", "12.5", "eur", None, True, 0, 3, -2, 1.5, 10**20, [], [{}], {}]
VALUES += [[{"quantity": 2, "category": "c"}], [{"quantity": 0}]]
NAMES = [
    "event_id",
    "session_id",
    "visitor_id",
    "items",
    "amount",
    "currency",
    "order_id",
    "decline",
    "sent_at",
    "junk",
]


def essence(one: Decoded) -> Any:
    event = one.event
    if event is None:
        return one.reason
    quantities = [item.quantity for item in event.items or ()]
    return one.defects, event.key, event.event_ms, event.identity, event.order_id, event.amount, quantities


def test_the_typed_decoder_and_the_careful_one_agree() -> None:
    rng, spec, typed = Random(1), EngineSpec(), 0
    decoder = Decoder(spec)
    reader = NativeReader(spec.session_dimensions + spec.payment_dimensions, spec.product_dimensions)
    for _ in range(3_000):
        line = json.dumps(GOOD | {name: rng.choice(VALUES) for name in rng.sample(NAMES, rng.randint(0, 3))}).encode()
        typed += decoder._clean(line) is not None
        (fast,) = decoder.decode("clickstream", None, line, -1)
        defects: list[str] = []
        careful = reader.read(orjson.loads(line), defects)
        assert not isinstance(careful, tuple)
        assert essence(fast) == essence(decoder._settle(careful, None, line, (-1, 0), defects))
    assert typed > 500


def test_a_field_that_has_another_meaning_cannot_be_a_dimension() -> None:
    for name in ("amount", "items", "event_id", "", " late"):
        with pytest.raises(ConfigError):
            NativeReader((name,))


def test_a_dimension_may_be_called_like_what_the_engine_decides() -> None:
    reader = NativeReader(("late", "origin", "kind"), ("place",))
    event: Any = reader.decode(
        b'{"event_type":"page_view","event_time":1,"late":"l","kind":"k","items":[{"place":"p"}]}'
    )
    told = [getattr(event, attribute) for attribute in reader.event_attributes]
    assert (told, getattr(event.items[0], reader.item_attributes[0])) == (["l", None, "k"], "p")
    assert (event.late, event.kind) == (False, 0)
