"""Work that is given up where it takes too long, and what is told of work that a client has given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from streams.errors import BrokerError
from streams.live.logs import get_logger

__all__ = ["cut_short", "within"]

logger = get_logger("worker")


async def within(seconds: float, work: Coroutine[Any, Any, Any]) -> bool:
    """Await work for so long at most; whether it came to its end without an error."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await asyncio.wait({task}, timeout=0.5)
        return False
    error = task.exception()
    if error is not None:
        logger.warning("stop_step_failed error=%r", error)
    return error is None


def cut_short() -> BrokerError:
    """What is told where a client of Kafka has cancelled what waited for it."""
    way_out = "start the worker again; it goes on from its snapshots"
    return BrokerError("the client has given up what it was asked", way_out=way_out)
