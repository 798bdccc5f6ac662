"""What a worker writes: one queue in order, a future for each record, and a promise when a partition's are durable."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.errors import BrokerError
from streams.kafka import broker_errors

__all__ = ["Outbox"]

ROOM = 20_000
"""Records that may wait; beyond it the agents wait, and the broker's fetches with them."""

REQUEST_TIMEOUT_MS = 30_000


class _Letter(NamedTuple):
    owner: int
    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    done: asyncio.Future[None]


class Outbox:
    """Writes records in the order in which they were put, whatever happens in between.

    Parameters
    ----------
    client_args
        Arguments of the aiokafka client.
    on_failure
        Told once, with the error, when a record could not be written for good.
    """

    def __init__(self, client_args: Mapping[str, Any], on_failure: Callable[[BaseException], None]) -> None:
        self._client_args = client_args
        self._on_failure = on_failure
        self._producer: Any = None
        self._task: asyncio.Task[None] | None = None
        self._queue: deque[_Letter] = deque()
        self._wake = asyncio.Event()
        self._short = asyncio.Event()
        self._short.set()
        self._unsettled: defaultdict[int, set[asyncio.Future[None]]] = defaultdict(set)
        self._failure: BaseException | None = None

    async def start(self) -> None:
        """Connect; raises ``BrokerError`` where no broker answers."""
        self._producer = AIOKafkaProducer(
            **self._client_args,
            acks="all",
            linger_ms=5,
            compression_type="zstd",  # gzip would cost more than counting does
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        with broker_errors(self._client_args):
            try:
                await self._producer.start()
            except BaseException:
                await self._producer.stop()
                raise
        self._task = asyncio.create_task(self._write())

    async def stop(self, seconds: float) -> None:
        """Close the connection; what has not been written within the time is lost here and repeated by replay."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.wait([asyncio.ensure_future(self._producer.stop())], timeout=seconds)

    def put(
        self, owner: int, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None
    ) -> asyncio.Future[None]:
        """Queue a record; the future is done when the broker has it.

        Parameters
        ----------
        owner
            The source partition it follows from: ``settled(owner)`` waits for it.
        topic, key, value, partition
            The record; without a partition the key decides.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        unsettled = self._unsettled[owner]
        unsettled.add(done)
        done.add_done_callback(unsettled.discard)
        self._queue.append(_Letter(owner, topic, partition, key, value, done))
        self._wake.set()
        if len(self._queue) > ROOM and self._failure is None:
            self._short.clear()
        return done

    async def room(self) -> None:
        """Wait until the queue is short enough for more."""
        await self._short.wait()

    async def settled(self, owner: int) -> None:
        """Wait until everything put for this owner so far is durable; raises what prevented it."""
        waiting = tuple(self._unsettled[owner])
        if waiting:
            await asyncio.gather(*waiting)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                letter = self._queue.popleft()
                if len(self._queue) <= ROOM:
                    self._short.set()
                try:
                    sent = await self._producer.send(
                        letter.topic, key=letter.key, value=letter.value, partition=letter.partition
                    )
                except asyncio.CancelledError:
                    raise
                except Exception as error:
                    self._settle(letter.done, error)
                else:
                    sent.add_done_callback(lambda future, done=letter.done: self._settle(done, _error_of(future)))

    def _settle(self, done: asyncio.Future[None], error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
            return
        done.set_exception(error)
        done.exception()  # seen here: nobody has to wait for every single record
        if self._failure is None:
            if isinstance(error, KafkaError):
                error = BrokerError(
                    f"a record could not be written: {type(error).__name__} {error}".rstrip(),
                    key="kafka.bootstrap",
                    value=self._client_args.get("bootstrap_servers"),
                    way_out="start the worker again when the broker answers; it goes on from its snapshots",
                )
            self._failure = error
            self._short.set()
            self._on_failure(error)


def _error_of(future: asyncio.Future[Any]) -> BaseException | None:
    if future.cancelled():
        return RuntimeError("the producer was closed before the broker answered")
    return future.exception()
