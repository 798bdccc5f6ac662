"""A door to a broker that can be shut: connections through it are cut, or hang without a byte."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from streams.broker import HOST

__all__ = ["Proxy"]

T = TypeVar("T")
CHUNK = 1 << 16


class Proxy:
    """Passes TCP connections on to a port of this machine, on a thread of its own.

    ``cut`` closes every connection and lets no new one in; ``hang`` leaves all open, and lets new ones in, but passes
    nothing on: what was sent meanwhile arrives after ``mend``.
    """

    def __init__(self, target: int) -> None:
        self.target, self.port = target, 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.relayed = 0
        """Bytes passed on so far, both ways."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._open())
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Close every connection and refuse new ones until mended."""
        self._call(self._close())

    def hang(self) -> None:
        """Pass nothing on until mended."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def mend(self) -> None:
        """Pass everything on again."""
        self._call(self._open())
        self._loop.call_soon_threadsafe(self._flowing.set)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there, back = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.transport.abort()
            self._tasks.discard(task)
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, back):
                one.transport.abort()
                self._writers.discard(one)
            self._tasks.discard(task)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            await self._flowing.wait()
            target.write(data)
            await target.drain()
            self.relayed += len(data)
        # Kafka's clients and broker never close one side alone: the end of one is the end of both.
        raise ConnectionResetError
