"""Files as a source: lines, numbers of lines, compression, broken files."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
import zstandard

from streams.engine.batch import NO_APPEND_TIME
from streams.errors import InputError
from streams.replay.source_file import CHUNK_BYTES, FileSource


def records(path: Path, limit: int = 1 << 20) -> list[tuple[int, bytes | None]]:
    return [
        pair for batch in FileSource(path, limit).batches() for pair in zip(batch.offsets, batch.values, strict=True)
    ]


def test_the_offset_of_a_record_is_the_number_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(b'{"a":1}\n\n  \nno json\n{"b":2}')
    assert records(path) == [(1, b'{"a":1}'), (4, b"no json"), (5, b'{"b":2}')]


def test_a_batch_names_the_file_and_has_no_append_time(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"{}\n{}\n")
    (batch,) = FileSource(path).batches()
    assert (batch.topic, batch.partition, list(batch.append_ms)) == ("day.jsonl", 0, [NO_APPEND_TIME] * 2)
    assert list(batch.keys) == [None, None]


def test_line_ends_of_windows_and_a_byte_order_mark_are_no_part_of_a_record(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"\xef\xbb\xbf{}\r\n[]\r\n")
    assert records(path) == [(1, b"{}"), (2, b"[]")]


@pytest.mark.parametrize("name", ["day.jsonl.gz", "day.jsonl"])
def test_gzip_is_read_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"{}\n[]\n"))
    assert records(path) == [(1, b"{}"), (2, b"[]")]


def test_zstandard_of_several_frames_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl.zst"
    path.write_bytes(zstandard.compress(b"{}\n[]") + zstandard.compress(b"\n1\n"))
    assert records(path) == [(1, b"{}"), (2, b"[]"), (3, b"1")]


def test_lines_that_cross_the_border_of_a_chunk_are_whole(tmp_path: Path) -> None:
    lines = [b"%d" % n * 1000 for n in range(CHUNK_BYTES // 1000 * 3)]
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"\n".join(lines))
    assert [value for _, value in records(path)] == lines


def test_a_line_without_end_is_cut_behind_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"x" * (3 * CHUNK_BYTES) + b"\n{}\n")
    (_, cut), (number, last) = records(path, limit=1000)
    assert cut is not None
    assert 1000 < len(cut) <= 1001 + CHUNK_BYTES
    assert (number, last) == (2, b"{}")


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert records(tmp_path / "empty") == []


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"{}\n"))))  # type: ignore[arg-type]
    assert records(Path("-")) == [(1, b"{}")]


def test_progress_is_told_in_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n" * 1000))
    source = FileSource(path)
    for _ in source.batches():
        told = source.read_bytes
    assert (source.total_bytes, told) == (path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"{}\n" * 100)[:-20], zstandard.compress(b"{}\n" * 100)[:-9]],
    ids=["gzip", "zstd"],  # bytes of gzip hold the time: workers would collect different tests
)
def test_broken_compression_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "day.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"day\.jsonl\.gz"):
        records(path)


def test_a_file_that_is_not_there_is_an_error_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        records(tmp_path / "absent")
