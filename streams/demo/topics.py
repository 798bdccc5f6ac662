"""Removes the demonstration's topics from a broker that is not its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from streams.kafka import broker_errors

__all__ = ["delete_topics"]


async def delete_topics(client_args: Mapping[str, Any], names: Sequence[str]) -> None:
    """Delete the topics that exist of those named.

    Raises
    ------
    BrokerError
        Where the broker cannot be reached or refuses.
    """
    with broker_errors(client_args):
        admin = AIOKafkaAdminClient(**client_args)
        await admin.start()
        try:
            there = set(await admin.list_topics())
            if found := [name for name in names if name in there]:
                await admin.delete_topics(found)
        finally:
            await admin.close()
