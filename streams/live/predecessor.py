"""What the judge before this one left behind: the calendar, and incidents that it told and did not end."""

from __future__ import annotations

from typing import NamedTuple

from detectors.base import Incident
from streams.anomaly_topic import read_incidents
from streams.calendar import Calendar
from streams.calendar_topic import load_calendar
from streams.kafka import log_bounds
from streams.live.settings import LiveSettings

__all__ = ["Legacy", "legacy_of"]

LAST_RECORDS = 10_000
"""An incident that stands is told with every window, so it is among the last records of the topic."""


class Legacy(NamedTuple):
    """The calendar, the offset behind its last record, the incidents that were not ended, and the KPI topic's end."""

    calendar: Calendar
    calendar_offset: int
    standing: tuple[Incident, ...]
    kpi_end: int


async def legacy_of(settings: LiveSettings, left_at: int = 0) -> Legacy:
    """Read what a new judge has to know besides the rows.

    Parameters
    ----------
    settings
        Of the worker.
    left_at
        Offset of the KPI topic up to which this worker had judged before.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached or refuses.
    """
    args, topic = settings.client_args, settings.anomalies_topic
    calendar, offset = await load_calendar(args, settings.calendar_topic, settings.monitor.notes)
    kpi = settings.kpi_topic
    bounds = await log_bounds(args, [topic, kpi], [0], {(kpi, 0): left_at})
    last = await read_incidents(args, topic, bounds[topic, 0].end - LAST_RECORDS)
    standing = tuple(one for one in last.values() if one.state != "recovered")
    return Legacy(calendar, offset, standing, bounds[kpi, 0].end)
