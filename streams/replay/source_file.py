"""Records of a file: one JSON object a line, plain, gzip or Zstandard; a file is one partition in line order."""

from __future__ import annotations

import contextlib
import gzip
import heapq
import io
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import zstandard

from streams.engine.batch import NO_APPEND_TIME, Batch
from streams.errors import InputError

__all__ = ["FileSource", "file_sources", "in_step"]

CHUNK_BYTES = 1 << 18
RUN_LINES = 2_000
BOM = b"\xef\xbb\xbf"
GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class FileSource:
    """Batches of the lines of a file; the offset of a record is the number of its line, from 1.

    Compression is told by the content, not by the name. Empty lines are no records, but they have numbers.

    Parameters
    ----------
    path
        The file, or ``-`` for standard input.
    max_record_bytes
        A longer line is cut behind it, which the engine rejects as too large: memory stays bounded.

    Raises
    ------
    InputError
        Where the file cannot be read, or its compression is broken.
    """

    def __init__(self, path: Path, max_record_bytes: int = 1 << 20, topic: str | None = None) -> None:
        self.path, self.max_record_bytes = path, max_record_bytes
        self.topic = topic or ("stdin" if str(path) == "-" else path.name)
        """What stands for the topic in coordinates: the name of the file."""
        self.total_bytes: int | None = None
        """Size of the file, compressed; None for standard input."""
        self._raw: IO[bytes] | None = None
        self._read_bytes = 0

    @property
    def read_bytes(self) -> int:
        """How far the file has been read, in bytes of ``total_bytes``."""
        if self._raw is not None and not self._raw.closed and self._raw.seekable():
            self._read_bytes = self._raw.tell()
        return self._read_bytes

    def batches(self) -> Iterator[Batch]:
        """The records, some thousands at a time."""
        try:
            with self._open() as raw:
                self._raw = raw
                yield from self._batches(_unpacked(raw))
                self._read_bytes = self.total_bytes or 0
        except (OSError, EOFError, zstandard.ZstdError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise InputError(
                f"cannot be read: {reason}", key="file", value=str(self.path), way_out="name a readable JSON lines file"
            ) from error

    def _open(self) -> IO[bytes]:
        if str(self.path) == "-":
            return cast(IO[bytes], sys.stdin.buffer)
        self.total_bytes = self.path.stat().st_size
        return self.path.open("rb")

    def _batches(self, stream: IO[bytes]) -> Iterator[Batch]:
        number = 0
        for lines in _lines(stream, self.max_record_bytes):
            numbers: list[int] = []
            values: list[bytes | None] = []
            for line in lines:
                number += 1
                value = line.rstrip(b"\r") if number > 1 else line.removeprefix(BOM).rstrip(b"\r")
                if value and not value.isspace():
                    numbers.append(number)
                    values.append(value)
            if numbers:
                none = [None] * len(numbers)
                yield Batch(self.topic, 0, numbers, [NO_APPEND_TIME] * len(numbers), none, values)


def file_sources(paths: Sequence[Path], max_record_bytes: int = 1 << 20) -> list[FileSource]:
    """A source for each file, named by it; by its whole path where two have the same name.

    Raises
    ------
    InputError
        Where there is no file, or one is given twice.
    """
    if not paths:
        raise InputError("no file", key="file", way_out="name at least one JSON lines file")
    names = Counter(path.name for path in paths)
    if len(set(paths)) < len(paths):
        raise InputError("a file is named twice", key="file", value=[str(path) for path in paths])
    topics = [None if names[path.name] == 1 else str(path) for path in paths]
    return [FileSource(path, max_record_bytes, topic) for path, topic in zip(paths, topics, strict=True)]


def in_step(sources: Sequence[FileSource]) -> Iterator[Batch]:
    """The batches of one file as they are; of several, runs of lines in order of time.

    The time of a line is its ``append_time`` or, without one, its ``event_time``, as running maximum of the file; a
    line without either goes with the one before it. At equal times the file that was named first goes first.
    """
    if len(sources) == 1:
        yield from sources[0].batches()
        return
    streams = [_timed(number, source) for number, source in enumerate(sources)]
    merged = heapq.merge(*streams, key=lambda line: line[:2])
    run: list[tuple[int, int, int, bytes | None]] = []
    for line in merged:
        if run and (line[1] != run[0][1] or len(run) >= RUN_LINES):
            yield _batch(sources, run)
            run = []
        run.append(line)
    if run:
        yield _batch(sources, run)


def _batch(sources: Sequence[FileSource], run: Sequence[tuple[int, int, int, bytes | None]]) -> Batch:
    none, count = [None], len(run)
    offsets, values = [line[2] for line in run], [line[3] for line in run]
    return Batch(sources[run[0][1]].topic, 0, offsets, [NO_APPEND_TIME] * count, none * count, values)


def _timed(number: int, source: FileSource) -> Iterator[tuple[int, int, int, bytes | None]]:
    latest = -1
    for batch in source.batches():
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            latest = max(latest, _stated_ms(value or b""))
            yield latest, number, offset, value


def _stated_ms(line: bytes) -> int:
    try:
        told = msgspec.json.decode(line, type=_Stated)
    except msgspec.MsgspecError:
        return -1
    for stated in (told.append_time, told.event_time):
        if isinstance(stated, int) and not isinstance(stated, bool):
            return stated
        if isinstance(stated, str):
            with contextlib.suppress(ValueError):
                return round(datetime.fromisoformat(stated).timestamp() * 1000)
    return -1


class _Stated(msgspec.Struct):
    append_time: Any = None
    event_time: Any = None


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    stream = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, raw))
    magic = stream.peek(4)[:4]
    if magic.startswith(GZIP_MAGIC):
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
    if magic == ZSTD_MAGIC:
        return cast(IO[bytes], io.BufferedReader(_ZstdFrames(stream), CHUNK_BYTES))
    return stream


class _ZstdFrames(io.RawIOBase):
    """Zstandard frames one after the other; the library's own reader takes a frame that is cut off for the end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._frame: Any = None
        self._packed = self._unpacked = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._unpacked:
            self._packed = self._packed or self._stream.read(CHUNK_BYTES)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("the compressed data is cut off")
                return 0
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._unpacked, self._packed = self._frame.decompress(self._packed), b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        count = min(len(buffer), len(self._unpacked))
        buffer[:count], self._unpacked = self._unpacked[:count], self._unpacked[count:]
        return count


def _lines(stream: IO[bytes], max_bytes: int) -> Iterator[list[bytes]]:
    begun = b""
    while chunk := stream.read(CHUNK_BYTES):
        lines = (begun + chunk).split(b"\n")
        begun = lines.pop()
        if len(begun) > max_bytes:
            begun = begun[: max_bytes + 1]
        yield lines
    if begun:
        yield [begun]
