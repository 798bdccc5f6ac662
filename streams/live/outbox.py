"""What a worker writes: one queue in order, neighbours together, and a promise when a partition's are durable."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.errors import BrokerError
from streams.kafka import broker_errors

__all__ = ["Outbox"]

ROOM = 20_000
"""Records that may wait; beyond it the agents wait, and the broker's fetches with them."""

REQUEST_TIMEOUT_MS = 30_000

BATCH_BYTES = 1 << 16
"""Records written together may have so many bytes; compressing them holds the event loop for half a millisecond."""

FRAME_BYTES = 40
"""What a record has beyond its key and value, at most."""


class _Parcel:
    """Neighbouring records of one owner for one topic and partition; ``done`` is done when they are durable."""

    __slots__ = ("done", "letters", "owner", "partition", "room", "topic")

    def __init__(self, owner: int, topic: str, partition: int | None) -> None:
        self.owner, self.topic, self.partition = owner, topic, partition
        self.letters: list[tuple[bytes | None, bytes | None]] = []
        self.room = BATCH_BYTES if partition is not None else 0
        """Bytes that may be added; the key of a record decides on its partition where none is told."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


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
        self._queue: deque[_Parcel] = deque()
        self._waiting = 0
        """Records in the queue."""
        self._wake = asyncio.Event()
        self._short = asyncio.Event()
        self._short.set()
        self._unsettled: defaultdict[int, set[asyncio.Future[None]]] = defaultdict(set)
        self._ends: dict[tuple[str, int], int] = {}
        self._failure: BaseException | None = None

    async def start(self) -> None:
        """Connect; raises ``BrokerError`` where no broker answers."""
        self._producer = AIOKafkaProducer(
            **self._client_args,
            acks="all",
            linger_ms=5,
            max_batch_size=2 * BATCH_BYTES,
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

    def put(self, owner: int, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        """Queue a record.

        Parameters
        ----------
        owner
            The source partition it follows from: ``settled(owner)`` waits for it.
        topic, key, value, partition
            The record; without a partition the key decides.
        """
        size = len(key or b"") + len(value or b"") + FRAME_BYTES
        parcel = self._queue[-1] if self._queue else None
        if (
            parcel is None
            or size > parcel.room
            or (parcel.owner, parcel.topic, parcel.partition) != (owner, topic, partition)
        ):
            parcel = _Parcel(owner, topic, partition)
            unsettled = self._unsettled[owner]
            unsettled.add(parcel.done)
            parcel.done.add_done_callback(unsettled.discard)
            self._queue.append(parcel)
            self._wake.set()
        parcel.letters.append((key, value))
        parcel.room -= size
        self._waiting += 1
        if self._waiting > ROOM and self._failure is None:
            self._short.clear()

    async def room(self) -> None:
        """Wait until the queue is short enough for more."""
        await self._short.wait()

    async def settled(self, owner: int) -> None:
        """Wait until everything put for this owner so far is durable; raises what prevented it."""
        waiting = tuple(self._unsettled[owner])
        if waiting:
            await asyncio.gather(*waiting)

    def end_of(self, topic: str, partition: int) -> int:
        """Offset behind the last durable record that was written there; 0 where none was."""
        return self._ends.get((topic, partition), 0)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                parcel = self._queue.popleft()
                self._waiting -= len(parcel.letters)
                if self._waiting <= ROOM:
                    self._short.set()
                try:
                    sent = await self._send(parcel)
                except asyncio.CancelledError:
                    raise
                except Exception as error:
                    self._settle(parcel.done, error)
                else:
                    sent.add_done_callback(partial(self._sent, parcel))

    async def _send(self, parcel: _Parcel) -> asyncio.Future[Any]:
        """Hand a parcel to the producer; the future is done when the broker has it."""
        letters, partition = parcel.letters, parcel.partition
        if len(letters) == 1:
            key, value = letters[0]
            return await self._producer.send(parcel.topic, key=key, value=value, partition=partition)  # type: ignore[no-any-return]
        batch = self._producer.create_batch()
        for key, value in letters:
            if batch.append(key=key, value=value, timestamp=None) is None:
                raise RuntimeError(f"{len(letters)} records for {parcel.topic} do not fit into a batch")
        batch.close()  # so that it does not wait for more
        return await self._producer.send_batch(batch, parcel.topic, partition=partition)  # type: ignore[no-any-return]

    def _sent(self, parcel: _Parcel, sent: asyncio.Future[Any]) -> None:
        error = _error_of(sent)
        if error is None:
            first = sent.result()
            self._ends[first.topic, first.partition] = first.offset + len(parcel.letters)
        self._settle(parcel.done, error)

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
