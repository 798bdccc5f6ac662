"""The state of a partition as bytes: a link holds a part of it, a chain of links the whole."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain, islice
from typing import Any, Final, NamedTuple

import msgspec

from streams.engine.counters import RUNS, Tally
from streams.engine.dedup import Identities, MinuteHead
from streams.engine.rows import LARGEST
from streams.engine.shop import Shop
from streams.engine.spec import EngineSpec
from streams.engine.state import Cart, Kept, Order, Payment, Session
from streams.engine.waiting import Columns
from streams.errors import StateError

__all__ = [
    "Core",
    "Link",
    "Part",
    "Reach",
    "Run",
    "State",
    "damaged",
    "dump_core",
    "load_shop",
    "read_chain",
    "salt_mark",
    "write_core",
    "write_link",
]

MAGIC: Final = b"funnelwatch-snapshot-3\n"
"""Its number is that of the layout: a change of ``Link`` or of what it means needs the next one."""

WAY_OUT: Final = "start without it and read the sources again from their beginning"
OPEN, COHORT, CORRECTION = range(3)


class Run(NamedTuple):
    """A part of an array of a tally (by its place in ``RUNS``), from ``start`` on, 8 bytes an item."""

    number: int
    which: int
    start: int
    packed: bytes


class TallyHead(msgspec.Struct, array_like=True):
    """A tally but for its arrays, of which the lengths are told."""

    kind: int
    start_ms: int
    horizon_ms: int
    number: int
    lengths: list[int]
    sessions: dict[int, int]
    orders: dict[int, int]
    products: dict[int, int]
    whole: dict[str, int]


class Core(msgspec.Struct, array_like=True):
    """What every link holds in full: names, values, leaves, positions, and what is remembered only in part elsewhere.

    ``held`` are slices in columns: the records that wait for their turn are told by their offsets, and read again.
    """

    fingerprint: str
    salt: str
    partition: int
    sources: list[tuple[str, int | None, int]]
    """Topic, next offset, running maximum of the append time."""
    stream_ms: int | None
    counts: dict[str, int]
    early: dict[str, int]
    held: list[Columns]
    waits_from_ms: int | None
    """What ``held`` tells and comes before this in the processing order does not wait any more; None: nothing waits."""
    values: list[list[str]]
    counter_names: list[str]
    codes: list[tuple[int, ...]]
    leaves: list[tuple[int, ...] | None]
    order_leaves: list[tuple[int, ...] | None]
    axes: list[list[tuple[int, ...] | None]]
    crowded: int
    first_ms: int | None
    next_ms: int
    tallies_made: int
    tallies: list[TallyHead]
    sizes: list[int]
    """Entries of each store."""
    minutes_made: int
    minutes: list[MinuteHead]


class Part(NamedTuple):
    """Some entries of a store of the shop (by its place there), by key and packed; None where they are no more."""

    place: int
    packed: bytes


class Reach(msgspec.Struct, array_like=True):
    """The number of a link, and from which link on all has to be read to know each store, tally and minute.

    Tallies and minutes go by their numbers.
    """

    number: int
    stores: list[int]
    tallies: dict[int, int]
    minutes: dict[int, int]

    def oldest(self) -> int:
        """The first link that a restore needs."""
        return min((*self.stores, *self.tallies.values(), *self.minutes.values()))


class Link(msgspec.Struct, array_like=True):
    """The core of a moment, and of the rest of the state as much as this link holds; later parts count for more."""

    core: Core
    reach: Reach
    parts: list[Part]
    runs: list[Run]
    identities: list[Identities]


class State(NamedTuple):
    """What a chain of links comes to: stores in the order of the shop, the runs of each tally by its number."""

    core: Core
    reach: Reach
    stores: list[dict[Any, Any]]
    runs: dict[int, list[Run]]
    identities: list[Identities]


STORES: Final[tuple[Any, ...]] = (
    dict[str, Session | None],
    dict[str, Cart | None],
    dict[str, list[Kept] | None],
    dict[str, Order | None],
    dict[str, Payment | None],
    dict[tuple[int, int], dict[str, int] | None],
)
"""What parts hold, by the place of their store."""


def write_core(core: Core) -> msgspec.Raw:
    """The bytes of a core, the same each time: what it shares with the shop goes on."""
    try:
        return msgspec.Raw(msgspec.msgpack.encode(core))
    except OverflowError:  # more than a row can tell
        for head in core.tallies:
            head.sessions, head.orders, head.products = map(_clamped, (head.sessions, head.orders, head.products))
        return msgspec.Raw(msgspec.msgpack.encode(core))


def write_link(link: Link) -> bytes:
    """The bytes of a link, of which core and reach may be written already."""
    return MAGIC + msgspec.msgpack.encode(link)


def read_chain(links: Sequence[bytes], spec: EngineSpec, partition: int) -> State:
    """The state behind the last of these links; raises ``StateError`` where one does not fit, or one is missing.

    What the last one knows to be told again later is passed over.
    """
    if not links:
        raise _missing("links")
    newest = _read(links[-1], spec, partition)
    core, reach = newest.core, newest.reach
    first = reach.number - len(links) + 1
    if first > reach.oldest():
        raise _missing("links")
    stores: list[dict[Any, Any]] = [{} for _ in STORES]
    runs, identities = list[Run](), list[Identities]()
    older = (_read(data, spec, partition) for data in islice(links, len(links) - 1))
    for number, link in enumerate(chain(older, [newest]), first):
        if link.reach.number != number:
            raise _missing("links")
        for place, packed in link.parts:
            if number >= reach.stores[place]:
                stores[place].update(_decoded(packed, STORES[place]))
        runs += [run for run in link.runs if number >= reach.tallies.get(run.number, sys.maxsize)]
        identities += [one for one in link.identities if number >= reach.minutes.get(one.number, sys.maxsize)]
    for store in stores:
        for key in [key for key, entry in store.items() if entry is None]:
            del store[key]
    if [len(store) for store in stores] != core.sizes:
        raise _missing("entries")
    return State(core, reach, stores, _whole_runs(core.tallies, runs), identities)


def damaged(error: Exception) -> StateError:
    """What is told where a snapshot cannot be read to its end."""
    return StateError(f"damaged: {error}", key="snapshot", way_out=WAY_OUT)


def salt_mark(spec: EngineSpec) -> str:
    """A mark by which a changed salt is known; it does not tell the salt."""
    return blake2b(spec.salt.encode(), digest_size=8, person=b"funnelwatch-salt").hexdigest()


def dump_core(shop: Shop, told: dict[str, Any]) -> Core:
    """The core of a state; ``told`` is what the engine knows beside its shop.

    It shares what the shop has, so it is to be written before the shop goes on.
    """
    ledger = shop.ledger
    return Core(
        **told,
        values=[values.state() for values in shop.values],
        counter_names=shop.names.names,
        codes=shop.sessions.funnel.codes,
        leaves=shop.leaves.state(),
        order_leaves=shop.order_leaves.state(),
        axes=[axis.leaves.state() for axis in shop.products.axes],
        crowded=shop.crowded,
        first_ms=ledger.first_ms,
        next_ms=ledger.next_ms,
        tallies_made=ledger.tallies_made,
        tallies=[
            *(_head(OPEN, (start, 0), tally) for start, tally in sorted(ledger.open.items())),
            *(_head(COHORT, place, tally) for place, tally in sorted(ledger.cohorts.items())),
            *(_head(CORRECTION, place, tally) for place, tally in sorted(ledger.corrections.items())),
        ],
        sizes=[len(store.live) for store in shop.stores()],
        minutes_made=shop.duplicates.minutes_made,
        minutes=shop.duplicates.heads(),
    )


def load_shop(shop: Shop, state: State) -> None:
    """Bring a new shop to a state."""
    core, ledger = state.core, shop.ledger
    for values, known in zip(shop.values, core.values, strict=True):
        values.load(known)
    for name in core.counter_names:
        shop.names.id(name)
    shop.sessions.funnel.load(core.codes)
    shop.leaves.load(core.leaves)
    shop.order_leaves.load(core.order_leaves)
    for axis, known_leaves in zip(shop.products.axes, core.axes, strict=True):
        axis.leaves.load(known_leaves)
    shop.crowded = core.crowded
    ledger.first_ms, ledger.next_ms, ledger.tallies_made = core.first_ms, core.next_ms, core.tallies_made
    for head in core.tallies:
        tally, place = _load_tally(head, state.runs[head.number]), (head.start_ms, head.horizon_ms)
        if head.kind == OPEN:
            ledger.open[head.start_ms] = tally
        else:
            (ledger.cohorts if head.kind == COHORT else ledger.corrections)[place] = tally
    sessions, carts, kept, orders, payments, ledger.numbers = state.stores
    shop.sessions.load(sessions)
    shop.carts.load(carts, kept)
    shop.payments.load(orders, payments)
    shop.duplicates.minutes_made = core.minutes_made
    if not shop.duplicates.load(core.minutes, state.identities):
        raise _missing("identities")


def _read(data: bytes, spec: EngineSpec, partition: int) -> Link:
    if not data.startswith(MAGIC):
        raise StateError("not a snapshot of this version", key="snapshot", value=data[: len(MAGIC)], way_out=WAY_OUT)
    link: Link = _decoded(memoryview(data)[len(MAGIC) :], Link)
    core = link.core
    topics = {topic for topic, _, _ in core.sources}
    told = {
        "fingerprint": (core.fingerprint, spec.fingerprint),
        "salt": (core.salt, salt_mark(spec)),
        "partition": (core.partition, partition),
        "sources": (sorted(topics), sorted(topics & {source.topic for source in spec.sources})),
    }
    for key, (found, wanted) in told.items():
        if found != wanted:
            raise StateError(f"differs from {wanted!r}", key=f"snapshot.{key}", value=found, way_out=WAY_OUT)
    return link


def _decoded(packed: bytes | memoryview, told: Any) -> Any:
    try:
        return msgspec.msgpack.decode(packed, type=told)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise damaged(error) from error


def _head(kind: int, place: tuple[int, int], tally: Tally) -> TallyHead:
    return TallyHead(
        kind=kind,
        start_ms=place[0],
        horizon_ms=place[1],
        number=tally.number,
        lengths=[len(getattr(tally, name)) for name in RUNS],
        sessions=tally.sessions,
        orders=tally.orders,
        products=tally.products,
        whole=tally.whole,
    )


def _whole_runs(heads: list[TallyHead], runs: list[Run]) -> dict[int, list[Run]]:
    """One run for each array of each tally; raises ``StateError`` where a part of one is missing."""
    parts: dict[tuple[int, int], list[Run]] = {}
    for run in runs:
        parts.setdefault((run.number, run.which), []).append(run)
    whole: dict[int, list[Run]] = {}
    for head in heads:
        arrays: list[Run] = []
        whole[head.number] = arrays
        for which, length in enumerate(head.lengths):
            packed = bytearray()
            for part in sorted(parts.get((head.number, which), ()), key=lambda run: run.start):
                if 8 * part.start > len(packed):
                    raise _missing("tallies")
                packed[8 * part.start : 8 * part.start + len(part.packed)] = part.packed
            if len(packed) != 8 * length:
                raise _missing("tallies")
            arrays.append(Run(head.number, which, 0, bytes(packed)))
    return whole


def _load_tally(head: TallyHead, runs: list[Run]) -> Tally:
    tally = Tally(head.number)
    tally.sessions, tally.orders, tally.products, tally.whole = head.sessions, head.orders, head.products, head.whole
    for run in runs:
        setattr(tally, RUNS[run.which], array("q", run.packed).tolist())
    return tally


def _missing(what: str) -> StateError:
    return StateError("a part is missing", key=f"snapshot.{what}", way_out=WAY_OUT)


def _clamped(sums: dict[int, int]) -> dict[int, int]:
    return {entry: min(amount, LARGEST) for entry, amount in sums.items()}
