"""Many records at once: what a run of them says is what each of them says alone."""

import json
from random import Random
from typing import Any

import pytest

from streams.engine import EngineSpec, SourceSpec
from streams.engine.arrival import Run
from streams.engine.decode import Decoded, Decoder
from streams.events import EVENT_TYPES
from tests.support.malformed import DEFECTS, ODDITIES, POISON

TIME_MS = 1_772_366_400_000
SPEC = EngineSpec(sources=(SourceSpec("clickstream"), SourceSpec("orders")), max_out_of_orderness_ms=5_000)
TIMES: list[Any] = [
    TIME_MS,
    TIME_MS + 4_999,
    "2026-03-01T12:00:01.250Z",
    "2026-03-01T20:00:02+08:00",
    TIME_MS - 5_001,
    -1,
]
KEYS = [None, b"", b"s-1", "\u00e9".encode(), b"\xff", b"k" * 128, b"k" * 129]
ORDERS = {"order_id": "o-1", "payment_id": "p-1", "amount": "3.50", "currency": "EUR", "payment_method": "card"}


def lines_of(rng: Random, orders: float, poison: float) -> list[bytes | None]:
    lines: list[bytes | None] = []
    for number in range(150):
        event = {"event_id": f"e-{number}", "event_type": rng.choice(EVENT_TYPES), "event_time": rng.choice(TIMES)}
        event |= rng.choice([{}, {"session_id": "s"}, {"session_id": "s" * 129}, {"visitor_id": "v", "event_id": ""}])
        event |= ORDERS if rng.random() < orders else {}
        event |= rng.choice([*DEFECTS, *ODDITIES]) if rng.random() < poison else {}
        is_poison = rng.random() < poison / 4
        lines.append(rng.choice([*POISON, None]) if is_poison else json.dumps(event, ensure_ascii=False).encode())
    return lines


def essence(event: Any) -> dict[str, Any]:
    """All that an event says, but for what depends on the records around it."""
    told = {name: getattr(event, name) for name in event.__struct_fields__}
    told["items"] = [str(item) for item in event.items or ()]
    for name in ("order_ms", "noted_ms", "origin", "place"):
        del told[name]
    return told


@pytest.mark.parametrize(("orders", "poison"), [(0.0, 0.0), (0.1, 0.0), (0.9, 0.0), (0.05, 0.2)])
def test_a_run_says_what_its_records_say(orders: float, poison: float) -> None:
    rng = Random(5)
    for seed in range(12):
        many, alone = Decoder(SPEC), Decoder(SPEC)
        values = lines_of(rng, orders, poison)
        size = len(values)
        keys = [rng.choice(KEYS) if seed % 3 else b"s-1" for _ in values]
        appends = [rng.choice((-1, TIME_MS + 2_000, TIME_MS + 60_000)) for _ in values]
        run = Run("orders", range(size), appends, appends, appends, keys, values)
        for place, found in enumerate(many.decode_all(run, TIME_MS)):
            expected = alone.decode("orders", keys[place], values[place], appends[place])
            if place in run.odd:
                assert [one._replace(event=None) for one in found] == [one._replace(event=None) for one in expected]
                told = [one.event for one in found]
            else:
                assert expected == [Decoded(expected[0].event)]
                assert found.event_ms == found.order_ms >= found.noted_ms - 5_000
                told = [found]
            for event, other in zip(told, (one.event for one in expected), strict=True):
                assert (event is None) == (other is None)
                assert event is None or essence(event) == essence(other)


def test_stream_time_after_each_event_is_the_largest_so_far_and_what_is_behind_is_odd() -> None:
    times = [TIME_MS + 10, TIME_MS + 7_000, TIME_MS + 2_000, TIME_MS + 1_999, TIME_MS + 6_000]
    values = [
        json.dumps({"event_id": f"e{ms}", "event_type": "page_view", "event_time": ms, "session_id": "s"}).encode()
        for ms in times
    ]
    run = Run("clickstream", range(5), [-1] * 5, [-1] * 5, [-1] * 5, [None] * 5, values)
    found = Decoder(SPEC).decode_all(run, TIME_MS + 500)
    assert list(run.odd) == [3]
    noted = [event.noted_ms - TIME_MS for place, event in enumerate(found) if place != 3]
    assert noted == [500, 7_000, 7_000, 7_000]
