"""Judge a file of rows: the verdicts and incidents as they would have come live."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from streams.calendar import read_calendar
from streams.engine.cube import Cube, decode_record
from streams.engine.rows import WHOLE, Row, Segment
from streams.errors import InputError
from streams.merge import MergedWindow, Merger
from streams.monitor import Monitor, MonitorSpec, encode_incident, encode_verdict
from streams.outputs import check_output

__all__ = ["judge_file", "windows_of"]

TIMED = ("sessions_ended", "bounces", "ended_", "carts_idle", "carts_kept", "carts_abandoned")
"""Counters that move without an event."""


def judge_file(
    rows_path: Path | str,
    out_path: Path | str | None,
    spec: MonitorSpec | None = None,
    *,
    calendar: Path | None = None,
) -> int:
    """Write every verdict and every change of an incident, one JSON object a line, in order of the windows.

    Parameters
    ----------
    rows_path
        Rows as ``replay --rows`` writes them, or rows of partitions, which are merged first.
    out_path
        File to write; None is standard output.
    spec
        What is judged, and how readily.
    calendar
        A file of notes and labels, see ``read_calendar``.

    Returns
    -------
    int
        Number of windows judged.

    Raises
    ------
    InputError
        Where a file cannot be read or written, or a line is no row: the message tells which.
    """
    monitor = Monitor(spec)
    if calendar is not None:
        told = read_calendar(calendar, monitor.spec.notes)
        monitor.announce(told.notes, told.labels)
    check_output(None if out_path is None else Path(out_path), "--out", [Path(rows_path)])
    try:
        with Path(rows_path).open("rb") as source:
            windows = windows_of(_rows(source))
            if out_path is None:
                return _judge(monitor, windows, sys.stdout.buffer)
            with Path(out_path).open("wb") as target:
                return _judge(monitor, windows, target)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(
            f"cannot be opened: {error.strerror}", key="file", value=error.filename, way_out="name another file"
        ) from error


def windows_of(rows: Iterable[Row | Cube]) -> Iterator[MergedWindow]:
    """Windows and cohorts in the order in which they are told; rows of partitions are added up.

    Merged rows are taken as they are, and expected in order of their windows, as a rows file has them.
    """
    return _as_told(_windows(rows))


def _windows(rows: Iterable[Row | Cube]) -> Iterator[MergedWindow]:
    partial: list[Row] = []
    cubes: list[Cube] = []
    for (start, end), group in groupby(rows, key=lambda row: (row.start_ms, row.end_ms)):
        merged: dict[Segment, Row] = {}
        cohorts: dict[int, dict[Segment, Row]] = {}
        for row in group:
            if isinstance(row, Cube):
                cubes.append(row)
            elif row.partition is not None:
                partial.append(row)
            elif row.kind == "window":
                merged[row.segment] = row
            elif row.kind == "cohort" and row.horizon_ms is not None:
                cohorts.setdefault(row.horizon_ms, {})[row.segment] = row
        if WHOLE in merged:
            whole = merged[WHOLE]
            yield MergedWindow(start, end, merged, whole.missing_partitions, whole.revision)
        for horizon_ms, found in cohorts.items():
            yield MergedWindow(start, end, found, kind="cohort", horizon_ms=horizon_ms)
    yield from _merged(partial, cubes)


def _merged(rows: list[Row], cubes: list[Cube]) -> Iterator[MergedWindow]:
    partitions = sorted({row.partition for row in rows if row.partition is not None})
    merger = Merger(partitions, merge_wait_ms=None)
    for cube in cubes:
        merger.push_cube(cube)
    # Corrections are known by now, so they go in before the window is judged.
    for row in sorted(rows, key=lambda row: (row.end_ms, row.kind != "correction", row.segment == WHOLE)):
        merger.push(row, row.end_ms)
    for partition in partitions:
        merger.close(partition)
    last = max((row.end_ms for row in rows), default=0)
    told = [window for window in merger.ready(last) if window.judge]
    yield from sorted(told, key=lambda window: (window.start_ms, window.kind != "window", window.horizon_ms or 0))


def _as_told(windows: Iterable[MergedWindow]) -> Iterator[MergedWindow]:
    """Cohorts are known a horizon after their window; those that were not known at the end are left out."""
    held: list[MergedWindow] = []
    for window in windows:
        if window.kind == "cohort":
            held.append(window)
            continue
        due = [one for one in held if one.end_ms + (one.horizon_ms or 0) < window.end_ms]
        held = [one for one in held if one not in due] if due else held
        yield from due
        yield window


def _rows(source: BinaryIO) -> Iterator[Row | Cube]:
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        try:
            yield decode_record(line)
        except InputError as error:
            raise InputError(
                f"line {number} is {error.problem}",
                key="rows",
                value=line[:80].decode(errors="replace"),
                way_out=error.args[0].split("; ")[-1],
            ) from error


def _without_tail(windows: Iterable[MergedWindow]) -> Iterator[MergedWindow]:
    """Leave out what follows the last event: there only timers count, and it would look like silence."""
    held: list[MergedWindow] = []
    for window in windows:
        held.append(window)
        told = window.rows[WHOLE].counters if window.kind == "window" else {}
        if any(count and not name.startswith(TIMED) for name, count in told.items()):
            yield from held
            held.clear()


def _judge(monitor: Monitor, windows: Iterable[MergedWindow], target: BinaryIO) -> int:
    judged = 0
    for window in _without_tail(windows):
        judgement = monitor.observe(window)
        judged += window.kind == "window"
        for verdict in judgement.verdicts:
            target.write(encode_verdict(verdict)[1] + b"\n")
        for incident in judgement.incidents:
            target.write(encode_incident(incident)[1] + b"\n")
    return judged
