"""The demonstration: a broker, a shop, a worker, Prometheus and Alertmanager, started, shown and stopped."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import orjson
from rich.console import Console

from dashboards.stack import missing_programs
from streams.broker import embedded_broker, free_port
from streams.demo.acts import Acts
from streams.demo.display import Display, Lines, TableDisplay
from streams.demo.options import DemoOptions, pace_of, shop_of, worker_config
from streams.demo.report import Left, lines_of, summary
from streams.demo.state import Picture
from streams.errors import InputError

__all__ = ["run_demo"]


def run_demo(options: DemoOptions) -> int:
    """Run the demonstration until its time is over or it is interrupted; returns the exit code.

    Raises
    ------
    FunnelwatchError
        A port is taken, the directory is in use, the broker or the worker cannot be started or ends early.
    """
    console = Console()
    display: Display = TableDisplay(console)
    if options.json or not console.is_terminal:
        display = Lines(sys.stderr if options.json else sys.stdout)
    picture = Picture(started_ms=now_ms())
    missing = missing_programs()
    with ExitStack() as stack:
        left = stack.enter_context(own_directory(options.directory))
        log_to(left.logs / "demo.log")
        stack.enter_context(display)
        # A broker of somebody else's gets topics of our own, so that nothing of theirs is touched.
        prefix = f"funnelwatch-demo-{picture.started_ms}." if options.bootstrap else ""
        chosen = nullcontext(options.bootstrap) if options.bootstrap else embedded_broker(options.broker_port)
        picture.broker = stack.enter_context(chosen) or ""
        pace = pace_of(options)
        config = worker_config(picture.broker, usable_port(options.metrics_port), pace, prefix)
        left.config.write_text(config, encoding="utf-8")
        spec = shop_of(options, pace, prefix, opens_ms=picture.started_ms - pace.history_ms)
        acts = Acts(options, pace, spec, left, picture)
        acts.programs = not missing
        acts.show = lambda: display.show(picture, now_ms(), commands_of(picture, left))
        asyncio.run(acts.play())
    if options.json:
        told = summary(picture, left, now_ms(), missing)
        sys.stdout.buffer.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.flush()
    else:
        for line in lines_of(picture, left):
            console.print(line, highlight=False, soft_wrap=True)
        for what, command in commands_of(picture, left, after=True):
            console.print(f"  [dim]{what}:[/] [cyan]{command}[/]", highlight=False, soft_wrap=True)
    return 0


def commands_of(picture: Picture, left: Left, after: bool = False) -> list[tuple[str, str]]:
    """What to try next, as explanations and commands to copy; ``after`` the end only the files are left."""
    replay = f"funnelwatch replay {left.events} --config {left.config}"
    if after:
        return [("replay it", f"{replay} --report incident.html"), ("run your own", "funnelwatch run --help")]
    told = [("replay", replay)]
    if picture.metrics_url:
        told.insert(0, ("metrics", f"curl -s {picture.metrics_url} | grep funnel_kpi_value"))
    if picture.prometheus_url:
        told.append(("alerts", f"{picture.prometheus_url}/alerts"))
    return [*told, ("another shop", "funnelwatch simulate --help")]


def usable_port(port: int) -> int:
    """The port itself where nothing listens on it, a free one for 0."""
    if not port:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(
                "another program listens there",
                key="--metrics-port",
                value=port,
                way_out="stop it, or use 0 for a free one",
            ) from error
    return port


@contextmanager
def own_directory(directory: Path) -> Iterator[Left]:
    """The directory of the run, held against a second one, without what an earlier one left."""
    logs = directory / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        held = (directory / ".lock").open("w")
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", key="directory", value=str(directory), way_out="run it elsewhere"
        ) from error
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                "another demonstration runs here",
                key="directory",
                value=str(directory),
                way_out="end it, or run elsewhere",
            ) from error
        shutil.rmtree(directory / "stack", ignore_errors=True)
        events = directory / "events.jsonl.zst"
        yield Left(events, directory / "events.labels.json", directory / "shop.toml", logs)


def log_to(path: Path) -> None:
    """Send what libraries log to a file: the screen belongs to the table."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger().handlers[:] = [handler]


def now_ms() -> int:
    """The clock."""
    return time.time_ns() // 1_000_000
