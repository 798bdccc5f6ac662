"""``funnelwatch replay``: a request from the command line becomes a replay, and the replay a few lines of text."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.config import Config
from streams.errors import InputError
from streams.formats import get_format
from streams.moments import parse_moment
from streams.replay.options import ReplayOptions, show_moment
from streams.replay.report import headline
from streams.replay.review import Replayed, funnel_of
from streams.replay.run import replay_file, replay_topics
from streams.replay.words import said, show_cost, show_span

__all__ = ["ReplayRequest", "run_replay", "told_in_text"]


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What was asked for; ``since`` and ``until`` are still text.

    Parameters
    ----------
    config
        Names the topics, the broker, the specification and the time zone.
    files
        JSON lines, ``-`` for standard input; none: the source topics of the configuration.
    bootstrap
        A broker that wins over the configuration's; topics only.
    since, until
        Moments; without an offset on the shop's clock.
    format
        Of the records of files.
    rows, report
        Files to write.
    speed
        How many times faster than the shop; None: as fast as it goes.
    calendar
        A file of notes and labels; None: of topics those of the calendar topic, of files none.
    """

    config: Config
    files: tuple[Path, ...] = ()
    bootstrap: str | None = None
    since: str | None = None
    until: str | None = None
    format: str = "native"
    rows: Path | None = None
    report: Path | None = None
    speed: float | None = None
    calendar: Path | None = None


def run_replay(request: ReplayRequest) -> dict[str, Any]:
    """Replay as asked; the summary (see ``Replayed.summary``) and beside it the ``text`` for a terminal.

    Raises
    ------
    InputError
        Where the request contradicts itself, or a moment or a file cannot be used.
    BrokerError
        Where the broker or a topic cannot be used.
    """
    if request.files and request.bootstrap:
        raise InputError("files need no broker", key="--bootstrap", way_out="leave out the files, or --bootstrap")
    options = _options(request)
    replayed = replay_file(request.files, options) if request.files else replay_topics(options)
    written = [path for path in (request.rows, request.report) if path is not None]
    return {**replayed.summary(), "text": told_in_text(replayed, written)}


def told_in_text(replayed: Replayed, written: list[Path]) -> str:
    """What happened, in lines of text."""
    zone = replayed.time_zone
    title, lead = headline(replayed)
    lines = [title, lead]
    if replayed.since_ms is not None and replayed.until_ms is not None:
        lines.append(
            f"{show_moment(replayed.since_ms, zone)} to {show_moment(replayed.until_ms, zone)} {zone}: "
            f"{replayed.windows:,} windows, {replayed.accounting.records:,} records"
        )
    for incident in replayed.incidents[:20]:
        cost = show_cost(incident)
        lines.append(
            f"  {incident.state:<9} {said(incident)}; {show_span(incident, zone)}" + (f"; {cost}" if cost else "")
        )
    if replayed.totals is not None:
        stages = [
            f"{stage} {seen:,}" + (f" (+{guessed:,})" if guessed else "")
            for stage, seen, guessed in funnel_of(replayed.totals)
        ]
        lines.append("funnel: " + ", ".join(stages))
    rejected = {name: n for name, n in replayed.accounting.counts.items() if name.startswith("rejected.") and n}
    if rejected:
        lines.append(
            "rejected: " + ", ".join(f"{name.removeprefix('rejected.')} {n:,}" for name, n in rejected.items())
        )
    lines += [f"written: {path}" for path in written]
    return "\n".join(lines)


def _options(request: ReplayRequest) -> ReplayOptions:
    config = request.config
    zone = config.shop.timezone
    get_format(request.format)
    bootstrap = request.bootstrap or config.kafka.bootstrap
    return ReplayOptions(
        engine=config.engine_spec(),
        monitor=config.monitor_spec(),
        time_zone=zone,
        format=request.format,
        since_ms=None if request.since is None else parse_moment(request.since, zone, "--from"),
        until_ms=None if request.until is None else parse_moment(request.until, zone, "--to"),
        client_args={} if request.files else {"bootstrap_servers": bootstrap, **config.kafka.security()},
        kpi_topic="" if request.files else config.topics.kpi,
        anomalies_topic="" if request.files else config.topics.anomalies,
        rows=request.rows,
        report=request.report,
        speed=request.speed,
        calendar=request.calendar,
        calendar_topic="" if request.files else config.topics.calendar,
        command=_command(request),
    )


def _command(request: ReplayRequest) -> str:
    told = ["funnelwatch", "replay", *map(str, request.files)]
    given = {
        "--bootstrap": request.bootstrap,
        "--from": request.since,
        "--to": request.until,
        "--format": None if request.format == "native" else request.format,
        "--rows": request.rows,
        "--report": request.report,
        "--calendar": request.calendar,
    }
    for option, value in given.items():
        if value is not None:
            told += [option, str(value)]
    return shlex.join(told)
