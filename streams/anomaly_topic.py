"""The anomaly topic: the incidents that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detectors.base import Incident
from streams.anomalies import decode_anomaly
from streams.errors import InputError
from streams.kafka import read_topic

__all__ = ["read_incidents"]


async def read_incidents(
    client_args: Mapping[str, Any], topic: str, start: int = 0, name: str = ""
) -> dict[str, Incident]:
    """The last state of each incident, by its name; records that are no incident are passed over.

    Parameters
    ----------
    client_args
        How to reach the broker.
    topic
        The topic; it exists.
    start
        Offset of the first record to be read.
    name
        Beginning of the names that are wanted.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached or refuses.
    """
    found: dict[str, Incident] = {}
    async for _, records in read_topic(client_args, topic, [0], {0: start}):
        for record in records:
            if record.value is None or not (record.key or b"").startswith(f"incident|{name}".encode()):
                continue
            try:
                told = decode_anomaly(record.value)
            except InputError:
                continue
            if isinstance(told, Incident):
                found[told.id] = told
    return found
