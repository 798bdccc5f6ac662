"""Cost of the engine by stage, beside a bare loop (parse and count) over the same bytes, in turns in the same run.

    python -m benchmarks.engine_stages [--events 150000] [--shop]

The stream is that of ``make_lines``, in one topic; with ``--shop`` it is a simulated shop's, in two.

Of several rounds the best time of each batch counts. Ratios to the bare loop repeat within about a tenth; microseconds
of processor time depend on the machine.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from random import Random
from time import process_time
from typing import Any

import orjson

from streams.engine import NO_APPEND_TIME, Batch, Engine, EngineSpec, SourceSpec
from streams.simulate.shop import Shop
from streams.simulate.spec import ShopSpec

START_MS = 1_772_366_400_000
EVENTS_PER_SECOND = 200
FETCH = 2_000
SESSIONS_PER_MINUTE = 1_500.0
"""Of the simulated shop."""
ROUNDS = 4
"""What else the machine does disturbs one round here and another there."""
CHANNELS = ("sem", "seo", "direct", "mail", "social", "affiliate")
DEVICES = ("ios", "android", "web")
REGIONS = tuple(f"CN-{number}" for number in range(11, 45))
CUSTOMERS = ("new", "returning")
CATEGORIES = tuple(f"c-{number}" for number in range(20))
METHODS = ("alipay", "wechat", "card", "cod")
KINDS = ("page_view", "list_view", "product_view", "add_to_cart", "remove_from_cart", "cart_view", "checkout_started")
WEIGHTS = (40, 22, 24, 6, 1, 3, 2)


def make_lines(count: int) -> list[bytes]:
    """A seeded stream: browsing by many open sessions, 4.5 % orders, copies, and disorder up to 4 s."""
    rng = Random(7)
    live: list[dict[str, Any]] = []
    lines: list[tuple[float, bytes]] = []
    for number in range(count):
        at_ms = START_MS + number * 1000 // EVENTS_PER_SECOND
        if not live or rng.random() < 0.12:
            live.append(_shopper(rng, number))
        shopper = live[-1 - min(int(rng.expovariate(1 / 1500)), len(live) - 1)]
        event = _event(rng, number, at_ms, shopper)
        line = orjson.dumps(event)
        lines.append((at_ms + rng.random() * 4_000, line))
        if rng.random() < 0.005:
            lines.append((at_ms + 4_000 + rng.random() * 20_000, line))
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]


def _shopper(rng: Random, number: int) -> dict[str, Any]:
    return {
        "session_id": f"s-{number:x}-{rng.getrandbits(48):012x}",
        "visitor_id": f"v-{rng.getrandbits(48):012x}",
        "channel": rng.choice(CHANNELS),
        "device": rng.choice(DEVICES),
        "region": rng.choice(REGIONS),
        "customer_type": rng.choice(CUSTOMERS),
    }


def _event(rng: Random, number: int, at_ms: int, shopper: dict[str, Any]) -> dict[str, Any]:
    second, milli = divmod(at_ms - START_MS, 1000)
    hour, rest = divmod(second, 3600)
    clock = f"2026-03-01T{12 + hour:02}:{rest // 60:02}:{rest % 60:02}.{milli:03}Z"
    event = {"event_id": f"e-{number:09}-{rng.getrandbits(32):08x}", "event_time": clock, **shopper}
    if rng.random() < 0.045:
        order = {
            "order_id": f"o-{shopper['session_id']}",
            "payment_method": rng.choice(METHODS),
            "payment_provider": "psp-1",
        }
        kind = rng.choice(("order_placed", "payment_attempted", "payment_succeeded", "payment_failed", "order_paid"))
        return {
            **event,
            **order,
            "event_type": kind,
            "payment_id": f"p-{number}",
            "amount": "199.00",
            "currency": "CNY",
        }
    kind = rng.choices(KINDS, WEIGHTS)[0]
    event["event_type"] = kind
    if kind in ("product_view", "add_to_cart"):
        event["items"] = [{"product_id": "p-1", "category": rng.choice(CATEGORIES), "quantity": 1, "price": "99.00"}]
    return event


STAGES = ("decode", "dedup", "apply", "close", "rest")


class Stages:
    """Clocks at the borders of an engine's stages; what a stage calls of another is taken off it."""

    def __init__(self, engine: Any) -> None:
        self.spent = dict.fromkeys(STAGES, 0.0)
        self._inner = 0.0
        shop = engine._shop
        self._time(engine._decoder, "decode_all", "decode")
        self._time(shop.duplicates, "sift", "dedup")
        self._time(shop, "apply_all", "apply")
        for owner, name in ((shop, "fire"), (shop, "forget"), (shop.ledger, "close")):
            self._time(owner, name, "close")
        self._time(engine, "drain", "rest")

    def _time(self, owner: Any, name: str, stage: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any) -> Any:
            outside, self._inner = self._inner, 0.0
            started = process_time()
            try:
                return call(*args)
            finally:
                whole = process_time() - started
                self.spent[stage] += whole - self._inner
                self._inner = outside + whole

        setattr(owner, name, timed)


def bare(values: Sequence[bytes | None], counts: dict[str, int]) -> None:
    """The least that any consumer does: parse and count."""
    loads = orjson.loads
    for value in values:
        try:
            kind = loads(value or b"")["event_type"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            kind = "poison"
        counts[kind] = counts.get(kind, 0) + 1


def stream_batches(count: int) -> list[list[Batch]]:
    """Fetches of the seeded stream: one topic, no keys and no append times, as in a file."""
    lines = make_lines(count)
    fetches = []
    for start in range(0, len(lines), FETCH):
        values = lines[start : start + FETCH]
        size = len(values)
        offsets = range(start, start + size)
        fetches.append([Batch("clickstream", 0, offsets, [NO_APPEND_TIME] * size, [None] * size, values)])
    return fetches


def shop_batches(count: int) -> list[list[Batch]]:
    """Fetches of a simulated shop: two topics, records with keys and append times."""
    offsets: dict[str, int] = {"clickstream": 0, "orders": 0}
    fetches: list[list[Batch]] = []
    waiting: list[Any] = []
    shop = Shop(ShopSpec(sessions_per_minute=SESSIONS_PER_MINUTE, rhythm=0.0))
    for number, record in enumerate(shop.events(START_MS, START_MS + 86_400_000), start=1):
        waiting.append(record)
        if len(waiting) == FETCH or number == count:
            fetches.append([])
            for topic, first in offsets.items():
                told = [one for one in waiting if one.topic == topic]
                offsets[topic] = first + len(told)
                columns = ([one.append_ms for one in told], [one.key for one in told], [one.value for one in told])
                fetches[-1].append(Batch(topic, 0, range(first, first + len(told)), *columns))
            waiting = []
        if number == count:
            break
    return fetches


def one_round(fetches: list[list[Batch]], best: dict[tuple[str, int], float]) -> str:
    """Both in turns over all fetches; keeps the least time of each part of each fetch. Returns what was run."""
    engine = Engine(EngineSpec(sources=tuple(SourceSpec(batch.topic) for batch in fetches[0])), 0)
    stages = Stages(engine)
    counts: dict[str, int] = {}
    rows = 0
    for number, batches in enumerate(fetches):
        before = dict(stages.spent)
        started = process_time()
        for batch in batches:
            bare(batch.values, counts)
        between = process_time()
        for batch in batches:
            engine.push(batch)
        rows += len(engine.drain().rows)
        ended = process_time()
        spent = {"bare": between - started, "total": ended - between}
        spent |= {stage: stages.spent[stage] - before[stage] for stage in STAGES}
        for part, seconds in spent.items():
            best[part, number] = min(best.get((part, number), seconds), seconds)
    return f"{engine.open_sessions} sessions, {rows} rows"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print microseconds an event and ratios, of the best of some rounds fetch by fetch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=150_000)
    parser.add_argument("--shop", action="store_true")
    told = parser.parse_args(arguments)
    fetches = shop_batches(told.events) if told.shop else stream_batches(told.events)
    values = [value for batches in fetches for batch in batches for value in batch.values]
    gc.collect()
    gc.freeze()
    best: dict[tuple[str, int], float] = {}
    found = [one_round(fetches, best) for _ in range(ROUNDS)][-1]
    sums: dict[str, float] = {}
    for (part, _), seconds in best.items():
        sums[part] = sums.get(part, 0.0) + seconds
    print(f"{len(values)} events, {sum(len(one or b'') for one in values) // len(values)} bytes, {found}")
    for part in ("bare", *STAGES, "total"):
        print(f"{part:12} {sums[part] * 1e6 / len(values):6.2f} us {sums[part] / sums['bare']:6.2f} x bare")
    return 0


if __name__ == "__main__":
    sys.exit(main())
