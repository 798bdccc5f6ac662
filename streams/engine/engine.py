"""The engine of one partition: records of its sources in, rows and rejects out, in event time."""

from __future__ import annotations

from streams.engine.batch import Batch, Outcome
from streams.engine.spec import EngineSpec

__all__ = ["Engine"]


class Engine:
    """Turns the records of one partition number of every source topic into rows; pure, it reads no clock.

    ``next_offsets`` is the first offset per topic that is not yet absorbed, ``resume_offsets`` where to seek each
    topic after ``restore`` (the engine skips what it has). ``counts`` are totals of the process by name.
    """

    def __init__(self, spec: EngineSpec, partition: int) -> None:
        self.spec, self.partition = spec, partition
        self.next_offsets: dict[str, int] = {}
        self.resume_offsets: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.stream_ms: int | None = None
        self.watermark_ms: int | None = None
        self.open_sessions = 0

    def push(self, batch: Batch) -> None:
        """Buffer records of one source; what the engine already has is skipped."""
        raise NotImplementedError

    def set_caught_up(self, topic: str, caught_up: bool) -> None:
        """Tell whether all records of the topic up to the end of its log were pushed: then it is not waited for."""
        raise NotImplementedError

    def drain(self) -> Outcome:
        """Absorb, order, process and close all that can be."""
        raise NotImplementedError

    def idle(self, stream_ms: int) -> Outcome:
        """Move stream time on: all sources are caught up and quiet."""
        raise NotImplementedError

    def finish(self) -> Outcome:
        """End of a file: fire every timer and close every window."""
        raise NotImplementedError

    def snapshot(self) -> bytes:
        """The whole state as one self-contained value."""
        raise NotImplementedError

    @classmethod
    def restore(cls, spec: EngineSpec, partition: int, data: bytes) -> Engine:
        """The engine of a snapshot; raises ``StateError`` where version, specification or partition differ."""
        raise NotImplementedError
