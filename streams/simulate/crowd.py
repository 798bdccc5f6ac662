"""Who comes in a cell of time: ordinary shoppers, those whose story goes on for hours, bots and campaigns."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from dataclasses import replace
from math import log
from random import Random
from typing import NamedTuple
from zlib import crc32

from streams.errors import InputError
from streams.simulate.effects import Effects
from streams.simulate.rhythm import Rhythm
from streams.simulate.shopper import ORDER_KINDS, Action, Purchase, World, browse
from streams.simulate.spec import IncidentSpec, ShopSpec
from streams.simulate.tables import (
    CLICK_DELAYS,
    METHODS,
    PROVIDERS,
    SIZE,
    Draw,
    Profile,
    cumulative,
    products,
    profiles,
    scaled,
)

__all__ = ["CELL_MS", "LONG_CELLS", "SHORT_CELLS", "Crowd", "Visit"]

CELL_MS = 10_000
"""Time is cut into cells, each with chance of its own: any of them can be told without those before it."""

SHORT_CELLS = 360
"""An ordinary story is over within an hour; what would come later does not happen."""

LONG_CELLS = 26 * 360
"""Stories that go on for hours (come back, give back, were offline) are over within 26."""

LONG_EVERY = 12
"""They begin seldom: the first of so many cells tells them for all of these, so that a start costs less."""

RETURNING_SHARE, REFUND_SHARE = 0.020, 0.0030
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
BOT_DIMS = {"channel": "direct", "device": "desktop", "region": "CN-11", "customer_type": "new"}


class Visit(NamedTuple):
    """One session key with all it will ever say."""

    session: str
    visitor: str
    user: str
    profile: Profile
    actions: list[Action]
    repeated: int
    """Index of the action that the network delivers twice; often beyond the last."""


class Crowd:
    """The shoppers of a shop, cell by cell; the same cell always tells the same."""

    def __init__(self, spec: ShopSpec) -> None:
        self._spec, self._rhythm = spec, Rhythm(spec)
        self.effects = Effects(spec.incidents)
        self._profiles, self._weights = profiles()
        check_segments(spec, self._profiles)
        self._world = World(
            funnel=spec.funnel,
            effects=self.effects,
            shelf=products(spec.seed),
            click_delays=scaled(CLICK_DELAYS, spec.disorder_ms),
            order_delays=scaled(CLICK_DELAYS, spec.disorder_ms // 3),
            currency=spec.currency,
        )
        self._tag = f"{crc32(str(spec.seed).encode()) & 0xFFFF:04x}"
        self._matching = {incident: self._matching_profiles(incident) for incident in self.effects.crowds}

    def traffic(self, cell: int) -> float:
        """Expected sessions a millisecond."""
        return self._spec.sessions_per_minute / MINUTE_MS * self._rhythm.traffic(cell * CELL_MS)

    def ordinary(self, cell: int) -> Iterator[Visit]:
        """Sessions that start in the cell and are over within ``SHORT_CELLS``."""
        draw, world = self._chance(cell, 1), self._world_of(cell)
        rate = self.traffic(cell) * (1 - RETURNING_SHARE - REFUND_SHARE - self._spec.late_ratio)
        for number, start_ms in enumerate(arrivals(cell * CELL_MS, (cell + 1) * CELL_MS, rate, draw)):
            profile = self._profiles[bisect(self._weights, draw())]
            yield self._shop_around(world, profile, f"{self._tag}a{cell:x}-{number:x}", start_ms, draw)

    def lingering(self, cell: int) -> Iterator[Visit]:
        """Sessions that start in the next ``LONG_EVERY`` cells and speak again within ``LONG_CELLS``."""
        if cell % LONG_EVERY:
            return
        draw, world = self._chance(cell, 2), self._world_of(cell)
        late = self._spec.late_ratio
        total = RETURNING_SHARE + REFUND_SHARE + late
        for number, start_ms in enumerate(
            arrivals(cell * CELL_MS, (cell + LONG_EVERY) * CELL_MS, self.traffic(cell) * total, draw)
        ):
            profile = self._profiles[bisect(self._weights, draw())]
            session, fate = f"{self._tag}b{cell:x}-{number:x}", draw() * total
            if fate < late:
                visit = self._shop_around(world, profile, session, start_ms, draw)
                yield visit._replace(actions=offline(visit.actions, start_ms, draw))
                continue
            actions, at_ms = browse(world, profile, start_ms, draw, eager=True)
            purchase = Purchase(world, profile, session, at_ms, Random(int(draw() * 2**53)).random)
            away = draw()
            purchase.fill_cart()
            if fate < late + RETURNING_SHARE:
                purchase.leave_for(int(31 * MINUTE_MS * (40.0**away)))
                purchase.come_back()
                purchase.check_out(0.6)
            elif purchase.check_out(2.0):
                cancelled = away < 0.3
                purchase.give_back(int((10 * MINUTE_MS if cancelled else HOUR_MS) * 20.0**away), cancelled)
            yield self._visit(session, profile, actions + purchase.actions, draw)

    def attracted(self, cell: int) -> Iterator[Visit]:
        """Bots and campaign visitors of the incidents that are on in the cell."""
        for order, incident in enumerate(self.effects.crowds):
            first_ms = max(cell * CELL_MS, incident.start_ms)
            last_ms = min((cell + 1) * CELL_MS, incident.end_ms)
            if first_ms >= last_ms:
                continue
            draw, world = self._chance(cell, 3 + order), self._world_of(cell)
            choice, weights = self._matching[incident]
            rate = self.traffic(cell) * incident.strength
            for number, start_ms in enumerate(arrivals(first_ms, last_ms, rate, draw)):
                session = f"{self._tag}c{order:x}-{cell:x}-{number:x}"
                profile = choice[bisect(weights, draw())]
                if incident.kind == "bots":
                    yield Visit(session, f"v-{session}", "", profile, crawl(world, start_ms, draw), SIZE)
                else:
                    yield self._shop_around(world, profile, session, start_ms, draw)

    def _shop_around(self, world: World, profile: Profile, session: str, start_ms: int, draw: Draw) -> Visit:
        actions, at_ms = browse(world, profile, start_ms, draw)
        if at_ms >= 0:
            purchase = Purchase(world, profile, session, at_ms, Random(int(draw() * 2**53)).random)
            purchase.fill_cart()
            if not purchase.check_out(world.funnel.checkout):
                purchase.waver(0.1)
            actions += purchase.actions
        return self._visit(session, profile, actions, draw)

    def _visit(self, session: str, profile: Profile, actions: list[Action], draw: Draw) -> Visit:
        ratio = self._spec.duplicate_ratio
        repeated = min(int(draw() / ratio), SIZE) if ratio else SIZE
        if profile.returning:
            chance = draw()
            known = int(chance * chance * self._spec.customers)
            return Visit(session, f"v-{known}", f"u-{known}", profile, actions, repeated)
        return Visit(session, f"v-{session}", "", profile, actions, repeated)

    def _chance(self, cell: int, stream: int) -> Draw:
        return Random(f"{self._spec.seed}:{stream}:{cell}").random

    def _world_of(self, cell: int) -> World:
        funnel = self._world.funnel
        return self._world._replace(funnel=replace(funnel, cart=funnel.cart * self._rhythm.mood(cell * CELL_MS)))

    def _matching_profiles(self, incident: IncidentSpec) -> tuple[list[Profile], tuple[float, ...]]:
        wanted = dict(incident.segment)
        if incident.kind == "bots":
            wanted = {**BOT_DIMS, **wanted}
        before = (0.0, *self._weights)
        found = [
            (profile, self._weights[n] - before[n])
            for n, profile in enumerate(self._profiles)
            if wanted.items() <= profile.dims.items()
        ]
        return [profile for profile, _ in found], cumulative([weight for _, weight in found])


def arrivals(first_ms: int, last_ms: int, rate: float, draw: Draw) -> Iterator[int]:
    """Moments of a Poisson stream of ``rate`` a millisecond in ``[first_ms, last_ms)``."""
    if rate <= 0:
        return
    at_ms = float(first_ms)
    while True:
        at_ms -= log(1.0 - draw()) / rate
        if at_ms >= last_ms:
            return
        yield int(at_ms)


def offline(actions: list[Action], start_ms: int, draw: Draw) -> list[Action]:
    """The phone loses the net after the first page and sends the rest of the clicks minutes or an hour later."""
    back_ms = start_ms + int(3 * MINUTE_MS * 30.0 ** draw())
    return [
        (at_ms, delay if n == 0 or kind in ORDER_KINDS else max(delay, back_ms + 40 * n - at_ms), kind, extra)
        for n, (at_ms, delay, kind, extra) in enumerate(actions)
    ]


def crawl(world: World, start_ms: int, draw: Draw) -> list[Action]:
    """A bot reads product after product, several a second, and never buys."""
    actions: list[Action] = []
    at_ms = start_ms
    for _ in range(5 + int(20 * draw())):
        item = world.shelf[int(draw() * SIZE)].fragment
        delay = world.click_delays[int(draw() * SIZE)]
        actions.append((at_ms, delay, "product_view", f',"items":[{item}}}]'))
        at_ms += 150 + int(600 * draw())
    return actions


def check_segments(spec: ShopSpec, known: tuple[Profile, ...]) -> None:
    """Refuse incidents of segments that this shop does not have."""
    values: dict[str, set[str]] = {}
    for profile in known:
        for dimension, value in profile.dims.items():
            values.setdefault(dimension, set()).add(value)
    for incident in spec.incidents:
        here = dict(values)
        if incident.kind in {"payment_outage", "decline_rise", "payment_hang"}:
            here |= {"payment_method": set(METHODS), "payment_provider": set(PROVIDERS)}
        elif incident.kind in {"tracking_loss", "silence"}:
            clicks = {"page_view", "list_view", "product_view", "add_to_cart", "remove_from_cart", "cart_view"}
            here |= {
                "event_type": clicks | {"checkout_started", "checkout_step", "order_paid"} | ORDER_KINDS,
                "topic": {spec.click_topic, spec.orders_topic},
            }
        for dimension, value in incident.segment:
            if value not in here.get(dimension, ()):
                ways = ", ".join(sorted(here[dimension])) if dimension in here else ", ".join(sorted(here))
                raise InputError(
                    f"{incident.kind} cannot strike this segment",
                    key=f"incident.{dimension}", value=value, way_out=f"use one of {ways}",
                )  # fmt: skip
