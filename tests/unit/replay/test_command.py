"""The command: what the request says becomes options, and the outcome lines of text."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.config import Config
from streams.errors import InputError
from streams.replay.command import ReplayRequest, run_replay
from tests.support.stories import START_MS, story, to_lines

SHANGHAI = Config.model_validate({"shop": {"timezone": "Asia/Shanghai"}})


def write(path: Path, text: str) -> Path:
    path.write_bytes(b"\n".join(to_lines(story(text))) + b"\nno json\n")
    return path


def test_a_file_is_told_in_lines_and_as_a_summary(tmp_path: Path) -> None:
    path = write(tmp_path / "day.jsonl", "a: page+0s view+5s cart+70s | b: view+3m")
    rows, report = tmp_path / "rows.jsonl", tmp_path / "report.html"
    told = run_replay(ReplayRequest(SHANGHAI, (path,), rows=rows, report=report))
    assert (told["windows"], told["records"], told["counts"]["rejected.not_json"]) == (4, 5, 1)
    text = told["text"]
    assert "2026-03-01 20:00 to 2026-03-01 20:04 Asia/Shanghai: 4 windows, 5 records" in text
    assert "funnel: sessions 2, product 2, cart 1" in text
    assert "rejected: not_json 1" in text
    assert text.endswith(f"written: {rows}\nwritten: {report}")
    assert rows.stat().st_size > 0
    assert "funnelwatch replay" in report.read_text(encoding="utf-8")


def test_moments_without_an_offset_are_on_the_shops_clock(tmp_path: Path) -> None:
    path = write(tmp_path / "day.jsonl", "a: page+0s page+1m page+2m page+3m")
    told = run_replay(ReplayRequest(SHANGHAI, (path,), since="2026-03-01T20:01", until="2026-03-01T12:03Z"))
    assert (told["since_ms"], told["until_ms"], told["windows"]) == (START_MS + 60_000, START_MS + 180_000, 2)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"since": "yesterday"}, "--from = 'yesterday': not a moment"),
        ({"until": "noon"}, "--to = 'noon': not a moment"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "name a moment after --from"),
        ({"speed": -1.0}, "not a speed"),
        ({"bootstrap": "127.0.0.1:1"}, "files need no broker"),
        ({"rows": Path("/no/such/dir/rows.jsonl")}, "directory that exists"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_with_the_way_out(
    tmp_path: Path, more: dict[str, object], told: str
) -> None:
    path = write(tmp_path / "day.jsonl", "a: page+0s")
    with pytest.raises(InputError) as caught:
        run_replay(ReplayRequest(SHANGHAI, (path,), **more))  # type: ignore[arg-type]
    assert told in str(caught.value)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "day.jsonl", "a: page+0s")
    with pytest.raises(Exception, match="no such format"):
        run_replay(ReplayRequest(SHANGHAI, (path,), format="xml"))


def test_a_broker_that_does_not_answer_is_named() -> None:
    from streams.errors import BrokerError

    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1"):
        run_replay(ReplayRequest(SHANGHAI, (), bootstrap="127.0.0.1:1"))
