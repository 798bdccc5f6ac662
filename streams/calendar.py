"""The calendar: what operators announce and what they say of incidents, as records of a compacted topic."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import orjson

from detectors.base import SegmentKey
from detectors.seasonal import Note
from streams.engine.spec import DAY_MS, HOUR_MS
from streams.errors import InputError

__all__ = [
    "LABELS",
    "LONGEST_NOTE_MS",
    "Calendar",
    "Label",
    "LabelName",
    "decode_entry",
    "encode_label",
    "encode_note",
    "note_id",
    "read_calendar",
]

LabelName = Literal["incident", "expected", "new-normal"]
LABELS: tuple[LabelName, ...] = get_args(LabelName)

LONGEST_NOTE_MS = 60 * DAY_MS
SLACK_MS = 10 * 60_000
"""An onset is an estimate: what an operator says of an incident holds from a little before it."""

OPEN_MS = 4 * HOUR_MS
"""How long what was said of an incident that still stood goes on: as long as an alert may stand."""


class Label(NamedTuple):
    """What an operator said of an incident, with all that is needed to apply it without knowing the incident.

    ``ended_ms`` is None where the incident stood when that was said, at ``written_ms``.
    """

    incident: str
    label: LabelName
    kpis: tuple[str, ...]
    onset_ms: int
    ended_ms: int | None
    written_ms: int
    text: str = ""

    @property
    def since_ms(self) -> int:
        """From here on it holds."""
        return self.onset_ms - SLACK_MS

    @property
    def until_ms(self) -> int:
        """Up to here it holds."""
        return self.ended_ms if self.ended_ms is not None else self.written_ms + OPEN_MS

    def covers(self, kpi: str, moment_ms: int) -> bool:
        """Whether it speaks of a KPI at a moment.

        >>> label = Label("a1", "expected", ("orders",), 3_600_000, 7_200_000, 9_000_000)
        >>> [label.covers("orders", minute * 60_000) for minute in (49, 50, 120, 121)]
        [False, True, True, False]
        """
        return kpi in self.kpis and self.since_ms <= moment_ms <= self.until_ms


Entry = Note | Label


class Calendar:
    """All entries, the last of each key; what it holds does not depend on the order in which keys came.

    Parameters
    ----------
    notes
        Those of the configuration, which nothing removes.

    Examples
    --------
    >>> calendar = Calendar()
    >>> note = Note("campaign", 3_600_000, 7_200_000, "sale", (("channel", "sem"),))
    >>> calendar.apply(*encode_note(note)), calendar.apply(*encode_note(note)), calendar.notes == (note,)
    (3600000, None, True)
    >>> calendar.apply(encode_note(note)[0], None), calendar.notes
    (3600000, ())
    """

    def __init__(self, notes: Iterable[Note] = ()) -> None:
        self._fixed = tuple(notes)
        self.entries: dict[str, Entry] = {}

    @property
    def notes(self) -> tuple[Note, ...]:
        """Announced times, those of the configuration included, by start."""
        told = [entry for entry in self.entries.values() if isinstance(entry, Note)]
        return tuple(sorted({*self._fixed, *told}, key=lambda note: (note.start_ms, note)))

    @property
    def labels(self) -> tuple[Label, ...]:
        """What was said of incidents, by onset."""
        told = [entry for entry in self.entries.values() if isinstance(entry, Label)]
        return tuple(sorted(told, key=lambda label: (label.onset_ms, label.incident)))

    def apply(self, key: bytes, value: bytes | None) -> int | None:
        """Take a record; the first moment that it concerns, None where it changes nothing.

        Raises
        ------
        InputError
            Where the record is no entry; nothing is changed then.
        """
        name = key.decode(errors="replace")
        before = self.entries.get(name)
        after = None if value is None else decode_entry(value)
        if after == before:
            return None
        if after is None:
            del self.entries[name]
        else:
            self.entries[name] = after
        return min(_begin(entry) for entry in (before, after) if entry is not None)

    def ended(self, before_ms: int) -> list[str]:
        """Keys of entries that ended before a moment."""
        return [key for key, entry in self.entries.items() if _end(entry) < before_ms]


def note_id(note: Note) -> str:
    """A function of what is announced: the same announcement twice is one."""
    told = f"{note.name}|{note.kind}|{note.start_ms}|{note.end_ms}|{note.scope}"
    return hashlib.blake2b(told.encode(), digest_size=4).hexdigest()


def encode_note(note: Note) -> tuple[bytes, bytes]:
    """Key and value of a note.

    >>> encode_note(Note("holiday", 0, 86_400_000, "new year"))[1]
    b'{"end_ms":86400000,"id":"21c47438","kind":"holiday","name":"new year","record":"note","scope":{},"start_ms":0}'
    """
    told = {"record": "note", "id": note_id(note), **note._asdict(), "scope": dict(note.scope)}
    return f"note|{note_id(note)}".encode(), orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def encode_label(label: Label) -> tuple[bytes, bytes]:
    """Key and value of a label; a later one of the same incident replaces it."""
    told = {"record": "label", **label._asdict()}
    return f"label|{label.incident}".encode(), orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def decode_entry(value: bytes) -> Entry:
    """The note or label of a record's value; raises ``InputError`` where it is neither."""
    try:
        told = orjson.loads(value)
        return _note(told) if told["record"] == "note" else _label(told)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"not a record of the calendar topic: {error!r}",
            key="calendar",
            value=value[:80],
            way_out="write it with `funnelwatch note` or `funnelwatch label`",
        ) from error


def read_calendar(path: Path | None, notes: Iterable[Note] = ()) -> Calendar:
    """The calendar of a file: values of the calendar topic, one JSON object a line.

    Raises
    ------
    InputError
        Where the file cannot be read or a line is no entry: the message tells which.
    """
    calendar = Calendar(notes)
    if path is None:
        return calendar
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", key="--calendar", value=str(path), way_out="name another file"
        ) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = decode_entry(line)
        except InputError as error:
            raise InputError(
                f"line {number} is no note and no label",
                key="--calendar",
                value=line[:80].decode(errors="replace"),
                way_out="write what `funnelwatch note --list --json` prints as entries, one a line",
            ) from error
        calendar.apply(*(encode_note(entry) if isinstance(entry, Note) else encode_label(entry)))
    return calendar


def _begin(entry: Entry) -> int:
    return entry.start_ms if isinstance(entry, Note) else entry.since_ms


def _end(entry: Entry) -> int:
    return entry.end_ms if isinstance(entry, Note) else entry.until_ms


def _note(told: dict[str, Any]) -> Note:
    if told["kind"] not in {"campaign", "holiday"}:
        raise ValueError(f"kind {told['kind']!r}")
    start_ms, end_ms = _moment(told["start_ms"]), _moment(told["end_ms"])
    if not start_ms < end_ms <= start_ms + LONGEST_NOTE_MS:
        raise ValueError("its end is not after its start, or too long after it")
    scope: SegmentKey = tuple(sorted((str(key), str(value)) for key, value in told["scope"].items()))
    return Note(told["kind"], start_ms, end_ms, str(told["name"]), scope)


def _label(told: dict[str, Any]) -> Label:
    if told["record"] != "label" or told["label"] not in LABELS:
        raise ValueError(f"neither a note nor one of {LABELS}")
    ended = told["ended_ms"]
    return Label(
        incident=str(told["incident"]),
        label=told["label"],
        kpis=tuple(map(str, told["kpis"])),
        onset_ms=_moment(told["onset_ms"]),
        ended_ms=None if ended is None else _moment(ended),
        written_ms=_moment(told["written_ms"]),
        text=str(told.get("text", "")),
    )


def _moment(told: Any) -> int:
    if isinstance(told, bool) or not isinstance(told, int) or told < 0:
        raise ValueError(f"{told!r} is no moment in ms")
    return told
