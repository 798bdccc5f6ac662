"""Notices that the broker does not let a running worker in any more, and says what it objects to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streams.kafka import refusal_of
from streams.live.settings import LiveSettings

__all__ = ["end_where_refused"]


async def end_where_refused(settings: LiveSettings, silent_seconds: Callable[[], float]) -> None:
    """Ask a broker that is silent whether it still lets this user in; never returns.

    The client tries again for ever with the password that it was given, so a worker whose password was changed has to
    be started again: it reads the file anew then.

    Parameters
    ----------
    settings
        Of the worker.
    silent_seconds
        Tells how long the broker has said nothing.

    Raises
    ------
    BrokerError
        A new connection is refused in words. What hangs up or does not answer may come back: that is the watchdog's
        concern.
    """
    patience = settings.session_timeout_seconds
    while True:
        await asyncio.sleep(patience)
        if silent_seconds() > patience:
            refusal = await asyncio.to_thread(refusal_of, settings.client_args, is_spoken=True)
            if refusal is not None:
                raise refusal
