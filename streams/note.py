"""``funnelwatch note`` and ``funnelwatch label``: what operators announce, and what they say of incidents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from detectors.base import Incident
from detectors.seasonal import Note
from streams.anomaly_topic import read_incidents
from streams.calendar import (
    LABELS,
    LONGEST_NOTE_MS,
    Calendar,
    Label,
    LabelName,
    encode_label,
    encode_note,
    note_id,
)
from streams.calendar_topic import load_calendar, write_entry
from streams.config import Config
from streams.engine.spec import DAY_MS
from streams.errors import InputError
from streams.kafka import describe_topics, first_offset_since
from streams.moments import parse_moment
from streams.replay.options import show_moment

__all__ = ["LabelRequest", "NoteRequest", "run_label", "run_note"]

KINDS = ("campaign", "holiday")
LONGEST_TEXT = 200
RECENT_MS = 2 * DAY_MS
SHOWN = 5


@dataclass(frozen=True, slots=True)
class NoteRequest:
    """What was asked for; moments are still text.

    Parameters
    ----------
    config
        Names the topic, the broker, the dimensions and the time zone.
    text, since, until, kind, segments
        The note to write; ``segments`` are pairs such as ``channel=sem``.
    remove
        Name of a note to take back.
    """

    config: Config
    bootstrap: str | None = None
    text: str | None = None
    since: str | None = None
    until: str | None = None
    kind: str = "campaign"
    segments: Sequence[str] = ()
    remove: str | None = None


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """What was asked for: an incident by its name or the beginning of it, and a word of ``LABELS`` or ``none``."""

    config: Config
    incident: str
    label: str
    bootstrap: str | None = None
    text: str = ""


def run_note(request: NoteRequest) -> dict[str, Any]:
    """Write or remove a note as asked, then tell what the calendar holds.

    Returns
    -------
    dict
        ``entries`` as the topic holds them (notes, then labels), those of the configuration left out, and ``text``.

    Raises
    ------
    InputError
        Where the request contradicts itself, or an argument cannot be used.
    BrokerError
        Where the broker or the topic cannot be used.
    """
    config = request.config
    entry = _note_entry(request)
    return asyncio.run(_noted(config, _client(config, request.bootstrap), entry, request.remove))


def run_label(request: LabelRequest) -> dict[str, Any]:
    """Write a label, or take it back with ``none``; what was written, and ``text``.

    Raises
    ------
    InputError
        Where there is no such label, or no such incident, or several.
    BrokerError
        Where the broker or a topic cannot be used.
    """
    if request.label not in {*LABELS, "none"}:
        raise InputError(
            "no such label", key="LABEL", value=request.label, way_out=f"use one of {', '.join(LABELS)}, none"
        )
    return asyncio.run(_labelled(request, _client(request.config, request.bootstrap)))


def _client(config: Config, bootstrap: str | None) -> dict[str, Any]:
    return {"bootstrap_servers": bootstrap or config.kafka.bootstrap, **config.kafka.security()}


def _note_entry(request: NoteRequest) -> Note | None:
    given = [request.text, request.since, request.until, *request.segments]
    if request.remove is not None:
        if any(part is not None for part in given):
            raise InputError("removes a note and writes none", key="--remove", way_out="leave out all but the name")
        return None
    if not any(part is not None for part in given):
        return None
    for key, value in (("TEXT", request.text), ("--from", request.since), ("--to", request.until)):
        if not value or not value.strip():
            raise InputError("is missing", key=key, way_out='such as note "618 sale" --from 2026-06-18 --to 2026-06-19')
    return _checked(request, cast(str, request.text).strip())


def _checked(request: NoteRequest, text: str) -> Note:
    zone = request.config.shop.timezone
    if len(text) > LONGEST_TEXT:
        raise InputError(f"is longer than {LONGEST_TEXT} characters", key="TEXT", value=text[:40], way_out="shorten it")
    if request.kind not in KINDS:
        raise InputError("no such kind", key="--kind", value=request.kind, way_out=f"use one of {', '.join(KINDS)}")
    start_ms = parse_moment(cast(str, request.since), zone, "--from")
    end_ms = parse_moment(cast(str, request.until), zone, "--to")
    if end_ms <= start_ms:
        raise InputError("is not after --from", key="--to", value=request.until, way_out="name a later moment")
    if end_ms - start_ms > LONGEST_NOTE_MS:
        raise InputError(
            f"is more than {LONGEST_NOTE_MS // DAY_MS} days after --from",
            key="--to",
            value=request.until,
            way_out="a longer time is no event: it is learnt as usual; or write several notes",
        )
    scope = dict(_segment(request.config, part) for part in request.segments)
    if len(scope) < len(request.segments):
        raise InputError(
            "names a dimension twice",
            key="--segment",
            value=" ".join(request.segments),
            way_out="write a note for each",
        )
    return Note(
        "holiday" if request.kind == "holiday" else "campaign", start_ms, end_ms, text, tuple(sorted(scope.items()))
    )


def _segment(config: Config, told: str) -> tuple[str, str]:
    dimension, _, value = told.partition("=")
    known = [*config.segments.session, *config.segments.payment]
    if dimension not in known or not value:
        raise InputError(
            "no value of a dimension",
            key="--segment",
            value=told,
            way_out=f"write dimension=value, with one of {', '.join(known)}",
        )
    return dimension, value


async def _noted(config: Config, client: dict[str, Any], note: Note | None, remove: str | None) -> dict[str, Any]:
    topic = config.topics.calendar
    calendar, _ = await load_calendar(client, topic)
    if remove is not None:
        key = f"note|{remove}"
        if key not in calendar.entries:
            names = ", ".join(name.removeprefix("note|") for name in calendar.entries if name.startswith("note|"))
            raise InputError("no such note", key="--remove", value=remove, way_out=f"there are: {names or 'none'}")
        await write_entry(client, topic, (key.encode(), None), config.topics.replication_factor)
        calendar.apply(key.encode(), None)
    if note is not None:
        await write_entry(client, topic, encode_note(note), config.topics.replication_factor)
        calendar.apply(*encode_note(note))
    return _shown(calendar, config.shop.timezone, note)


def _shown(calendar: Calendar, zone: str, written: Note | None) -> dict[str, Any]:
    entries = [encode_note(one)[1] for one in calendar.notes] + [encode_label(one)[1] for one in calendar.labels]
    told = [_note_line(one, zone, new=one == written) for one in calendar.notes]
    told += [_label_line(one, zone) for one in calendar.labels]
    return {"entries": [orjson.loads(one) for one in entries], "text": "\n".join(told or ["the calendar is empty"])}


def _note_line(note: Note, zone: str, *, new: bool) -> str:
    where = ", ".join(f"{key}={value}" for key, value in note.scope) or "the whole shop"
    span = f"{show_moment(note.start_ms, zone)} to {show_moment(note.end_ms, zone)} {zone}"
    return f"{'+' if new else ' '} {note_id(note)}  {note.kind:<8}  {span}  {where}  {note.name}"


def _label_line(label: Label, zone: str) -> str:
    return f"  {label.incident}  {label.label}, since {show_moment(label.onset_ms, zone)}  {label.text}".rstrip()


async def _labelled(request: LabelRequest, client: dict[str, Any]) -> dict[str, Any]:
    config = request.config
    topic, zone = config.topics.calendar, config.shop.timezone
    replication = config.topics.replication_factor
    calendar, _ = await load_calendar(client, topic)
    if request.label == "none":
        found = [one.incident for one in calendar.labels if one.incident.startswith(request.incident)]
        name = _only(found, request.incident, "has no label")
        await write_entry(client, topic, (f"label|{name}".encode(), None), replication)
        return {"incident": name, "label": None, "text": f"{name}: its label is taken back"}
    before = {one.incident: one for one in calendar.labels}
    incidents = await _incidents(client, config.topics.anomalies, request.incident)
    # A labelled incident may not be found any more by the judge: what was known of it is in its label.
    names = sorted({*incidents, *(name for name in before if name.startswith(request.incident))})
    name = _only(names, request.incident, "no such incident", await _latest(client, config, names))
    label = _label_of(request, incidents.get(name), before.get(name))
    await write_entry(client, topic, encode_label(label), replication)
    told = orjson.loads(encode_label(label)[1])
    since = show_moment(label.onset_ms, zone)
    return {**told, "text": f"{name}: {label.label}; {', '.join(label.kpis)} since {since} {zone}"}


def _label_of(request: LabelRequest, incident: Incident | None, before: Label | None) -> Label:
    name, now_ms = cast(LabelName, request.label), time.time_ns() // 1_000_000
    if before is not None:
        # The extent of the first label: what it changed has changed the incident's own.
        ended_ms = before.ended_ms if before.ended_ms is not None or incident is None else incident.ended_ms
        return before._replace(label=name, ended_ms=ended_ms, text=request.text or before.text)
    if incident is None:
        raise InputError("no such incident", key="INCIDENT", value=request.incident)
    return Label(incident.id, name, incident.kpis, incident.onset_ms, incident.ended_ms, now_ms, request.text)


def _only(found: Sequence[str], told: str, problem: str, known: str = "") -> str:
    if len(found) == 1 or told in found:
        return told if told in found else found[0]
    if found:
        raise InputError("several begin so", key="INCIDENT", value=told, way_out=f"one of {', '.join(found[:SHOWN])}")
    raise InputError(problem, key="INCIDENT", value=told, way_out=known or "see `funnelwatch note --list`")


async def _incidents(client: dict[str, Any], topic: str, name: str) -> dict[str, Incident]:
    """Incidents whose name begins so: looked for in the last days first, most are of today."""
    if topic not in await describe_topics(client, [topic]):
        return {}
    recent = await first_offset_since(client, topic, 0, time.time_ns() // 1_000_000 - RECENT_MS)
    return await read_incidents(client, topic, recent, name) or await read_incidents(client, topic, 0, name)


async def _latest(client: dict[str, Any], config: Config, names: Sequence[str]) -> str:
    """The incidents to choose from, where none was found."""
    if names:
        return ""
    known = sorted((await _incidents(client, config.topics.anomalies, "")).values(), key=lambda one: -one.updated_ms)
    told = "; ".join(f"{one.id} ({one.summary})" for one in known[:SHOWN])
    return f"the latest are: {told}" if told else "no incident has been told yet"
