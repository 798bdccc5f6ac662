from __future__ import annotations

from pathlib import Path

import pytest

from detectors.base import Incident, Verdict
from streams.anomalies import decode_anomaly
from streams.calendar import Label, encode_label
from streams.engine.rows import Row, encode_row
from streams.errors import InputError
from streams.judge import judge_file, windows_of
from streams.monitor import Monitor
from tests.detection.library import Drop, Shop

SHOP = Shop(400, 170, seed=4, start_minute=600, drops=(Drop("payment", 150, 170, 0.9),))


def written(path: Path, rows: list[Row]) -> Path:
    path.write_bytes(b"".join(encode_row(row) + b"\n" for row in rows))
    return path


def rows() -> list[Row]:
    return [row for window in SHOP.windows() for row in window.rows.values()]


def split(row: Row) -> list[Row]:
    """The same counts, in two partitions."""
    first = {name: count // 3 for name, count in row.counters.items()}
    second = {name: count - first[name] for name, count in row.counters.items()}
    return [row._replace(partition=n, counters=counters) for n, counters in enumerate((first, second))]


def test_a_rows_file_gives_what_the_monitor_says_of_its_windows(tmp_path: Path):
    out = tmp_path / "verdicts.jsonl"
    assert judge_file(written(tmp_path / "rows.jsonl", rows()), out) == 170
    told = [decode_anomaly(line) for line in out.read_bytes().splitlines()]
    monitor = Monitor()
    judgements = [monitor.observe(window) for window in SHOP.windows()]
    assert [one for one in told if isinstance(one, Verdict)] == [one for each in judgements for one in each.verdicts]
    incidents = [one for one in told if isinstance(one, Incident)]
    assert incidents == [one for each in judgements for one in each.incidents]
    assert incidents[0].state == "open"


def test_rows_of_partitions_are_merged_first(tmp_path: Path):
    merged, partial = tmp_path / "merged.jsonl", tmp_path / "partial.jsonl"
    judge_file(written(tmp_path / "a.jsonl", rows()), merged)
    judge_file(written(tmp_path / "b.jsonl", [part for row in rows() for part in split(row)]), partial)
    assert merged.read_bytes() == partial.read_bytes()


@pytest.mark.parametrize("partition", [None, 0])
def test_cohorts_are_told_a_horizon_after_their_window(partition: int | None):
    told = []
    for n in range(20):
        span = (n * 60_000, (n + 1) * 60_000, (), partition)
        told.append(Row("window", *span, {"sessions": 3 + n}, "f"))
        told.append(Row("cohort", *span, {"cohort.sessions@15m": 3 + n}, "f", horizon_ms=900_000))
    windows = list(windows_of(told))
    assert [one.end_ms // 60_000 for one in windows if one.kind == "window"] == [*range(1, 21)]
    assert [one.end_ms // 60_000 for one in windows if one.kind == "cohort"] == [1, 2, 3, 4]
    place = next(n for n, one in enumerate(windows) if one.kind == "cohort")
    assert (windows[place].horizon_ms, windows[place + 1].end_ms) == (900_000, 17 * 60_000)


def test_what_timers_count_behind_the_last_event_is_not_judged(tmp_path: Path):
    timers = {"sessions_ended": 3, "bounces": 1, "carts_idle": 2}
    last = rows()[-1].end_ms
    tail = [Row("window", last + n * 60_000, last + (n + 1) * 60_000, (), None, timers, "f") for n in range(3)]
    assert judge_file(written(tmp_path / "rows.jsonl", rows() + tail), tmp_path / "out.jsonl") == 170


def test_a_line_that_is_no_row_is_named(tmp_path: Path):
    path = written(tmp_path / "rows.jsonl", rows()[:1])
    path.write_bytes(path.read_bytes() + b"{]\n")
    with pytest.raises(InputError, match="line 2"):
        judge_file(path, tmp_path / "out.jsonl")


def test_a_file_that_does_not_exist_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"missing\.jsonl"):
        judge_file(tmp_path / "missing.jsonl", None)


def test_a_calendar_beside_the_rows_is_heard(tmp_path: Path):
    out, path = tmp_path / "out.jsonl", written(tmp_path / "rows.jsonl", rows())

    def incidents(calendar: Path | None) -> list[Incident]:
        judge_file(path, out, calendar=calendar)
        told = [decode_anomaly(line) for line in out.read_bytes().splitlines()]
        return [one for one in told if isinstance(one, Incident)]

    found = incidents(None)[-1]
    label = Label(found.id, "expected", found.kpis, found.onset_ms, found.ended_ms, found.updated_ms)
    (tmp_path / "calendar.jsonl").write_bytes(encode_label(label)[1] + b"\n")
    assert incidents(tmp_path / "calendar.jsonl") == []
