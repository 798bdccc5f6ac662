"""What the judge before this one left behind: the calendar, and incidents that it told and did not end."""

from __future__ import annotations

from typing import NamedTuple

from detectors.base import Incident
from streams.anomalies import decode_anomaly
from streams.calendar import Calendar
from streams.calendar_topic import load_calendar
from streams.errors import InputError
from streams.kafka import log_bounds, read_topic
from streams.live.settings import LiveSettings

__all__ = ["Legacy", "legacy_of"]

LAST_RECORDS = 10_000
"""An incident that stands is told with every window, so it is among the last records of the topic."""


class Legacy(NamedTuple):
    """The calendar, the offset behind its last record, and the incidents that were not ended."""

    calendar: Calendar
    calendar_offset: int
    standing: tuple[Incident, ...]


async def legacy_of(settings: LiveSettings) -> Legacy:
    """Read what a new judge has to know besides the rows.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached or refuses.
    """
    args, topic = settings.client_args, settings.anomalies_topic
    calendar, offset = await load_calendar(args, settings.calendar_topic, settings.monitor.notes)
    bounds = await log_bounds(args, [topic], [0], {})
    starts = {0: bounds[topic, 0].end - LAST_RECORDS}
    last: dict[str, Incident] = {}
    async for _, records in read_topic(args, topic, [0], starts):
        for record in records:
            if record.value is None or not (record.key or b"").startswith(b"incident|"):
                continue
            try:
                told = decode_anomaly(record.value)
            except InputError:
                continue
            if isinstance(told, Incident):
                last[told.id] = told
    return Legacy(calendar, offset, tuple(one for one in last.values() if one.state != "recovered"))
