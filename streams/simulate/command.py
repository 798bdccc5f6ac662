"""``funnelwatch simulate``: a request from the command line becomes a file or records on topics."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from streams.config import Config
from streams.errors import InputError
from streams.moments import parse_moment
from streams.outputs import check_output
from streams.simulate.shop import Shop
from streams.simulate.spec import ShopSpec, parse_incident
from streams.simulate.writer import Feed, Written, feed_topics, labels_path, simulate_to_file
from streams.simulate.writer import Progress as Told

__all__ = ["SimulateRequest", "run_simulation"]

MOST_SESSIONS = 1_000_000


@dataclass(frozen=True, slots=True)
class SimulateRequest:
    """What was asked for; ``start`` and ``incidents`` are still text.

    Parameters
    ----------
    config
        Names the topics, the broker, the time zone and the currency.
    bootstrap
        A broker that wins over the configuration's.
    out
        A file; None writes to the source topics.
    follow
        To topics: go on with the clock until stopped.
    seed, rate
        Of the shop; ``rate`` in sessions a minute.
    start
        First moment; None: ``length_ms`` ago, or now where the clock is followed.
    length_ms
        How much event time.
    incidents
        Each as ``kind@+30m/10m[:dimension=value][*severity]``.
    """

    config: Config
    bootstrap: str | None = None
    out: Path | None = None
    follow: bool = False
    seed: int = 1
    rate: float = 300.0
    start: str | None = None
    length_ms: int = 3_600_000
    incidents: tuple[str, ...] = ()


def run_simulation(request: SimulateRequest) -> dict[str, Any]:
    """Simulate as asked; returns how many ``records`` and ``bytes`` went ``to`` where, and the incidents.

    Raises
    ------
    InputError
        Where the request contradicts itself, or a moment, an incident or the file cannot be used.
    BrokerError
        Where the broker or its topics cannot be used.
    """
    if request.out is not None and request.follow:
        raise InputError("a file cannot follow the clock", key="--follow", way_out="leave out --out or --follow")
    if request.out is not None and request.bootstrap:
        raise InputError("a file needs no broker", key="--bootstrap", way_out="leave out --out, or --bootstrap")
    if not 0 < request.rate <= MOST_SESSIONS:
        raise InputError(
            "not a rate", key="--rate", value=request.rate, way_out=f"use sessions a minute, up to {MOST_SESSIONS:,}"
        )
    if request.length_ms <= 0:
        raise InputError("no time to simulate", key="--length", value="0s", way_out="use a longer one, such as 1h")
    check_output(request.out, "--out", [labels_path(request.out)] if request.out else [])
    clock_ms = time.time_ns() // 1_000_000
    start_ms = clock_ms if request.follow else clock_ms - request.length_ms
    if request.start is not None:
        start_ms = parse_moment(request.start, request.config.shop.timezone, "--start")
    end_ms = start_ms + request.length_ms
    spec = shop_spec(request, start_ms)
    if request.out is not None:
        with bar(start_ms, end_ms) as progress:
            written = simulate_to_file(spec, request.out, start_ms, end_ms, progress)
        told = {"to": str(request.out), "labels": str(labels_path(request.out))}
    else:
        written = to_topics(request, spec, start_ms, end_ms)
        told = {"to": f"{spec.click_topic}, {spec.orders_topic} at {bootstrap_of(request)}"}
    return {
        "records": written.records,
        "bytes": written.bytes,
        **told,
        "start_ms": start_ms,
        "end_ms": written.until_ms,
        "incidents": Shop(spec).labels(),
    }


def shop_spec(request: SimulateRequest, start_ms: int) -> ShopSpec:
    """The shop of a request: topics, time zone and currency are those that the configuration watches."""
    sources = request.config.source
    for source in sources[:2]:
        if source.format != "native" and request.out is None:
            raise InputError(
                "a simulated shop speaks the native format",
                key=f"source.{source.topic}.format", value=source.format, way_out="watch other topics with it",
            )  # fmt: skip
    return ShopSpec(
        seed=request.seed,
        sessions_per_minute=request.rate,
        time_zone=request.config.shop.timezone,
        currency=request.config.shop.currency,
        incidents=tuple(parse_incident(text, start_ms) for text in request.incidents),
        click_topic=sources[0].topic,
        orders_topic=sources[min(1, len(sources) - 1)].topic,
    )


def to_topics(request: SimulateRequest, spec: ShopSpec, start_ms: int, end_ms: int) -> Written:
    """Write to the topics; a stop by Ctrl-C while following is the ordinary end."""
    feed = Feed({**request.config.kafka.security(), "bootstrap_servers": bootstrap_of(request)}, follow=request.follow)
    last = Written(0, 0, start_ms)

    def keep(written: Written) -> None:
        nonlocal last
        last = written
        progress(written)

    with bar(start_ms, None if request.follow else end_ms) as progress:
        try:
            asyncio.run(feed_topics(Shop(spec), feed, start_ms, None if request.follow else end_ms, keep))
        except KeyboardInterrupt:
            if not request.follow:
                raise
    return last


def bootstrap_of(request: SimulateRequest) -> str:
    """The broker that is written to."""
    return request.bootstrap or request.config.kafka.bootstrap


@contextmanager
def bar(start_ms: int, end_ms: int | None) -> Iterator[Told]:
    """A bar on standard error, where that is a terminal; without an end only the count is shown."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.fields[told]}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as shown:
        task = shown.add_task("", total=end_ms and end_ms - start_ms, told="working out who is in the shop")

        def progress(written: Written) -> None:
            shown.update(task, completed=written.until_ms - start_ms, told=f"{written.records:,} records")

        yield progress
