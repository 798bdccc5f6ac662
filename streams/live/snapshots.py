"""State on a compacted topic: a chain of links in pieces, read back whole, fenced so that no stale worker can win."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
import zstandard

from streams.errors import StateError
from streams.kafka import read_topic

__all__ = [
    "PIECE_BYTES",
    "Fence",
    "Place",
    "Shelf",
    "Snapshot",
    "Stored",
    "Trace",
    "gather",
    "load_snapshots",
    "pieces",
    "read_traces",
]

VERSION: Final = 2
PIECE_BYTES: Final = 700_000
"""Well below the 1 MiB that brokers and clients take by default."""

COMPRESS_FROM: Final = 16_384
KEY: Final = re.compile(rb"\d+/(?P<epoch>\d{1,15})/(?P<generation>\d{1,15})/\d+/\d+")
REBUILD: Final = "start with --rebuild, which computes the state anew from the source topics"


class Fence(NamedTuple):
    """Who wrote a snapshot; the highest wins.

    ``epoch`` is one more than the highest found when the state was loaded: it grows also when the group is forgotten
    and its generations start anew. ``generation`` decides between two workers that loaded the same state.
    """

    epoch: int
    generation: int


class Place(NamedTuple):
    """Which snapshot of a partition: who wrote it, and its number with that writer. The highest is the newest."""

    epoch: int
    generation: int
    sequence: int


class Trace(NamedTuple):
    """That a record stands on the topic."""

    offset: int
    key: bytes | None
    is_removal: bool


class Snapshot(NamedTuple):
    """A link of the state of one source partition: ``state`` is the engine's, ``offsets`` the next by source topic.

    A restore needs the ``behind`` snapshots before it as well; the last of them is ``previous``. Of one writer, a
    snapshot overwrites what was in its ``slot``.
    """

    partition: int
    partitions: int
    place: Place
    slot: int
    offsets: Mapping[str, int]
    saved_ms: int
    behind: int
    previous: Place | None
    state: bytes


class Head(msgspec.Struct):
    """What is written in front of each piece."""

    version: int
    partition: int
    partitions: int
    epoch: int
    generation: int
    sequence: int
    offsets: dict[str, int]
    saved_ms: int
    zstd: bool
    crc: int
    count: int
    index: int
    slot: int = 0
    behind: int = 0
    previous: Place | None = None

    @property
    def place(self) -> Place:
        """Of the snapshot that the piece belongs to."""
        return Place(self.epoch, self.generation, self.sequence)


class Packed(NamedTuple):
    """A snapshot as it is stored, its pieces put together."""

    head: Head
    data: bytes

    def state(self) -> bytes:
        """The state; raises ``StateError`` where it cannot be unpacked."""
        if not self.head.zstd:
            return self.data
        try:
            return zstandard.ZstdDecompressor().decompress(self.data)
        except zstandard.ZstdError as error:
            raise StateError(f"damaged: {error}", key="snapshot", value=self.head.place, way_out=REBUILD) from error

    def snapshot(self) -> Snapshot:
        """The snapshot that was written."""
        told = self.head
        of = told.partition, told.partitions, told.place, told.slot
        return Snapshot(*of, told.offsets, told.saved_ms, told.behind, told.previous, self.state())


@dataclass(slots=True)
class Stored:
    """What a snapshot topic holds of one partition."""

    snapshot: Snapshot | None = None
    """The newest of those that can be restored."""
    links: list[Packed] = field(default_factory=list)
    """What a restore of it needs, itself the last."""
    epoch: int = 0
    """The highest."""
    keys: dict[bytes, Place | None] = field(default_factory=dict)
    """All keys, and which snapshot's piece each has."""
    end: int = 0
    """Offset behind the last record that was read."""

    def states(self) -> Sequence[bytes]:
        """The states of the links, each unpacked when it is asked for: together they are large."""
        return _States(self.links)


class _States(Sequence[bytes]):
    def __init__(self, links: list[Packed]) -> None:
        self._links = links

    def __len__(self) -> int:
        return len(self._links)

    def __getitem__(self, place: Any) -> Any:
        return self._links[place].state()


class Shelf:
    """What a writer knows of the snapshots on the topic: where the next one goes, and which nobody needs any more.

    A worker that was frozen writes on until it learns that the partition is another's, who may have loaded any
    snapshot since the last commit that the group accepted. So nothing is overwritten or removed that a snapshot at or
    behind that commit needs.

    Parameters
    ----------
    stored
        What was found when the state was loaded.
    fence
        Of this writer.
    """

    def __init__(self, stored: Stored, fence: Fence) -> None:
        self.fence = fence
        self.known_to = stored.end
        """Offset up to which nobody else's records can be there that were not loaded."""
        self._written_to = stored.end
        self._fences = {fence}
        self._keys = dict(stored.keys)
        self._chain = [link.head.place for link in stored.links]
        """The newest durable snapshot behind those that it needs."""
        self._needed = set(self._chain)
        self._slots: dict[Place, int] = {}
        self._sequence = 0

    def next(self, behind: int) -> tuple[Place, int, Place | None]:
        """Place and slot of the next snapshot, which needs so many before it; and the last of those."""
        self._sequence += 1
        taken = {slot for place, slot in self._slots.items() if place in self._needed}
        slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        return Place(*self.fence, self._sequence), slot, self._chain[-1] if behind else None

    def expect(self, keys: Iterable[bytes]) -> None:
        """These keys are about to be written; until ``keep``, nobody needs what is there."""
        self._keys.update(dict.fromkeys(keys))

    def keep(self, snapshot: Snapshot, keys: Iterable[bytes], end: int) -> None:
        """A snapshot is durable, under these keys; ``end`` is the offset behind its last piece."""
        self._written_to = end
        self._chain = [*self._chain[len(self._chain) - snapshot.behind :], snapshot.place]
        self._slots[snapshot.place] = snapshot.slot
        self._needed.add(snapshot.place)
        self._keys.update(dict.fromkeys(keys, snapshot.place))

    def let_go(self) -> list[bytes]:
        """After an accepted commit behind the last ``keep``: the keys that nobody needs; they are to be removed.

        The newest snapshot and the one before it stay whole, as far as the latter is.
        """
        # The group has taken the commit: when that snapshot was written, the partition was still this writer's.
        self.known_to = self._written_to
        gone = sorted(key for key, place in self._keys.items() if place not in self._needed)
        for key in gone:
            del self._keys[key]
        self._needed = set(self._chain)
        self._slots = {place: slot for place, slot in self._slots.items() if place in self._needed}
        return gone

    def is_untouched(self, traces: Sequence[Trace]) -> bool:
        """Whether nobody but this writer has written since ``known_to``.

        Parameters
        ----------
        traces
            Of the topic as it is now, from the record before ``known_to`` on: where that is missing, the topic may be
            another one.
        """
        if self.known_to and (not traces or traces[0].offset != self.known_to - 1):
            return False
        told = (KEY.fullmatch(one.key or b"") for one in traces if one.offset >= self.known_to and not one.is_removal)
        return all(key is None or Fence(int(key["epoch"]), int(key["generation"])) in self._fences for key in told)

    def renew(self, generation: int) -> None:
        """Go on in another generation of the group, with a fence above that of any who may have loaded meanwhile."""
        self.fence = Fence(self.fence.epoch + 1, generation)
        self._fences.add(self.fence)
        self._slots = {}  # a slot is of one fence


def pieces(snapshot: Snapshot, piece_bytes: int = PIECE_BYTES) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the records of a snapshot.

    >>> shot = Snapshot(3, 4, Place(2, 7, 1), 0, {"orders": 5}, 0, 0, None, b"state")
    >>> [(key, value)] = pieces(shot)
    >>> key
    b'3/2/7/0/0'
    >>> gather([(key, value, 0)]).snapshot == shot
    True
    """
    packed = snapshot.state
    if compressed := len(packed) >= COMPRESS_FROM:
        packed = zstandard.ZstdCompressor(level=1).compress(packed)
    count = max(1, -(-len(packed) // piece_bytes))
    head = Head(
        VERSION,
        snapshot.partition,
        snapshot.partitions,
        *snapshot.place,
        dict(snapshot.offsets),
        snapshot.saved_ms,
        compressed,
        zlib.crc32(packed),
        count,
        0,
        snapshot.slot,
        snapshot.behind,
        snapshot.previous,
    )
    epoch, generation, _ = snapshot.place
    for head.index in range(count):
        key = f"{snapshot.partition}/{epoch}/{generation}/{snapshot.slot}/{head.index}".encode()
        part = packed[head.index * piece_bytes : (head.index + 1) * piece_bytes]
        yield key, msgspec.json.encode(head) + b"\n" + part


def gather(records: Iterable[tuple[bytes | None, bytes | None, int]], written_since_ms: int = 0) -> Stored:
    """Put the snapshots of one partition together again.

    Parameters
    ----------
    records
        ``(key, value, append_ms)`` in the order of the topic; a value of None removes its key. What is none of ours is
        passed over.
    written_since_ms
        Snapshots older than this are not used; their keys and epochs count all the same.

    Raises
    ------
    StateError
        The newest snapshot was written by a version of the program that this one cannot read.
    """
    topic = _Topic()
    for record in records:
        topic.take(*record)
    return topic.stored(written_since_ms)


async def load_snapshots(
    client_args: Mapping[str, Any], topic: str, partitions: Collection[int], written_since_ms: int = 0
) -> dict[int, Stored]:
    """Read what is stored of these partitions, to the end of the topic as it is now."""
    topics = {partition: _Topic() for partition in partitions}
    if partitions:
        async for partition, batch in read_topic(client_args, topic, partitions):
            for record in batch:
                topics[partition].take(record.key, record.value, record.timestamp)
            topics[partition].end = batch[-1].offset + 1
    return {partition: one.stored(written_since_ms) for partition, one in topics.items()}


async def read_traces(client_args: Mapping[str, Any], topic: str, starts: Mapping[int, int]) -> dict[int, list[Trace]]:
    """What stands in partitions of the topic from these offsets to their ends as they are now."""
    traces: dict[int, list[Trace]] = {partition: [] for partition in starts}
    if starts:
        async for partition, batch in read_topic(client_args, topic, starts, starts):
            traces[partition] += [Trace(record.offset, record.key, record.value is None) for record in batch]
    return traces


class _Topic:
    """A partition of a snapshot topic as it is read."""

    def __init__(self) -> None:
        self._latest: dict[bytes, tuple[bytes, int]] = {}
        self._epoch = 0
        self.end = 0

    def take(self, key: bytes | None, value: bytes | None, append_ms: int) -> None:
        """One record; a key that is none of ours is somebody else's."""
        ours = KEY.fullmatch(key or b"")
        if key is None or ours is None:
            return
        self._epoch = max(self._epoch, int(ours["epoch"]))
        if value is None:
            self._latest.pop(key, None)
        else:
            self._latest[key] = value, append_ms

    def stored(self, written_since_ms: int) -> Stored:
        """What all of it comes to."""
        stored = Stored(epoch=self._epoch, end=self.end)
        found: dict[Place, dict[int, tuple[Head, bytes]]] = {}
        for key, (value, append_ms) in self._latest.items():
            told, _, part = value.partition(b"\n")
            head = _head(told)
            stored.keys[key] = None if head is None else head.place
            if head is not None and append_ms >= written_since_ms:
                found.setdefault(head.place, {})[head.index] = head, part
        for place in sorted(found, reverse=True):
            links = _chain(place, found)
            if links:
                stored.links, stored.snapshot = links, links[-1].snapshot()
                break
        return stored


def _head(told: bytes) -> Head | None:
    try:
        return msgspec.json.decode(told, type=Head)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _chain(last: Place, found: Mapping[Place, dict[int, tuple[Head, bytes]]]) -> list[Packed]:
    """A snapshot behind all that it needs; nothing where a piece of one is missing or damaged."""
    links: list[Packed] = []
    place: Place | None = last
    wanted = 1
    while len(links) < wanted:
        parts = None if place is None else found.get(place)
        whole = None if parts is None else _whole(parts)
        if whole is None:
            return []
        links.append(whole)
        wanted = 1 + links[0].head.behind
        place = whole.head.previous
    return links[::-1]


def _whole(parts: dict[int, tuple[Head, bytes]]) -> Packed | None:
    head = next(iter(parts.values()))[0]
    if head.version != VERSION:
        raise StateError(
            "the stored state has another format", key="snapshot.version", value=head.version, way_out=REBUILD
        )
    if len(parts) != head.count or sorted(parts) != list(range(head.count)):
        return None
    data = b"".join(parts[index][1] for index in range(head.count))
    return Packed(head, data) if zlib.crc32(data) == head.crc else None
