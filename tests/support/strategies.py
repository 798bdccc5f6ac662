"""Adversarial streams of native records: everything that happens to a topic on a bad day, on purpose and often."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

from hypothesis import strategies as st

from streams.engine.spec import EngineSpec
from tests.support.malformed import DEFECTS, ODDITIES, POISON
from tests.support.reference.arrival import arrival_order
from tests.support.reference.decoding import SourceRecord

__all__ = ["Scenario", "adversarial_scenario", "compact_spec", "scenarios"]

START_MS = 1_772_366_400_000
DAY_MS = 86_400_000

SHOPPING = {
    "page_view": 8,
    "product_view": 9,
    "list_view": 4,
    "add_to_cart": 9,
    "remove_from_cart": 4,
    "cart_view": 3,
    "checkout_started": 5,
    "checkout_step": 4,
    "order_placed": 5,
    "payment_attempted": 5,
    "payment_succeeded": 5,
    "payment_failed": 4,
    "order_paid": 6,
    "order_cancelled": 2,
    "order_refunded": 3,
    "ad_report": 1,
}
ORDER_EVENTS = [name for name in SHOPPING if name.startswith(("order_", "payment_"))]


@dataclass(frozen=True)
class Scenario:
    """Logs of one partition and the spec to read them with; ``is_file`` where they are the lines of a file."""

    spec: EngineSpec
    logs: tuple[tuple[SourceRecord, ...], ...]
    is_file: bool
    format_name: str = "native"

    def arrivals(self) -> list[SourceRecord]:
        """The records in arrival order."""
        return list(self.logs[0]) if self.is_file else arrival_order(self.logs)


def compact_spec(rng: Random) -> EngineSpec:
    """Short durations and small caps, so that a hundred records meet every timer and every cap."""
    pairs = rng.choice([(), (("channel", "device"),), (("category", "channel"), ("device", "payment_method"))])
    return EngineSpec(
        window_ms=10_000,
        grace_ms=rng.choice([0, 3_000, 5_000]),
        max_out_of_orderness_ms=rng.choice([0, 2_000, 4_000]),
        max_lateness_ms=rng.choice([30_000, 60_000]),
        max_future_ms=rng.choice([0, 8_000]),
        session_gap_ms=rng.choice([8_000, 20_000, 30_000, 45_000]),
        abandonment_timeout_ms=rng.choice([15_000, 30_000, 50_000]),
        conversion_window_ms=rng.choice([40_000, 100_000, 240_000]),
        order_memory_ms=rng.choice([60_000, 120_000, 300_000]),
        cohort_horizons_ms=rng.choice([(15_000,), (5_000, 60_000), ()]),
        pairs=pairs,
        max_values=rng.choice([1, 2, 3, 50]),
        derive_event_id=rng.choice(["content", "content", "none"]),
        max_record_bytes=rng.choice([600, 1 << 20]),
        page_view_events=rng.choice([("page_view",), ("page_view",), ("page_view", "list_view")]),
    )


def adversarial_scenario(rng: Random, spec: EngineSpec | None = None, size: int = 120) -> Scenario:
    """A scenario of about ``size`` records; with no ``spec`` a compact or the default one."""
    if spec is None:
        spec = EngineSpec() if rng.random() < 0.3 else compact_spec(rng)
    is_file = rng.random() < 0.4
    sends = _Writer(rng, spec, is_file).write(size)
    if is_file:
        values = [value for _, _, _, value in sorted(sends, key=lambda send: send[0]) if value is not None]
        lines = tuple(SourceRecord("file", n, None, None, value) for n, value in enumerate(values))
        return Scenario(spec, (lines,), True)
    logs = tuple(_log(rng, topic, [s for s in sends if s[1] == topic]) for topic in ("clickstream", "orders"))
    return Scenario(spec, logs, False)


def scenarios(spec: EngineSpec | None = None, size: int = 60) -> st.SearchStrategy[Scenario]:
    """Scenarios for hypothesis: the same writer, its choices drawn (and shrunk) by hypothesis."""
    return st.builds(lambda seed: adversarial_scenario(Random(seed), spec, size), st.integers(0, 2**32))


Send = tuple[int, str, bytes | None, bytes | None]
"""Append time, topic, key, value."""


def _log(rng: Random, topic: str, sends: list[Send]) -> tuple[SourceRecord, ...]:
    """Offsets with holes, as compaction leaves them, and append times that sometimes step back."""
    noise = rng.choice([0, 0, 1_500])
    offset = rng.randrange(1_000)
    records = []
    for append_ms, _, key, value in sorted(sends, key=lambda send: send[0] + rng.randint(0, noise)):
        offset += rng.choice([1, 1, 1, 3])
        records.append(SourceRecord(topic, offset, append_ms, key, value))
    return tuple(records)


class _Writer:
    """Writes one stream; every choice is drawn from ``rng``."""

    def __init__(self, rng: Random, spec: EngineSpec, is_file: bool) -> None:
        self.rng, self.spec, self.is_file = rng, spec, is_file
        self.keys = [f"k{n}" for n in range(rng.choice([1, 2, 3, 5]))]
        self.guarded = not is_file or rng.random() < 0.5
        self.quantum = rng.choice([1, 500, 1_000, 5_000]) if spec.window_ms <= 10_000 else rng.choice([1, 1_000])
        self.now = START_MS + rng.randrange(0, 20_000, 500)
        self.times: list[int] = []
        self.orders: list[tuple[int, Any]] = []
        self.sends: list[Send] = []
        self.days = 0

    def write(self, size: int) -> list[Send]:
        for number in range(size):
            chance = self.rng.random()
            if chance < 0.03:
                self._poison()
            elif chance < 0.10 and self.sends:
                self._copy()
            else:
                self._event(number)
            self._move_on()
        return self.sends

    def _move_on(self) -> None:
        spec, rng = self.spec, self.rng
        chance = rng.random()
        if chance < 0.80:
            step = rng.randint(0, spec.window_ms // 6)
        elif chance < 0.95:
            step = rng.randint(0, 2 * spec.window_ms)
        elif chance < 0.99:
            step = rng.choice([spec.session_gap_ms, spec.abandonment_timeout_ms, spec.max_lateness_ms])
            step += rng.choice([-spec.window_ms, 0, 1, spec.window_ms])
        else:
            step = min(spec.conversion_window_ms, DAY_MS) if self.days < 2 else 0
            self.days += 1
        self.now += step - step % self.quantum if rng.random() < 0.9 else step

    def _event(self, number: int) -> None:
        rng = self.rng
        event_ms, order_id = self._event_ms(), None
        if self.orders and rng.random() < 0.06:
            told_ms, order_id = rng.choice(self.orders[-20:])
            event_ms = min(told_ms + self.spec.order_memory_ms + rng.choice([-1, 0, 1]), event_ms + self.spec.window_ms)
        delay = self._delay()
        append_ms = max(0, event_ms + delay)
        kind = rng.choices(list(SHOPPING), weights=list(SHOPPING.values()))[0]
        event: dict[str, Any] = {"event_type": kind}
        shift = 0
        if self.guarded and rng.random() < 0.08:
            shift = rng.choice([-7_200_000, -9_000, -1_000, 1_000, 30_000])
            event["sent_at"] = self._written(append_ms + shift, exact=True)
        event["event_time"] = self._written(event_ms + shift)
        key = rng.choice(self.keys)
        record_key = self._identify(event, key, number)
        self._describe(event, kind)
        if order_id is not None and kind in ORDER_EVENTS:
            event["order_id"] = order_id
        if rng.random() < 0.05:
            event |= rng.choice(DEFECTS)
        if rng.random() < 0.10:
            event |= rng.choice(ODDITIES)
        if self.is_file and self.guarded and rng.random() < 0.9:
            event.setdefault("append_time", self._written(append_ms, exact=True))
        if rng.random() < 0.03 and self.spec.max_record_bytes < 2_000:
            room = self.spec.max_record_bytes - len(json.dumps(event | {"note": ""}, ensure_ascii=False).encode())
            event["note"] = "x" * (room + rng.choice([0, 0, 1, 1, 500]))
        topic = "orders" if kind in ORDER_EVENTS and rng.random() < 0.8 else "clickstream"
        value = json.dumps(event, ensure_ascii=False).encode()
        self.times.append(event_ms)
        if "order_id" in event:
            self.orders.append((event_ms, event["order_id"]))
        self.sends.append((append_ms, topic, record_key, value))
        if kind == "order_paid" and rng.random() < 0.4:
            again = {**event, "event_id": f"again-{number}"}
            self.sends.append((append_ms + rng.randint(0, 5_000), "orders", record_key, json.dumps(again).encode()))

    def _event_ms(self) -> int:
        """Near now, or a boundary: a duration of the spec after an earlier event, one more, one less."""
        rng, spec = self.rng, self.spec
        if rng.random() < 0.05:
            closing = self.now - self.now % spec.window_ms + spec.grace_ms + spec.max_out_of_orderness_ms
            return closing + rng.choice([-1, -1, 0, 1])
        if self.times and rng.random() < 0.25:
            near = [
                spec.session_gap_ms,
                spec.abandonment_timeout_ms,
                spec.conversion_window_ms,
                spec.order_memory_ms,
                *spec.cohort_horizons_ms,
                0,
            ]
            moment = rng.choice(self.times[-12:]) + rng.choice(near) + rng.choice([-1, 0, 0, 0, 1])
            if self.now - spec.max_lateness_ms <= moment <= self.now + 2 * spec.window_ms:
                return moment
        return self.now - self.now % self.quantum

    def _delay(self) -> int:
        rng, spec = self.rng, self.spec
        patience = spec.window_ms + spec.grace_ms + spec.max_out_of_orderness_ms
        chance = rng.random()
        if chance < 0.55:
            return rng.randint(0, 1_000)
        if chance < 0.75:
            return rng.randint(0, 2 * spec.max_out_of_orderness_ms)
        if chance < 0.85:
            return rng.randint(0, 2 * patience)
        if chance < 0.93:
            return rng.randint(0, spec.max_lateness_ms)
        if chance < 0.96:
            return spec.max_lateness_ms + rng.randint(-spec.window_ms, 2 * spec.window_ms)
        return -rng.choice([1, 500, spec.max_future_ms, spec.max_future_ms + 1, 2 * spec.max_future_ms + 9])

    def _written(self, moment: int, *, exact: bool = False) -> int | str:
        """The moment in one of the accepted spellings."""
        rng = self.rng
        if rng.random() < 0.5:
            return moment
        at = datetime.fromtimestamp(moment // 1000, UTC)
        fraction = f".{moment % 1000:03d}" if moment % 1000 or rng.random() < 0.5 else ""
        if fraction and not exact and rng.random() < 0.3:
            fraction += rng.choice(["9", "999999", "000001"])
        if rng.random() < 0.6:
            return at.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"
        hours = rng.choice([8, -5])
        local = at.astimezone(timezone(timedelta(hours=hours)))
        return local.strftime("%Y-%m-%dT%H:%M:%S") + fraction + f"{hours:+03d}:00"

    def _identify(self, event: dict[str, Any], key: str, number: int) -> bytes | None:
        """Puts ids into ``event``; the record key."""
        rng = self.rng
        chance = rng.random()
        if chance < 0.85:
            event["event_id"] = f"e-{number}"
        elif chance < 0.92:
            event["event_id"] = f"e-{rng.randrange(6)}"
        if rng.random() < 0.7:
            event["visitor_id"] = f"v-{key}" if rng.random() < 0.8 else f"v-{rng.randrange(4)}"
        if rng.random() < 0.3:
            event["user_id"] = f"u-{rng.randrange(3)}"
        if self.is_file:
            if rng.random() < 0.98:
                event["session_id"] = key
            return None
        chance = rng.random()
        if chance < 0.80:
            event["session_id"] = key
        elif chance < 0.85:
            event["session_id"] = f"rotating-{number}"
        elif chance < 0.90:
            event["session_id"] = key
            return None
        elif chance < 0.91:
            return b""
        return key.encode()

    def _describe(self, event: dict[str, Any], kind: str) -> None:
        rng = self.rng
        pools = {
            "channel": ["sem", "mail", "direct", "social", "affiliate"],
            "device": ["ios", "android", "web", "tv"],
            "region": ["CN-31", "CN-11", "DE-BE"],
            "customer_type": ["new", "returning"],
        }
        for name, pool in pools.items():
            if rng.random() < 0.4:
                event[name] = rng.choice(pool)
        if rng.random() < 0.6 and kind in ("product_view", "add_to_cart", "remove_from_cart", "order_placed"):
            event["items"] = [self._item() for _ in range(rng.choice([0, 1, 1, 2, 3]))]
        if kind in ORDER_EVENTS:
            self._describe_order(event, kind)

    def _item(self) -> dict[str, Any]:
        rng = self.rng
        item: dict[str, Any] = {"product_id": f"p-{rng.randrange(5)}", "price": "19.90"}
        if rng.random() < 0.7:
            item["category"] = f"c{rng.randrange(5)}"
        if rng.random() < 0.7:
            item["quantity"] = rng.choice([1, 1, 2, 3])
        return item

    def _describe_order(self, event: dict[str, Any], kind: str) -> None:
        rng = self.rng
        if rng.random() < 0.85:
            event["order_id"] = f"o-{rng.randrange(6)}"
        if rng.random() < (0.7 if kind.startswith("payment_") else 0.15):
            event["payment_id"] = f"pay-{rng.randrange(6)}"
        if rng.random() < 0.6:
            event["amount"] = rng.choice(["398.00", "12.345", 7, 19.9, "0.005", "100"])
        if rng.random() < 0.7:
            event["currency"] = rng.choice(["CNY", "EUR", "eur", "JPY", "KWD"])
        if rng.random() < 0.4:
            event["payment_method"] = rng.choice(["alipay", "card", "cash"])
        if rng.random() < 0.3:
            event["payment_provider"] = rng.choice(["psp-1", "psp-2"])
        if kind == "payment_failed" and rng.random() < 0.8:
            event["decline"] = rng.choice(["soft", "hard", "strange"])

    def _poison(self) -> None:
        value = self.rng.choice([*POISON, None])
        key = self.rng.choice([b"k0", None])
        self.sends.append((self.now, self.rng.choice(["clickstream", "orders"]), key, value))

    def _copy(self) -> None:
        """An earlier record again: soon, after its window, or too late; sometimes on the other topic."""
        rng, spec = self.rng, self.spec
        append_ms, topic, key, value = rng.choice(self.sends[-40:])
        later = rng.choice([0, 1_000, spec.window_ms, 3 * spec.window_ms, spec.max_lateness_ms])
        if value and b'"sent_at"' in value:
            later = 0  # the copy's time would move with it, perhaps beyond the memory of ids
        if rng.random() < 0.2:
            topic = rng.choice(["clickstream", "orders"])
        self.sends.append((append_ms + later, topic, key, value))
