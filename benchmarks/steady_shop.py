"""A shop in a steady state: so many live sessions, a tenth of them active, cheap enough to make by the million."""

from __future__ import annotations

from random import Random

import numpy as np

from streams.engine import Batch, Engine, EngineSpec, SourceSpec
from streams.engine.dedup import Identities, MinuteHead

__all__ = ["TOPIC", "SteadyShop", "remember_ids", "steady_spec"]

TOPIC = "clicks"
START_MS = 1_772_366_400_000
MINUTE_MS = 60_000
LIVE_SECONDS = 2_000
"""About as long as a session is live: it is active for some minutes, and ends half an hour after its last event."""

EVENTS_A_SESSION = 10
KINDS = ("page_view", "list_view", "product_view", "cart_view", "add_to_cart", "checkout_started", "order")
WEIGHTS = (40, 22, 24, 2, 6, 2, 4)
ORDER_KINDS = ("order_placed", "payment_attempted", "payment_succeeded", "order_paid")
CHANNELS = ("sem", "seo", "direct", "mail", "social", "affiliate")
DEVICES = ("ios", "android", "web")


def steady_spec() -> EngineSpec:
    """All dimensions, one source; the clock of the machine moves nothing."""
    return EngineSpec(sources=(SourceSpec(TOPIC),), idle_after_ms=36_000_000)


class SteadyShop:
    """Writes the events of a shop with about so many live sessions, second by second of event time.

    Parameters
    ----------
    sessions
        Live at a time; a two-hundredth of it are the events of a second.
    seed
        The same seed gives the same events.
    """

    def __init__(self, sessions: int, seed: int = 5) -> None:
        self.opening = sessions / LIVE_SECONDS
        self.now_ms, self.offset = START_MS, 0
        self._rng = Random(seed)
        self._active: list[tuple[bytes, str]] = []
        self._opened = 0.0
        self._most = max(10, int(self.opening * 300))

    def seconds(self, seconds: int, events_a_session: int = EVENTS_A_SESSION) -> Batch:
        """The next seconds as one batch."""
        rng = self._rng
        keys: list[bytes] = []
        values: list[bytes] = []
        times: list[int] = []
        for _ in range(seconds):
            self._open()
            count = max(1, round(self.opening * events_a_session))
            kinds = rng.choices(KINDS, WEIGHTS, k=count)
            newest = len(self._active) - 1
            for number, kind in enumerate(kinds):
                at_ms = self.now_ms + number * 1_000 // count
                # The newest come first: each opens, and most of the rest go to those who came lately.
                place = newest - min(newest, int(rng.random() * rng.random() * newest) if number % 5 else number // 5)
                key, told = self._active[place]
                keys.append(key)
                times.append(at_ms)
                values.append(self._event(kind, at_ms, key.decode(), told))
            self.now_ms += 1_000
        first, self.offset = self.offset, self.offset + len(keys)
        return Batch(TOPIC, 0, range(first, self.offset), times, keys, values)

    def _open(self) -> None:
        rng = self._rng
        self._opened += self.opening
        while self._opened >= 1:
            self._opened -= 1
            key = f"s-{rng.getrandbits(64):016x}"
            told = (
                f'"session_id":"{key}","visitor_id":"v-{rng.getrandbits(48):012x}","channel":"{rng.choice(CHANNELS)}",'
                f'"device":"{rng.choice(DEVICES)}","region":"CN-{rng.randrange(11, 45)}","customer_type":"new"}}'
            )
            self._active.append((key.encode(), told))
        if len(self._active) > 2 * self._most:
            del self._active[: -self._most]

    def _event(self, kind: str, at_ms: int, key: str, told: str) -> bytes:
        rng, order = self._rng, ""
        if kind == "order":
            kind = rng.choice(ORDER_KINDS)
            order = (
                f'"order_id":"o-{key}","payment_id":"p-{key}","payment_method":"card","amount":"9.9","currency":"EUR",'
            )
        event_id = f"{rng.getrandbits(96):024x}"
        return f'{{"event_id":"{event_id}","event_type":"{kind}","event_time":{at_ms},{order}{told}'.encode()


def remember_ids(engine: Engine, shop: SteadyShop, minutes: int) -> int:
    """Let a new engine know so many minutes' event ids of full traffic; returns how many."""
    rng, duplicates = np.random.default_rng(9), engine._shop.duplicates
    now, places = shop.now_ms // MINUTE_MS, minutes - LIVE_SECONDS // 60 - 1
    size = round(shop.opening * EVENTS_A_SESSION * 60 * minutes / places)
    heads, known = [], []
    for number, minute in enumerate(range(now - places, now), 1):
        heads.append(MinuteHead(minute, number, minute * MINUTE_MS, size))
        known.append(Identities(number, np.sort(rng.integers(1, 1 << 63, size, np.uint64)).tobytes()))
    duplicates.minutes_made = len(heads)
    duplicates.load(heads, known)
    return size * places
