"""Snapshots: the whole state of a partition as one self-contained value, and back."""

from __future__ import annotations

from array import array
from collections import Counter
from hashlib import blake2b
from typing import Final

import msgspec
import zstandard

from streams.engine.counters import Tally
from streams.engine.rows import LARGEST
from streams.engine.shop import Shop
from streams.engine.spec import EngineSpec
from streams.engine.state import Cart, Kept, Order, Payment, Session
from streams.engine.waiting import Held
from streams.engine.windows import NO_HORIZON
from streams.errors import StateError

__all__ = ["State", "TallyState", "dump_shop", "load_shop", "read_state", "salt_mark", "write_state"]

MAGIC: Final = b"funnelwatch-snapshot-1\n"
"""Its number is that of the layout: a change of ``State`` or of what it means needs the next one."""

Sums = list[tuple[int, int]]


class TallyState(msgspec.Struct, array_like=True):
    """A tally, each part sorted."""

    start_ms: int
    horizon_ms: int
    codes: Sums
    sessions: Sums
    orders: Sums
    products: Sums
    seen: list[tuple[int, int]]
    whole: list[tuple[str, int]]


class ShopState(msgspec.Struct, array_like=True):
    """What the shop remembers: names and numbers first, then what refers to them."""

    values: list[list[str]]
    counter_names: list[str]
    codes: list[tuple[int, ...]]
    leaves: list[tuple[int, ...]]
    order_leaves: list[tuple[int, ...]]
    axes: list[list[tuple[int, ...]]]
    crowded: int
    first_ms: int | None
    next_ms: int
    open: list[TallyState]
    cohorts: list[TallyState]
    corrections: list[TallyState]
    numbers: list[tuple[int, int, dict[str, int]]]
    sessions: dict[str, Session]
    carts: dict[str, Cart]
    kept: dict[str, list[Kept]]
    orders: dict[str, Order]
    payments: dict[str, Payment]
    duplicates: list[tuple[int, int, bytes]]


class State(msgspec.Struct, array_like=True):
    """A partition between two batches. Records that wait for their turn are offsets: they are read again."""

    fingerprint: str
    salt: str
    partition: int
    sources: list[tuple[str, int | None, int]]
    """Topic, next offset, running maximum of the append time."""
    stream_ms: int | None
    counts: list[tuple[str, int]]
    early: list[tuple[str, int]]
    held: list[Held]
    shop: ShopState


def write_state(state: State) -> bytes:
    """The bytes of a state, the same each time."""
    return MAGIC + zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(state))


def read_state(data: bytes, spec: EngineSpec, partition: int) -> State:
    """The state of these bytes; raises ``StateError`` where version, specification or partition differ."""
    way_out = "start without it and read the sources again from their beginning"
    if not data.startswith(MAGIC):
        raise StateError("not a snapshot of this version", key="snapshot", value=data[: len(MAGIC)], way_out=way_out)
    try:
        packed = zstandard.ZstdDecompressor().decompress(data[len(MAGIC) :])
        state = msgspec.msgpack.decode(packed, type=State)
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise StateError(f"damaged: {error}", key="snapshot", way_out=way_out) from error
    topics = {topic for topic, _, _ in state.sources}
    told = {
        "fingerprint": (state.fingerprint, spec.fingerprint),
        "salt": (state.salt, salt_mark(spec)),
        "partition": (state.partition, partition),
        "sources": (sorted(topics), sorted(topics & {source.topic for source in spec.sources})),
    }
    for key, (found, wanted) in told.items():
        if found != wanted:
            raise StateError(f"differs from {wanted!r}", key=f"snapshot.{key}", value=found, way_out=way_out)
    return state


def salt_mark(spec: EngineSpec) -> str:
    """A mark by which a changed salt is known; it does not tell the salt."""
    return blake2b(spec.salt.encode(), digest_size=8, person=b"funnelwatch-salt").hexdigest()


def dump_shop(shop: Shop) -> ShopState:
    """The state of a shop; it shares its structs, so it is to be encoded before the shop goes on."""
    ledger = shop.ledger
    return ShopState(
        values=[values.state() for values in shop.values],
        counter_names=shop.names.names,
        codes=shop.sessions.funnel.codes,
        leaves=shop.leaves.state(),
        order_leaves=shop.order_leaves.state(),
        axes=[axis.leaves.state() for axis in shop.products.axes],
        crowded=shop.crowded,
        first_ms=ledger.first_ms,
        next_ms=ledger.next_ms,
        open=[_dump_tally((start, NO_HORIZON), tally) for start, tally in sorted(ledger.open.items())],
        cohorts=[_dump_tally(place, ledger.cohorts[place]) for place in sorted(ledger.cohorts)],
        corrections=[_dump_tally(place, ledger.corrections[place]) for place in sorted(ledger.corrections)],
        numbers=[(*place, dict(sorted(ledger.numbers[place].items()))) for place in sorted(ledger.numbers)],
        sessions=shop.sessions.open,
        carts=shop.carts.open,
        kept=dict(sorted(shop.carts.kept.items())),
        orders=shop.payments.orders,
        payments=shop.payments.payments,
        duplicates=shop.duplicates.state(),
    )


def load_shop(shop: Shop, state: ShopState) -> None:
    """Bring a new shop to a state."""
    for values, known in zip(shop.values, state.values, strict=True):
        values.load(known)
    for name in state.counter_names:
        shop.names.id(name)
    shop.sessions.funnel.load(state.codes)
    shop.leaves.load(state.leaves)
    shop.order_leaves.load(state.order_leaves)
    for axis, known_leaves in zip(shop.products.axes, state.axes, strict=True):
        axis.leaves.load(known_leaves)
    shop.crowded = state.crowded
    ledger = shop.ledger
    ledger.first_ms, ledger.next_ms = state.first_ms, state.next_ms
    ledger.open = {told.start_ms: _load_tally(told) for told in state.open}
    ledger.cohorts = {(told.start_ms, told.horizon_ms): _load_tally(told) for told in state.cohorts}
    ledger.corrections = {(told.start_ms, told.horizon_ms): _load_tally(told) for told in state.corrections}
    ledger.numbers = {(start, horizon): numbers for start, horizon, numbers in state.numbers}
    shop.sessions.load(state.sessions)
    shop.carts.load(state.carts, state.kept)
    shop.payments.load(state.orders, state.payments)
    shop.duplicates.load(state.duplicates)


def _dump_tally(place: tuple[int, int], tally: Tally) -> TallyState:
    return TallyState(
        *place,
        codes=sorted(tally.counted_codes().items()),
        sessions=_sums(tally.sessions),
        orders=_sums(tally.orders),
        products=_sums(tally.products),
        seen=sorted(tally.seen()),
        whole=sorted(tally.whole.items()),
    )


def _sums(sums: dict[int, int]) -> Sums:
    return [(entry, min(amount, LARGEST)) for entry, amount in sorted(sums.items())]


def _load_tally(state: TallyState) -> Tally:
    tally = Tally()
    tally.codes = array("q", Counter(dict(state.codes)).elements())
    tally.sessions, tally.orders, tally.whole = dict(state.sessions), dict(state.orders), dict(state.whole)
    tally.products = dict(state.products)
    tally.seen_leaves = array("q", (leaf for leaf, _ in state.seen))
    tally.seen_visitors = array("q", (visitor for _, visitor in state.seen))
    return tally
