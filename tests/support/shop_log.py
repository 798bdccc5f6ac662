"""A seeded shop as records of two topics: sessions with carts and orders, in event time, some late or broken."""

import random
from typing import NamedTuple

import orjson

START_MS = 1_772_366_400_000


class Record(NamedTuple):
    """One record to be produced."""

    topic: str
    key: bytes
    value: bytes
    append_ms: int


def shop_log(
    seed: int, sessions: int, minutes: int, clicks: str, orders: str, start_ms: int = START_MS
) -> list[Record]:
    """Records in order of append time: every session views, some buy, 1 % of the records are broken."""
    chance = random.Random(seed)
    told: list[Record] = []
    for number in range(sessions):
        key = f"s-{seed}-{number}".encode()
        now = start_ms + chance.randrange(minutes * 60_000)
        channel, device = chance.choice(["sem", "seo", "email"]), chance.choice(["ios", "web"])
        deeds = [(clicks, "page_view"), (clicks, "product_view")]
        if chance.random() < 0.6:
            deeds.append((clicks, "add_to_cart"))
            if chance.random() < 0.6:
                deeds += [(clicks, "checkout_started"), (orders, "order_placed"), (orders, "payment_attempted")]
                deeds.append((orders, "order_paid" if chance.random() < 0.9 else "payment_failed"))
        for step, (topic, kind) in enumerate(deeds):
            now += chance.randrange(200, 20_000)
            append_ms = now + chance.randrange(0, 3_000)
            event = {
                "event_id": f"{key.decode()}-{step}",
                "event_type": kind,
                "event_time": now,
                "session_id": key.decode(),
                "visitor_id": f"v-{number % 97}",
                "channel": channel,
                "device": device,
                "order_id": f"o-{key.decode()}" if topic == orders else None,
                "payment_id": f"p-{key.decode()}" if topic == orders else None,
                "payment_method": "alipay" if topic == orders else None,
                "amount": "19.90" if topic == orders else None,
                "currency": "CNY" if topic == orders else None,
                "items": [{"category": "shoes", "quantity": 1}] if topic == clicks else None,
            }
            value = orjson.dumps({name: field for name, field in event.items() if field is not None})
            told.append(Record(topic, key, value, append_ms))
            if chance.random() < 0.01:
                told.append(Record(topic, key, chance.choice([b"{{{", b"\xff\x00", b"[]", b""]), append_ms))
            if chance.random() < 0.01:
                told.append(Record(topic, key, value, append_ms + 5))
    return sorted(told, key=lambda record: record.append_ms)
