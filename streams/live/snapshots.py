"""State on a compacted topic: written in pieces, read back whole, fenced so that no stale worker can win."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import zstandard

from streams.errors import StateError
from streams.kafka import read_topic

__all__ = ["PIECE_BYTES", "Fence", "Snapshot", "Stored", "gather", "load_snapshots", "pieces", "tombstones"]

VERSION = 1
PIECE_BYTES = 700_000
"""Well below the 1 MiB that brokers and clients take by default."""

COMPRESS_FROM = 16_384
SLOTS = 2
"""A snapshot overwrites the last but one, so compaction never leaves halves of two and a whole of none."""


class Fence(NamedTuple):
    """Who wrote a snapshot; the highest wins.

    ``epoch`` is one more than the highest found when the state was loaded: it grows also when the group is forgotten
    and its generations start anew. ``generation`` decides between two workers that loaded the same state.
    """

    epoch: int
    generation: int


class Snapshot(NamedTuple):
    """State of one source partition: ``state`` is the engine's, ``offsets`` the next offset by source topic."""

    partition: int
    partitions: int
    fence: Fence
    sequence: int
    offsets: Mapping[str, int]
    saved_ms: int
    state: bytes


@dataclass(slots=True)
class Stored:
    """What a snapshot topic holds of one partition: the newest whole snapshot, the highest epoch, all keys."""

    snapshot: Snapshot | None = None
    epoch: int = 0
    keys: set[bytes] = field(default_factory=set)


def pieces(snapshot: Snapshot) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the records of a snapshot.

    >>> shot = Snapshot(3, 4, Fence(2, 7), 1, {"orders": 5}, 0, b"state")
    >>> [(key, value)] = pieces(shot)
    >>> key
    b'3/2/7/1/0'
    >>> gather([(key, value, 0)]).snapshot == shot
    True
    """
    packed = snapshot.state
    if compressed := len(packed) >= COMPRESS_FROM:
        packed = zstandard.ZstdCompressor(level=1).compress(packed)
    count = max(1, -(-len(packed) // PIECE_BYTES))
    head: dict[str, Any] = {
        "version": VERSION,
        "partition": snapshot.partition,
        "partitions": snapshot.partitions,
        "epoch": snapshot.fence.epoch,
        "generation": snapshot.fence.generation,
        "sequence": snapshot.sequence,
        "offsets": dict(snapshot.offsets),
        "saved_ms": snapshot.saved_ms,
        "zstd": compressed,
        "crc": zlib.crc32(packed),
        "count": count,
    }
    for index in range(count):
        part = packed[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]
        yield _key(snapshot, index), orjson.dumps(head | {"index": index}) + b"\n" + part


def gather(records: Collection[tuple[bytes, bytes | None, int]], written_since_ms: int = 0) -> Stored:
    """Put the snapshots of one partition together again.

    Parameters
    ----------
    records
        ``(key, value, append_ms)`` in the order of the topic; a value of None removes its key.
    written_since_ms
        Snapshots older than this are not used; their keys and epochs count all the same.

    Raises
    ------
    StateError
        The newest snapshot was written by a version of the program that this one cannot read.
    """
    latest: dict[bytes, tuple[bytes, int]] = {}
    stored = Stored()
    for key, value, append_ms in records:
        stored.epoch = max(stored.epoch, _epoch(key))
        if value is None:
            latest.pop(key, None)
        else:
            latest[key] = value, append_ms
    stored.keys = set(latest)
    found: dict[tuple[int, int, int], dict[int, tuple[dict[str, Any], bytes]]] = {}
    for value, append_ms in latest.values():
        told, _, part = value.partition(b"\n")
        head = orjson.loads(told)
        if append_ms >= written_since_ms:
            found.setdefault((head["epoch"], head["generation"], head["sequence"]), {})[head["index"]] = head, part
    for _, parts in sorted(found.items(), reverse=True):
        snapshot = _whole(parts)
        if snapshot is not None:
            stored.snapshot = snapshot
            break
    return stored


async def load_snapshots(
    client_args: Mapping[str, Any], topic: str, partitions: Collection[int], written_since_ms: int = 0
) -> dict[int, Stored]:
    """Read what is stored of these partitions, to the end of the topic as it is now."""
    records: dict[int, list[tuple[bytes, bytes | None, int]]] = {partition: [] for partition in partitions}
    if partitions:
        async for partition, batch in read_topic(client_args, topic, partitions):
            records[partition].extend((record.key, record.value, record.timestamp) for record in batch)
            if len(records[partition]) > 64:
                records[partition] = _newest_of_each_key(records[partition])
    return {partition: gather(one, written_since_ms) for partition, one in records.items()}


def tombstones(stored: Stored, fence: Fence) -> list[bytes]:
    """Keys of snapshots that one written behind this fence has replaced."""
    own = f"/{fence.epoch}/{fence.generation}/".encode()
    return sorted(key for key in stored.keys if own not in key)


def _newest_of_each_key(records: list[tuple[bytes, bytes | None, int]]) -> list[tuple[bytes, bytes | None, int]]:
    newest = {key: (key, value, append_ms) for key, value, append_ms in records}
    return list(newest.values())


def _key(snapshot: Snapshot, index: int) -> bytes:
    slot = snapshot.sequence % SLOTS
    return f"{snapshot.partition}/{snapshot.fence.epoch}/{snapshot.fence.generation}/{slot}/{index}".encode()


def _epoch(key: bytes) -> int:
    return int(key.split(b"/")[1])


def _whole(parts: dict[int, tuple[dict[str, Any], bytes]]) -> Snapshot | None:
    head = next(iter(parts.values()))[0]
    if head["version"] != VERSION:
        raise StateError(
            "the stored state has another format",
            key="snapshot.version",
            value=head["version"],
            way_out="start with --rebuild, which computes the state anew from the source topics",
        )
    if len(parts) != head["count"]:
        return None
    packed = b"".join(parts[index][1] for index in range(head["count"]))
    if zlib.crc32(packed) != head["crc"]:
        return None
    state = zstandard.ZstdDecompressor().decompress(packed) if head["zstd"] else packed
    fence = Fence(head["epoch"], head["generation"])
    return Snapshot(
        head["partition"], head["partitions"], fence, head["sequence"], head["offsets"], head["saved_ms"], state
    )
