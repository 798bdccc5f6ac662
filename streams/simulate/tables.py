"""What is drawn from, worked out once: waits, delays, products, and the kinds of shoppers with their habits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, product
from math import exp
from random import Random
from statistics import NormalDist
from typing import NamedTuple

__all__ = [
    "CLICK_DELAYS",
    "METHODS",
    "PROVIDERS",
    "SIZE",
    "THINKING",
    "Draw",
    "Product",
    "Profile",
    "cumulative",
    "products",
    "profiles",
    "scaled",
]

Draw = Callable[[], float]
"""Uniform numbers in [0, 1): the one source of chance, because its sequence is the same on every Python."""

SIZE = 1024
"""Entries of a table of quantiles: an index is one draw, ``int(draw() * SIZE)``."""

CHANNELS = {
    # weight, bounce, cart: how shoppers of the channel differ from the average
    "direct": (0.22, 0.85, 1.20),
    "organic": (0.21, 0.95, 1.05),
    "sem": (0.19, 1.10, 0.95),
    "social": (0.17, 1.25, 0.75),
    "email": (0.09, 0.75, 1.30),
    "affiliate": (0.12, 1.05, 0.90),
}
DEVICES = {
    # weight, cart, checkout
    "ios": (0.36, 1.05, 1.05),
    "android": (0.37, 0.92, 0.95),
    "desktop": (0.19, 1.15, 1.10),
    "tablet": (0.08, 0.95, 0.92),
}
REGIONS = {"CN-44": 0.26, "CN-31": 0.21, "CN-11": 0.18, "CN-33": 0.14, "CN-32": 0.12, "CN-51": 0.09}
CUSTOMER_TYPES = {
    # weight, bounce, cart
    "new": (0.56, 1.12, 0.80),
    "returning": (0.44, 0.85, 1.25),
}
METHODS = {"alipay": 0.46, "wechat_pay": 0.36, "card": 0.13, "installments": 0.05}
PROVIDERS = {
    # weight, approval
    "psp-1": (0.50, 1.01),
    "psp-2": (0.31, 1.00),
    "psp-3": (0.19, 0.975),
}
CATEGORIES = {
    # share of the products, median price
    "shoes": (0.18, 380.0),
    "clothing": (0.26, 210.0),
    "beauty": (0.16, 145.0),
    "home": (0.14, 180.0),
    "electronics": (0.10, 1280.0),
    "sports": (0.09, 260.0),
    "toys": (0.07, 95.0),
}


class Profile(NamedTuple):
    """One combination of session dimensions; the factors multiply the average shopper's chances."""

    dims: Mapping[str, str]
    fragment: str
    bounce: float
    cart: float
    checkout: float
    returning: bool


class Product(NamedTuple):
    """A product as its piece of JSON, up to the quantity."""

    fragment: str
    price_minor: int


def quantiles(of: Callable[[float], float]) -> tuple[int, ...]:
    """A function of the quantile at the middles of ``SIZE`` equal steps, rounded."""
    return tuple(round(of((step + 0.5) / SIZE)) for step in range(SIZE))


def delay(quantile: float) -> float:
    """Share of the longest way that a record takes: mostly a few hundredths, seldom all of it."""
    return min(1.0, 0.01 + 0.06 * quantile + 0.93 * quantile**24)


NORMAL = NormalDist()

THINKING = quantiles(lambda q: min(300_000.0, 11_000 * exp(0.95 * NORMAL.inv_cdf(q))))
"""Milliseconds between two actions of a shopper: lognormal, median 11 s, five minutes at most."""

CLICK_DELAYS = tuple(delay((step + 0.5) / SIZE) for step in range(SIZE))


def scaled(shares: Sequence[float], longest: int) -> tuple[int, ...]:
    """The table of shares as whole milliseconds of ``longest``."""
    return tuple(round(share * longest) for share in shares)


def cumulative(weights: Sequence[float]) -> tuple[float, ...]:
    """Running sums that end at 1, for ``bisect`` with a draw.

    >>> cumulative([1, 3])
    (0.25, 1.0)
    """
    total = sum(weights)
    sums = [value / total for value in accumulate(weights)]
    return (*sums[:-1], 1.0)


def profiles() -> tuple[tuple[Profile, ...], tuple[float, ...]]:
    """All combinations of dimension values, and their cumulative weights."""
    found: list[Profile] = []
    weights: list[float] = []
    for channel, device, region, customer in product(CHANNELS, DEVICES, REGIONS, CUSTOMER_TYPES):
        of_channel, of_device, of_customer = CHANNELS[channel], DEVICES[device], CUSTOMER_TYPES[customer]
        dims = {"channel": channel, "device": device, "region": region, "customer_type": customer}
        found.append(
            Profile(
                dims=dims,
                fragment=",".join(f'"{name}":"{value}"' for name, value in dims.items()),
                bounce=of_channel[1] * of_customer[1],
                cart=of_channel[2] * of_device[1] * of_customer[2],
                checkout=of_device[2],
                returning=customer == "returning",
            )
        )
        weights.append(of_channel[0] * of_device[0] * REGIONS[region] * of_customer[0])
    return tuple(found), cumulative(weights)


def products(seed: int, count: int = 400) -> tuple[Product, ...]:
    """``SIZE`` places on the shelf, popular products on more of them."""
    draw = Random(seed).random
    names, shares = list(CATEGORIES), cumulative([share for share, _ in CATEGORIES.values()])
    shelf: list[Product] = []
    for number in range(count):
        pick = draw()
        category = next(name for name, share in zip(names, shares, strict=True) if pick < share or share == 1.0)
        spread = NORMAL.inv_cdf(min(max(draw(), 1e-9), 1 - 1e-9))
        price_minor = max(100, round(CATEGORIES[category][1] * exp(0.5 * spread)) * 100 - 100 * (number % 2))
        head = f'{{"product_id":"p-{number + 1}","category":"{category}","price":"{price_minor // 100}.00"'
        shelf.append(Product(head, price_minor))
    popularity = cumulative([1 / (rank + 8) for rank in range(count)])
    places: list[Product] = []
    for rank, share in enumerate(popularity):
        places.extend([shelf[rank]] * (round(share * SIZE) - len(places)))
    return tuple(places)
