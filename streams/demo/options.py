"""What the demonstration is told, and the pace at which it shows things."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streams.durations import format_duration
from streams.errors import InputError
from streams.simulate import FunnelSpec, ShopSpec

__all__ = ["DemoOptions", "Pace", "pace_of", "shop_of", "worker_config"]

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000
SHORTEST_SECONDS: Final = 60.0
LONG_SECONDS: Final = 240.0
"""A run of this length has time for an outage that takes a fifth of the payments, and a minute to find it."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How to run the demonstration.

    Parameters
    ----------
    for_seconds
        Ends by itself after this time; None: on Ctrl-C.
    json
        One JSON summary on standard output instead of the live table.
    calm
        Nothing is injected.
    bootstrap
        A broker to use instead of the embedded one, as ``host:port``; the demonstration makes topics of its own
        there and deletes them at the end.
    broker_port, metrics_port
        Ports on 127.0.0.1; 0 takes a free one.
    seed, sessions_per_minute
        Of the simulated shop.
    directory
        Where configuration, logs and the events of the run are left.
    """

    for_seconds: float | None = None
    json: bool = False
    calm: bool = False
    bootstrap: str | None = None
    broker_port: int = 0
    metrics_port: int = 0
    seed: int = 1
    sessions_per_minute: float = 400.0
    directory: Path = field(default=Path(".funnelwatch/demo"))

    def __post_init__(self) -> None:
        if self.for_seconds is not None and self.for_seconds < SHORTEST_SECONDS:
            raise InputError(
                "too short to show an outage", key="--for", value=f"{self.for_seconds:g}s", way_out="use 60s or more"
            )
        for name in ("broker_port", "metrics_port"):
            port = getattr(self, name)
            if not 0 <= port <= 65_535:
                raise InputError(
                    "not a port",
                    key=f"--{name.replace('_', '-')}",
                    value=port,
                    way_out="use 0..65535, 0 for a free one",
                )


@dataclass(frozen=True, slots=True)
class Pace:
    """Durations of the run; windows are short, so that a minute is enough to see an outage come and be told."""

    history_ms: int = 36 * MINUTE_MS
    warm_up_ms: int = 28 * MINUTE_MS
    calm_ms: int = 60 * SECOND_MS
    outage_ms: int = 180 * SECOND_MS
    window_ms: int = 10 * SECOND_MS
    grace_ms: int = 3 * SECOND_MS
    disorder_ms: int = 2 * SECOND_MS
    merge_wait_ms: int = 12 * SECOND_MS
    scrape_seconds: float = 2.0
    cause: tuple[tuple[str, str], ...] = (("payment_method", "alipay"), ("payment_provider", "psp-1"))
    """Where the outage sits: neither in the method nor in the provider alone, so that somebody has to find it."""


def pace_of(options: DemoOptions) -> Pace:
    """The pace that fits the time there is: a short run has little calm, stays in the outage, and loses a provider."""
    if options.for_seconds is None:
        return Pace()
    calm_ms = round(min(60.0, options.for_seconds / 18) * SECOND_MS)
    if options.for_seconds >= LONG_SECONDS:
        return Pace(calm_ms=calm_ms)
    return Pace(calm_ms=calm_ms, cause=(("payment_provider", "psp-1"),))


def shop_of(options: DemoOptions, pace: Pace, prefix: str = "", opens_ms: int | None = None) -> ShopSpec:
    """A busy shop in a steady hour, where a few windows hold enough payments to judge.

    It opens when its history begins: of sessions under way only the later steps would be seen, and the rates learnt
    from them would be too good.
    """
    return ShopSpec(
        seed=options.seed,
        sessions_per_minute=options.sessions_per_minute,
        rhythm=0.0,
        noise=0.0,
        funnel=FunnelSpec(bounce=0.25, cart=0.5, checkout=0.8, order=0.92),
        duplicate_ratio=0.004,
        poison_ratio=0.0005,
        late_ratio=0.001,
        disorder_ms=pace.disorder_ms - 200,
        click_topic=f"{prefix}clickstream",
        orders_topic=f"{prefix}orders",
        opens_ms=opens_ms,
    )


def worker_config(bootstrap: str, metrics_port: int, pace: Pace, prefix: str = "") -> str:
    """The TOML file of the demonstration's worker, which also replays the events it leaves."""
    kept = f"{prefix}funnelwatch"
    return f"""\
# Written by `funnelwatch demo`: short windows, so that a minute is enough to see an outage.
[shop]
name = "{prefix}demo"
timezone = "Asia/Shanghai"
currency = "CNY"

[kafka]
bootstrap = "{bootstrap}"

[[source]]
topic = "{prefix}clickstream"

[[source]]
topic = "{prefix}orders"

[topics]
kpi = "{kept}.kpi"
anomalies = "{kept}.anomalies"
dead_letter = "{kept}.dead-letter"
snapshots = "{kept}.snapshots"
partitions = 2

[time]
window = "{format_duration(pace.window_ms)}"
grace = "{format_duration(pace.grace_ms)}"
max_out_of_orderness = "{format_duration(pace.disorder_ms)}"
merge_wait = "{format_duration(pace.merge_wait_ms)}"

[detection]
warm_up = "{format_duration(pace.warm_up_ms)}"

[metrics]
port = {metrics_port}

[live]
session_timeout = "6s"
checkpoint_interval = "5s"
"""
