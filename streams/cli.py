"""The command line: arguments and exit codes only."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.durations import parse_duration
from streams.errors import FunnelwatchError, InputError

if TYPE_CHECKING:
    from streams.config import Config
    from streams.live.topics import Finding

__all__ = ["app", "main"]

app = typer.Typer(
    name="funnelwatch",
    help="Watch a shop's funnel: events in from Kafka, an alert out within minutes, a replay afterwards.",
    epilog="Exit codes: 0 fine, 1 failed, 2 argument or configuration, 3 broker or topics, 4 stored state, "
    "75 stuck worker, 130 stopped",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file; without it every key has its default.")]


def broker_address(told: str | None) -> str | None:
    """The option as it is; ``InputError`` where it is no address."""
    from streams.config_sections import host_ports

    try:
        return told and host_ports(told)
    except ValueError as error:
        raise InputError(str(error), key="--bootstrap") from None


BootstrapOption = Annotated[
    str | None,
    typer.Option(
        "--bootstrap", help="Broker as host:port; wins over kafka.bootstrap of the file.", callback=broker_address
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]

CalendarOption = Annotated[
    Path | None, typer.Option("--calendar", help="Notes and labels, one JSON object a line, as the topic holds them.")
]


@app.command()
def run(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    metrics_host: Annotated[str | None, typer.Option(help="Address of /metrics; wins over metrics.host.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of /metrics, 0 any free one; wins over metrics.port.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Leave stored snapshots and compute all kept records anew.")
    ] = False,
) -> None:
    """Run one worker: count, judge and export until SIGTERM or Ctrl-C."""
    from streams.live.configured import live_settings
    from streams.live.worker import run_worker

    settings = live_settings(
        load_config(config), bootstrap=bootstrap, metrics_host=metrics_host, metrics_port=metrics_port, rebuild=rebuild
    )
    raise typer.Exit(run_worker(settings))


@app.command()
def demo(
    for_: Annotated[str | None, typer.Option("--for", help="End by itself after this time, such as 90s.")] = None,
    json: JsonOption = False,
    calm: Annotated[bool, typer.Option("--calm", help="Leave the payment outage out.")] = False,
    bootstrap: Annotated[
        str | None,
        typer.Option("--bootstrap", help="Use this broker, do not start the embedded one.", callback=broker_address),
    ] = None,
    metrics_port: Annotated[int, typer.Option(help="Port of /metrics; 0 any free one.")] = 9464,
    seed: Annotated[int, typer.Option(help="Of the simulated shop.")] = 1,
) -> None:
    """Show the whole chain: broker, simulated shop, worker, and an outage that is caught."""
    from streams.demo import DemoOptions, run_demo

    seconds = duration(for_, "--for") / 1_000 if for_ else None
    options = DemoOptions(
        for_seconds=seconds, json=json, calm=calm, bootstrap=bootstrap, metrics_port=metrics_port, seed=seed
    )
    raise typer.Exit(run_demo(options))


@app.command()
def simulate(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Write to this file (.jsonl, .gz, .zst) with its labels beside it.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="To topics: go on with the clock until stopped.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same records.")] = 1,
    rate: Annotated[float, typer.Option(help="Mean sessions a minute.")] = 300.0,
    start: Annotated[
        str | None,
        typer.Option(help="First moment, such as 2026-03-01T00:00; default: --length ago, or now with --follow."),
    ] = None,
    length: Annotated[
        str, typer.Option(help="How much event time, such as 30m or 14d; with --follow only the past part.")
    ] = "1h",
    incident: Annotated[
        list[str] | None, typer.Option(help="kind@+30m/10m[:dimension=value][*severity]; may be repeated.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """A seeded shop with day and week shape and labelled incidents, to a file or to the source topics."""
    from streams.simulate.command import SimulateRequest, run_simulation

    request = SimulateRequest(
        config=load_config(config), bootstrap=bootstrap, out=out, follow=follow, seed=seed, rate=rate, start=start,
        length_ms=duration(length, "--length"), incidents=tuple(incident or ()),
    )  # fmt: skip
    told = run_simulation(request)
    print_json(told) if json else print(f"{told['records']} records, {told['bytes']} bytes, to {told['to']}")


@app.command()
def replay(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Events as JSON lines (.jsonl, .gz, .zst); none: the topics.")
    ] = None,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="First moment of a topic range, such as 2026-03-01T12:00 (shop time).")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="End of the range, exclusive; default: the end of the log.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="Of a file: native, ga4 or segment.")] = "native",
    rows: Annotated[Path | None, typer.Option(help="Write the merged rows to this file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report to this file.")] = None,
    speed: Annotated[
        float | None, typer.Option(help="Times faster than the shop; default: as fast as it goes.")
    ] = None,
    calendar: CalendarOption = None,
    json: JsonOption = False,
) -> None:
    """The same engine and judge over a file or a topic range; nothing live is touched."""
    from streams.replay.command import ReplayRequest, run_replay

    request = ReplayRequest(
        config=load_config(config), files=tuple(files or ()), bootstrap=bootstrap, since=from_, until=to,
        format=format_, rows=rows, report=report, speed=speed, calendar=calendar,
    )  # fmt: skip
    told = run_replay(request)
    print_json(told) if json else print(told["text"])


@app.command()
def judge(
    rows: Annotated[Path, typer.Argument(help="Merged rows, as `replay --rows` writes them.")],
    out: Annotated[
        Path | None, typer.Option(help="Verdicts and incidents as JSON lines; default: standard output.")
    ] = None,
    config: ConfigOption = None,
    calendar: CalendarOption = None,
) -> None:
    """Judge counters alone: the verdicts and incidents as they would have come live; no Kafka."""
    from streams.judge import judge_file

    judge_file(rows, out, load_config(config).monitor_spec(), calendar=calendar)


@app.command()
def note(
    text: Annotated[
        str | None, typer.Argument(help="What is announced, such as a sale; none: show the calendar.")
    ] = None,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="First moment, such as 2026-06-18T00:00 (shop time).")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="End, exclusive; at most 60 days later.")] = None,
    kind: Annotated[
        str, typer.Option(help="campaign (shoppers do otherwise) or holiday (a day like a Sunday).")
    ] = "campaign",
    channel: Annotated[str | None, typer.Option(help="Only for this channel; short for --segment channel=...")] = None,
    segment: Annotated[
        list[str] | None, typer.Option(help="Only for dimension=value, such as device=ios; may be repeated.")
    ] = None,
    remove: Annotated[str | None, typer.Option(help="Take the note of this name back.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the calendar, as without any argument.")] = False,
    json: JsonOption = False,
) -> None:
    """Announce a campaign or a holiday, so that what it moves does not page; running workers follow at once."""
    from streams.note import NoteRequest, run_note

    if list_ and (text is not None or remove is not None):
        raise InputError("shows the calendar and changes nothing", key="--list", way_out="leave it out")
    segments = [*(segment or ()), *([f"channel={channel}"] if channel is not None else [])]
    told = run_note(NoteRequest(load_config(config), bootstrap, text, from_, to, kind, segments, remove))
    print_json(told) if json else print(told["text"])


@app.command()
def label(
    incident: Annotated[str, typer.Argument(help="Its name, or the beginning of it.")],
    label: Annotated[str, typer.Argument(help="incident, expected, new-normal, or none to take a label back.")],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    text: Annotated[str, typer.Option("--note", help="Why, for those who read it later.")] = "",
    json: JsonOption = False,
) -> None:
    """Say what an incident was; the judge goes back to before its onset and learns anew. Nothing of the past pages."""
    from streams.note import LabelRequest, run_label

    told = run_label(LabelRequest(load_config(config), incident, label, bootstrap, text))
    print_json(told) if json else print(told["text"])


@app.command()
def check(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    prometheus: Annotated[str | None, typer.Option(help="Also ask this Prometheus, http://host:port.")] = None,
    json: JsonOption = False,
) -> None:
    """Say what is wrong with config, broker, topics and Prometheus, before anything runs."""
    from streams.check import check as look

    show_findings(look(load_config(config), bootstrap=bootstrap, prometheus=prometheus), json)


@app.command()
def topics(config: ConfigOption = None, bootstrap: BootstrapOption = None, json: JsonOption = False) -> None:
    """Create the topics that are missing, and show them all."""
    from streams.live.configured import live_settings
    from streams.live.topics import check_topics, ensure_topics

    settings = live_settings(load_config(config), bootstrap=bootstrap)
    asyncio.run(ensure_topics(settings))
    show_findings(asyncio.run(check_topics(settings)), json)


def load_config(path: Path | None) -> Config:
    """The configuration, imported late so that `--help` is quick."""
    from streams.config import load_config as load

    return load(path)


def duration(text: str, key: str) -> int:
    """Milliseconds of an option; ``InputError`` names it."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(str(error), key=key) from None


def print_json(told: Any) -> None:
    """One JSON object on standard output."""
    import orjson

    sys.stdout.write(orjson.dumps(told, default=str).decode() + "\n")


def show_findings(findings: Sequence[Finding], as_json: bool) -> None:
    """A line each, worst last; exit code 3 where there is an error."""
    failed = any(finding.level == "error" for finding in findings)
    if as_json:
        print_json({"ok": not failed, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in sorted(findings, key=lambda one: ("ok", "warning", "error").index(one.level)):
            way_out = f"; {finding.way_out}" if finding.way_out else ""
            print(f"{finding.level:<8} {finding.subject}: {finding.problem}{way_out}")
    raise typer.Exit(3 if failed else 0)


def main() -> None:
    """Run the command line; an expected error becomes one line on standard error and its exit code."""
    # A library's own words about an error that is told below would only repeat it; worker and demo set up their logs.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        app()
    except FunnelwatchError as error:
        print(f"funnelwatch: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Who reads, such as `head`, has enough; the interpreter must not try the pipe again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
