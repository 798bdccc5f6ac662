"""What a replay is told: where from, which time, where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from streams.coarse import zone_of
from streams.engine.spec import EngineSpec
from streams.errors import InputError
from streams.monitor import MonitorSpec

__all__ = ["ReplayOptions", "show_moment"]


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay; everything has a default but what is replayed.

    Parameters
    ----------
    engine, monitor
        The meaning of the numbers, and how they are judged.
    time_zone
        IANA name: moments without an offset are read in it, and everything is shown in it.
    format
        Of the records of a file.
    since_ms, until_ms
        Windows that lie between are told; of topics only what they need is read. None: the start, the end.
    client_args
        Arguments of the aiokafka client (``bootstrap_servers`` and security), topics only.
    kpi_topic, anomalies_topic
        Where the live run wrote; read for what was expected and what fired at the time. Empty: not asked.
    rows, report
        Files to write; None: not written.
    speed
        How many times faster than the shop; None: as fast as it goes.
    calendar
        A file of notes and labels; it wins over the topic.
    calendar_topic
        Where operators announce; read for what was known of the range. Empty: not asked.
    progress
        Whether a bar is drawn on standard error.
    command
        The command line that repeats this replay, for the report.
    """

    engine: EngineSpec = field(default_factory=EngineSpec)
    monitor: MonitorSpec = field(default_factory=MonitorSpec)
    time_zone: str = "UTC"
    format: str = "native"
    since_ms: int | None = None
    until_ms: int | None = None
    client_args: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kpi_topic: str = ""
    anomalies_topic: str = ""
    rows: Path | None = None
    report: Path | None = None
    speed: float | None = None
    calendar: Path | None = None
    calendar_topic: str = ""
    progress: bool = True
    command: str = ""

    def __post_init__(self) -> None:
        zone_of(self.time_zone)
        if self.speed is not None and not 0 < self.speed < float("inf"):
            raise InputError("not a speed", key="--speed", value=self.speed, way_out="use a number above 0, such as 10")
        if self.since_ms is not None and self.until_ms is not None and self.since_ms >= self.until_ms:
            raise InputError(
                "nothing lies between",
                key="--to",
                value=show_moment(self.until_ms, self.time_zone),
                way_out=f"name a moment after --from, {show_moment(self.since_ms, self.time_zone)}",
            )


def show_moment(moment_ms: int, time_zone: str, *, date: bool = True) -> str:
    """A moment on the shop's clock, to the second only where there are seconds.

    >>> show_moment(1_772_337_600_000, "Asia/Shanghai"), show_moment(1_772_337_600_000, "UTC", date=False)
    ('2026-03-01 12:00', '04:00')
    """
    local = datetime.fromtimestamp(moment_ms / 1000, ZoneInfo(time_zone))
    clock = "%H:%M:%S" if local.second else "%H:%M"
    return local.strftime(f"%Y-%m-%d {clock}" if date else clock)
