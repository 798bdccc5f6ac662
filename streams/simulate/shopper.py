"""The story of one shopper: pages, products, cart, checkout, order, payment and what comes after."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streams.simulate.effects import Effects
from streams.simulate.spec import FunnelSpec
from streams.simulate.tables import METHODS, PROVIDERS, SIZE, THINKING, Draw, Product, Profile, cumulative

__all__ = ["ORDER_KINDS", "Action", "Purchase", "World", "browse"]

Action = tuple[int, int, str, str]
"""Event time, delay on the way, event type, and what the event says besides, as a piece of JSON."""

ORDER_KINDS = frozenset(
    {"order_placed", "payment_attempted", "payment_succeeded", "payment_failed", "order_cancelled", "order_refunded"}
)
"""Said by the order service on its own topic; all else, the tracker's ``order_paid`` too, by the browser."""

SOFT_REASONS = ("insufficient_funds", "limit_exceeded", "try_again", "authentication_timeout")
HARD_REASONS = ("stolen_card", "do_not_honour", "account_closed")
METHOD_NAMES, METHOD_SHARES = tuple(METHODS), cumulative(list(METHODS.values()))
PROVIDER_NAMES, PROVIDER_SHARES = tuple(PROVIDERS), cumulative([share for share, _ in PROVIDERS.values()])
MINUTE_MS = 60_000


class World(NamedTuple):
    """What all shoppers of a shop share."""

    funnel: FunnelSpec
    effects: Effects
    shelf: Sequence[Product]
    click_delays: Sequence[int]
    order_delays: Sequence[int]
    currency: str


def browse(world: World, profile: Profile, start_ms: int, draw: Draw, eager: bool = False) -> tuple[list[Action], int]:
    """Landing, lists and products; returns the actions and when the cart is reached, or -1 where it is not.

    An ``eager`` shopper neither leaves at once nor without a product in the cart.
    """
    funnel, delays, shelf = world.funnel, world.click_delays, world.shelf
    actions: list[Action] = [(start_ms, delays[int(draw() * SIZE)], "page_view", "")]
    if not eager and draw() < funnel.bounce * profile.bounce:
        return actions, -1
    at_ms = start_ms
    if not eager and draw() >= funnel.product:
        while True:
            at_ms += THINKING[int(draw() * SIZE)]
            actions.append((at_ms, delays[int(draw() * SIZE)], "page_view", ""))
            if draw() < 0.5 or len(actions) > 8:
                return actions, -1
    while True:
        chance = draw()
        if chance < 0.5:
            at_ms += THINKING[int(draw() * SIZE)]
            actions.append((at_ms, delays[int(draw() * SIZE)], "page_view", ""))
            if chance < 0.3:
                actions.append((at_ms + 5, delays[int(draw() * SIZE)], "list_view", ""))
        at_ms += THINKING[int(draw() * SIZE)]
        item = shelf[int(draw() * SIZE)].fragment
        actions.append((at_ms, delays[int(draw() * SIZE)], "product_view", f',"items":[{item}}}]'))
        if draw() < 0.42 or len(actions) > 24:
            break
    if eager or draw() < funnel.cart * profile.cart:
        return actions, at_ms + THINKING[int(draw() * SIZE)]
    return actions, -1


class Purchase:
    """From the cart on: the part that incidents can touch, with a source of chance of its own.

    A draw is made at the moment it decides about, in the order of time, so that an incident changes nothing
    before it.
    """

    __slots__ = ("_draw", "_items", "_order", "_profile", "_session", "_total_minor", "_world", "actions", "at_ms")

    def __init__(self, world: World, profile: Profile, session: str, at_ms: int, draw: Draw) -> None:
        self._world, self._profile, self._session, self._draw = world, profile, session, draw
        self.at_ms = at_ms
        self.actions: list[Action] = []
        self._items: list[str] = []
        self._total_minor = 0
        self._order = f'"order_id":"o-{session}"'

    def fill_cart(self) -> None:
        """One to four products; sometimes one goes back."""
        draw, shelf = self._draw, self._world.shelf
        while True:
            product = shelf[int(draw() * SIZE)]
            quantity = 1 if draw() < 0.82 else 2
            item = f'{product.fragment},"quantity":{quantity}}}'
            self._items.append(item)
            self._total_minor += quantity * product.price_minor
            self._click("add_to_cart", f',"items":[{item}]')
            self._think()
            if draw() < 0.68 or len(self._items) == 4:
                break
        if len(self._items) > 1 and draw() < 0.2:
            self._click("remove_from_cart", f',"items":[{self._items.pop()}]')
            self._total_minor = max(self._total_minor - product.price_minor * quantity, 100)
            self._think()
        self.look_at_cart(0.6)

    def look_at_cart(self, chance: float) -> None:
        """Perhaps the page of the cart."""
        if self._draw() < chance:
            self._click("cart_view", "")
            self._think()

    def check_out(self, chance: float) -> bool:
        """Checkout, order and payment; True where the order is paid."""
        effects = self._world.effects
        chance *= self._profile.checkout * effects.checkout(self.at_ms, self._profile.dims)
        if self._draw() >= chance:
            return False
        self._click("checkout_started", "")
        self._think()
        if self._draw() < 0.8:
            self._click("checkout_step", "")
            self._think()
        if self._draw() >= self._world.funnel.order:
            return False
        self._say("order_placed", f',{self._order},{self._money()},"items":[{",".join(self._items)}]', self.at_ms)
        placed_ms = self.at_ms
        self.at_ms += 2_000 + int(18_000 * self._draw())
        if self._draw() < self._world.funnel.attempt and self._pay():
            return True
        if self._draw() < 0.5:
            self._say("order_cancelled", f",{self._order}", max(placed_ms, self.at_ms) + 15 * MINUTE_MS)
        return False

    def leave_for(self, away_ms: int) -> None:
        """Nothing is heard of the shopper for so long."""
        self.at_ms += away_ms

    def come_back(self) -> None:
        """The page that greets a shopper who was away."""
        self._click("page_view", "")
        self._think()
        self.look_at_cart(0.9)

    def waver(self, chance: float) -> None:
        """Perhaps one more look at the cart after a few minutes."""
        if self._draw() < chance:
            self.leave_for(5 * MINUTE_MS)
            self.come_back()

    def give_back(self, away_ms: int, cancelled: bool) -> None:
        """The shop takes a paid order back, whole or in part."""
        part = 1.0 if cancelled or self._draw() < 0.7 else 0.2 + 0.6 * self._draw()
        if cancelled:
            self._say("order_cancelled", f",{self._order}", self.at_ms + away_ms - 5_000)
        minor = max(1, round(self._total_minor * part))
        self._say("order_refunded", f",{self._order},{self._money(minor)}", self.at_ms + away_ms)

    def _pay(self) -> bool:
        draw, funnel = self._draw, self._world.funnel
        for attempt in range(1, 4):
            method = METHOD_NAMES[bisect(METHOD_SHARES, draw())]
            provider = PROVIDER_NAMES[bisect(PROVIDER_SHARES, draw())]
            facts = (
                f',{self._order},"payment_id":"pay-{self._session}-{attempt}",{self._money()},'
                f'"payment_method":"{method}","payment_provider":"{provider}"'
            )
            self._say("payment_attempted", facts, self.at_ms)
            dims = {**self._profile.dims, "payment_method": method, "payment_provider": provider}
            verdict = self._answer(dims, facts)
            if verdict == "succeeded":
                return True
            again = funnel.retry if verdict == "soft" else 0.25
            if draw() >= again:
                return False
            self.at_ms += 8_000 + int(60_000 * draw())
        return False

    def _answer(self, dims: Mapping[str, str], facts: str) -> str:
        """What the provider says, after seconds or minutes or never."""
        draw, funnel = self._draw, self._world.funnel
        climate = self._world.effects.payment(self.at_ms, dims)
        slow, wait, silent, broken, declined, approved = draw(), draw(), draw(), draw(), draw(), draw()
        if silent < climate.silent:
            self.at_ms += 2 * MINUTE_MS
            return "silent"
        if slow < funnel.slow_payment:
            self.at_ms += MINUTE_MS + int(11 * MINUTE_MS * wait * wait)
        else:
            self.at_ms += 600 + int(5_000 * wait * wait)
        if broken < climate.broken:
            self._say("payment_failed", f'{facts},"decline":"soft","reason":"provider_unavailable"', self.at_ms)
            return "soft"
        approval = funnel.approve * PROVIDERS[dims["payment_provider"]][1]
        if declined >= climate.declined and approved < approval:
            self._say("payment_succeeded", facts, self.at_ms)
            if slow >= funnel.slow_payment and wait < 0.85:
                thanked_ms = self.at_ms + 1_500
                self._note("order_paid", f",{self._order},{self._money()}", thanked_ms, self._world.click_delays)
            return "succeeded"
        soft = draw() < funnel.soft_share and declined >= climate.declined
        reasons = SOFT_REASONS if soft else HARD_REASONS
        kind, reason = "soft" if soft else "hard", reasons[int(draw() * len(reasons))]
        self._say("payment_failed", f'{facts},"decline":"{kind}","reason":"{reason}"', self.at_ms)
        return kind

    def _money(self, minor: int | None = None) -> str:
        whole, rest = divmod(self._total_minor if minor is None else minor, 100)
        return f'"amount":"{whole}.{rest:02d}","currency":"{self._world.currency}"'

    def _think(self) -> None:
        self.at_ms += THINKING[int(self._draw() * SIZE)]

    def _click(self, kind: str, extra: str) -> None:
        self._note(kind, extra, self.at_ms, self._world.click_delays)

    def _say(self, kind: str, extra: str, at_ms: int) -> None:
        self._note(kind, extra, at_ms, self._world.order_delays)

    def _note(self, kind: str, extra: str, at_ms: int, delays: Sequence[int]) -> None:
        self.actions.append((at_ms, delays[int(self._draw() * SIZE)], kind, extra))
