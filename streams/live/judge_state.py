"""What the judge knows, kept on the snapshot topic: a new process need not read two weeks of rows before it can judge.

It is a pickle, because it is hundreds of thousands of numbers in the judge's own objects, and it is only ever a short
cut: one that does not fit, of another program or another configuration, or with anything else in it than such objects,
is not used, and the rows are read. Any state is a function of what is on the KPI topic up to its position, whoever
made it: so nothing has to be fenced.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import pickle
import platform
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import zstandard

import detectors
import streams
from streams.kafka import read_topic
from streams.live.fold import Fold, JudgeState
from streams.live.logs import get_logger
from streams.live.outbox import Outbox
from streams.live.settings import LiveSettings
from streams.live.watch import JUDGE, Watch

__all__ = ["PREFIX", "Keeper", "mark_of", "pack", "unpack"]

logger = get_logger("judge")

PREFIX = b"judge/"
"""Of the keys: none that a snapshot of a partition has."""

SAVE_SECONDS = 600.0
"""What came since is read again, in seconds; the event loop stands still while a state is copied."""

SLOTS = 2
"""One is overwritten while the other is whole."""

MODULES = ("detectors.", "streams.monitor", "streams.merge", "streams.kpi", "streams.engine.")
"""Whose classes a state may hold, beside ``Fold`` and those named next."""

OTHERS = {
    *(("builtins", name) for name in ("dict", "set", "frozenset", "list", "tuple", "slice", "complex", "bytearray")),
    *(("collections", name) for name in ("defaultdict", "deque", "OrderedDict", "Counter")),
    *(("numpy", name) for name in ("dtype", "ndarray", "float64", "int64", "bool")),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("zoneinfo", "ZoneInfo"),
    ("streams.calendar", "Label"),
    ("streams.live.fold", "Fold"),
    ("streams.live.fold", "JudgeState"),
}


class Keeper:
    """Saves what the judge knows, and gives it to the next one.

    Parameters
    ----------
    settings
        Of the worker.
    watch
        The judge.
    outbox
        Takes the records.
    """

    def __init__(self, settings: LiveSettings, watch: Watch, outbox: Outbox) -> None:
        self._settings, self._watch, self._outbox = settings, watch, outbox
        self._mark = ""
        self._saved_at = self._sequence = 0

    async def load(self, partitions: int) -> None:
        """Let the judge know what the one before it knew, unless it knows more itself; ``partitions`` of the sources.

        Raises
        ------
        BrokerError
            Where the broker cannot be reached or refuses.
        """
        settings = self._settings
        if not self._mark:
            self._mark = await asyncio.to_thread(mark_of, settings, partitions)
        if self._watch.left_at:
            return
        records: list[tuple[bytes | None, bytes | None]] = []
        async for _, batch in read_topic(settings.client_args, settings.snapshots_topic, [0]):
            records += [(one.key, one.value) for one in batch if (one.key or b"").startswith(PREFIX)]
        state = await asyncio.to_thread(unpack, records, self._mark)
        if state is not None:
            self._watch.recall(state, partitions)
            logger.info("judge_state position=%d", state.fold.position)

    async def save(self) -> None:
        """Save what the judge knows, where it knows more than when it was saved last."""
        settings, state = self._settings, self._watch.state()
        if state is None or not self._mark or state.fold.position == self._saved_at:
            return
        # Nothing is awaited before it is copied.
        pickled, position = pickle.dumps(state, pickle.HIGHEST_PROTOCOL), state.fold.position
        self._sequence += 1
        told = self._mark, self._sequence, settings.snapshot_piece_bytes
        packed = await asyncio.to_thread(pack, pickled, position, *told)
        await self._outbox.settled(JUDGE)  # who goes on from it does not publish again what it has found
        for key, value in packed:
            self._outbox.put(JUDGE, settings.snapshots_topic, key, value, 0)
        await self._outbox.settled(JUDGE)
        self._saved_at = position

    async def run(self) -> None:
        """Save for ever, now and then."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await self.save()


def mark_of(settings: LiveSettings, partitions: int) -> str:
    """A mark that differs wherever the same rows could be judged otherwise: program, libraries, configuration."""
    told = [platform.python_version(), np.__version__, repr(settings.monitor), settings.engine.fingerprint]
    mark = hashlib.blake2b("\n".join([*told, f"{partitions} {settings.merge_wait_ms}"]).encode(), digest_size=16)
    for package in (detectors, streams):
        for source in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            mark.update(source.read_bytes())
    return mark.hexdigest()


def pack(pickled: bytes, position: int, mark: str, sequence: int, piece_bytes: int) -> list[tuple[bytes, bytes]]:
    """Keys and values of the records of a state.

    Parameters
    ----------
    pickled, position
        The state, and offset of the KPI topic up to which it has read.
    mark
        Of who may use it.
    sequence
        Number of the state: two in a row have other keys.
    piece_bytes
        Most bytes of a record's value, about.
    """
    packed = zstandard.ZstdCompressor(level=1).compress(pickled)
    parts = [packed[first : first + piece_bytes] for first in range(0, len(packed), piece_bytes)]
    head = {"mark": mark, "position": position, "crc": zlib.crc32(packed), "count": len(parts)}
    return [
        (PREFIX + b"%d/%d" % (sequence % SLOTS, index), orjson.dumps(head | {"index": index}) + b"\n" + part)
        for index, part in enumerate(parts)
    ]


def unpack(records: Iterable[tuple[bytes | None, bytes | None]], mark: str) -> JudgeState | None:
    """The state that has read furthest of those that are whole and bear this mark; None where there is none.

    Parameters
    ----------
    records
        Keys and values of the snapshot topic's first partition, in order; those of others are passed over.
    mark
        Of this program and its configuration.
    """
    latest = {key: value for key, value in records if key is not None and key.startswith(PREFIX)}
    found: dict[tuple[int, int, int], dict[int, bytes]] = {}
    for value in latest.values():
        told, _, part = (value or b"").partition(b"\n")
        try:
            head = orjson.loads(told)
            if head["mark"] == mark:
                found.setdefault((head["position"], head["crc"], head["count"]), {})[head["index"]] = part
        except (orjson.JSONDecodeError, KeyError, TypeError):
            continue
    for (_, crc, count), parts in sorted(found.items(), reverse=True):
        packed = b"".join(parts[index] for index in sorted(parts))
        if len(parts) == count and zlib.crc32(packed) == crc and (state := _read(packed)) is not None:
            return state
    return None


def _read(packed: bytes) -> JudgeState | None:
    try:
        state = _Reader(io.BytesIO(zstandard.ZstdDecompressor().decompress(packed))).load()
    except Exception as error:  # whatever a state of unknown making brings about, the rows are there
        logger.warning("judge_state_unreadable error=%r", error)
        return None
    return state if isinstance(state, JudgeState) and isinstance(state.fold, Fold) else None


class _Reader(pickle.Unpickler):
    """Makes objects of the judge's classes and of plain containers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle may name; raises ``UnpicklingError`` for anything else."""
        if (module, name) == ("builtins", "getattr"):
            return _zone_maker
        if (module, name) in OTHERS:
            return super().find_class(module, name)
        if module.startswith(MODULES):
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__.startswith(MODULES):
                return found
        raise pickle.UnpicklingError(f"a judge's state holds no {module}.{name}")


def _zone_maker(owner: Any, name: str) -> Any:
    """Time zones are made by a method of their class, which a pickle asks for by name."""
    if owner is not ZoneInfo or name != "_unpickle":
        raise pickle.UnpicklingError(f"a judge's state asks for no {name}")
    return getattr(owner, name)
