"""What `funnelwatch simulate` does: a request of the command line to a file or to topics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streams.config import Config
from streams.errors import InputError
from streams.simulate.spec import ShopSpec, parse_incident
from streams.simulate.writer import Feed, Written, simulate_to_file, simulate_to_topics

__all__ = ["SimulateRequest", "run_simulation"]


@dataclass(frozen=True, slots=True)
class SimulateRequest:
    """The command line, parsed; ``start`` is ISO 8601, on the shop's clock where it has no offset."""

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
    """Write the records; returns how many, their bytes and where to.

    Raises
    ------
    InputError
        Where the request contradicts itself or an incident cannot be read.
    BrokerError
        Where the broker or its topics cannot be used.
    """
    if request.out and request.follow:
        raise InputError("follows no clock", key="--out", value=str(request.out), way_out="leave --follow or --out out")
    now_ms = time.time_ns() // 1_000_000
    start_ms = _start_ms(request, now_ms)
    end_ms = start_ms + request.length_ms
    sources = [source.topic for source in request.config.source]
    spec = ShopSpec(
        seed=request.seed,
        sessions_per_minute=request.rate,
        time_zone=request.config.shop.timezone,
        currency=request.config.shop.currency,
        incidents=tuple(parse_incident(text, start_ms) for text in request.incidents),
        click_topic=sources[0],
        orders_topic=sources[-1],
    )
    with _bar(None if request.follow else end_ms - start_ms, start_ms) as progress:
        if request.out:
            written = simulate_to_file(spec, request.out, start_ms, end_ms, progress)
            to = str(request.out)
        else:
            kafka = request.config.kafka
            to = request.bootstrap or kafka.bootstrap
            feed = Feed({**kafka.security(), "bootstrap_servers": to}, follow=request.follow)
            written = simulate_to_topics(spec, feed, start_ms, None if request.follow else end_ms, progress)
    return {"records": written.records, "bytes": written.bytes, "to": to, "start_ms": start_ms}


def _start_ms(request: SimulateRequest, now_ms: int) -> int:
    if request.start is None:
        return now_ms if request.follow else now_ms - request.length_ms
    try:
        moment = datetime.fromisoformat(request.start)
    except ValueError as error:
        raise InputError(
            "no moment", key="--start", value=request.start, way_out="write it as 2026-03-01T12:00"
        ) from error
    local = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(request.config.shop.timezone))
    return round(local.timestamp() * 1_000)


@contextmanager
def _bar(span_ms: int | None, start_ms: int) -> Iterator[Any]:
    columns = (
        TextColumn("simulating"), BarColumn(), TextColumn("{task.fields[records]:,} records"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulating", total=span_ms, records=0)

        def move(written: Written) -> None:
            progress.update(task, completed=written.until_ms - start_ms, records=written.records)

        yield move
