"""A worker that hears nothing asks why, and ends only where the broker says that it does not let it in."""

import asyncio
from collections.abc import Callable

import pytest

from streams.broker import HOST, free_port
from streams.live.admission import end_where_refused
from streams.live.settings import LiveSettings


async def asked(port: int, silent_seconds: Callable[[], float], times: int) -> None:
    """Until it has looked so often."""
    looks = 0

    def look() -> float:
        nonlocal looks
        looks += 1
        return silent_seconds()

    settings = LiveSettings(bootstrap=f"{HOST}:{port}", session_timeout_seconds=0.01)
    asking = asyncio.ensure_future(end_where_refused(settings, look))
    while looks < times and not asking.done():  # noqa: ASYNC110 - it looks by the clock
        await asyncio.sleep(0.005)
    asking.cancel()
    await asking


@pytest.mark.parametrize("silent", [0.0, 60.0])
def test_a_worker_that_hears_or_finds_nobody_goes_on(silent: float) -> None:
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(asked(free_port(), lambda: silent, 3))


def test_a_broker_that_hangs_up_has_not_refused_anybody() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def check() -> None:
        server = await asyncio.start_server(hang_up, HOST, 0)
        async with server:
            with pytest.raises(asyncio.CancelledError):
                await asked(server.sockets[0].getsockname()[1], lambda: 60.0, 3)

    asyncio.run(check())
