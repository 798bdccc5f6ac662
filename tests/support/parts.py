"""What a worker holds its state with, without its consumer: on a real broker, and in a group that tests make up."""

import time
from typing import Any

from faust.types import TP

from streams.kafka import read_topic
from streams.live.checkpoint import Checkpoints
from streams.live.ingest import Ingest
from streams.live.outbox import Outbox
from streams.live.settings import LiveSettings
from streams.live.transport import Standing
from streams.telemetry.view import View

__all__ = ["Parts", "now_ms"]


class AtEnd:
    """A reader that has read everything."""

    def standing(self, _: Any) -> Standing:
        return Standing(1 << 40, 1 << 40, 1 << 62)

    def pause_partitions(self, _: Any) -> None: ...

    def resume_partitions(self, _: Any) -> None: ...

    def read_again(self, *_: Any) -> None: ...


class Parts:
    """Engine, checkpoints and outbox of the first partition."""

    def __init__(self, settings: LiveSettings) -> None:
        self.settings, self.view = settings, View()
        self.outbox = Outbox(settings.client_args, lambda error: None)
        self.ingest = Ingest(settings, self.outbox, self.view, now_ms=now_ms, monotonic=time.monotonic)
        self.ingest.reader = AtEnd()
        self.checkpoints = Checkpoints(settings, self.ingest, self.outbox, self.view, now_ms=now_ms)
        self.checkpoints.committer = self
        self.is_member = True
        """Whether the group takes its commits."""

    async def commit_offsets(self, offsets: dict[TP, int]) -> bool:
        return self.is_member

    async def own(self, generation: int = 1) -> None:
        """Get the partition in this generation."""
        self.checkpoints.assigned([TP(topic, 0) for topic in self.settings.source_topics], generation)
        await self.checkpoints.recover([0], 1)
        assert self.checkpoints.open(1)

    async def count(self) -> None:
        """Take all that is there."""
        for topic in self.settings.source_topics:
            async for _, records in read_topic(self.settings.client_args, topic, [0]):
                new = [one for one in records if one.offset >= self.ingest.lanes[0].taken[topic]]
                self.ingest.take(topic, 0, new)

    async def count_and_save(self) -> dict[str, int]:
        """Own, count and make the state durable, and be done with it; returns where it would be read on."""
        await self.outbox.start()
        await self.own()
        await self.count()
        assert await self.checkpoints.save()
        await self.outbox.stop(5.0)
        return dict(self.ingest.lanes[0].engine.resume_offsets)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
