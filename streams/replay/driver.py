"""The pipeline in one process: records, engines, merge, judgement. Replays and tests drive the same one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from streams.engine.batch import Batch, Outcome, Reject
from streams.engine.engine import Engine
from streams.engine.rows import Row, row_order
from streams.engine.spec import EngineSpec, SourceSpec
from streams.merge import MergedWindow, Merger, keep_ms
from streams.monitor import Judgement

__all__ = ["Driver", "Listener", "final_rows", "replay_values"]

Judge = Callable[[MergedWindow], Judgement]


class Listener:
    """Is told what a driver does; each method may be left as it is."""

    def judged(self, window: MergedWindow, judgement: Judgement) -> None:
        """A window was judged."""

    def published(self, window: MergedWindow) -> None:
        """A window was published for the first time, after it was judged."""

    def settled(self, window: MergedWindow) -> None:
        """Nothing can change this window any more; they come in order of start."""

    def rejected(self, reject: Reject) -> None:
        """A record, or an event of it, could not be counted."""


class Driver:
    """Feeds engines, merges what they close and has it judged; no clock, no thread, no broker.

    A replay waits for every partition, so no window is ever published without one.

    Parameters
    ----------
    spec
        What the engines are told.
    partitions
        One engine each.
    judge
        ``Monitor.observe``, or None: rows only.
    listener
        Who is told.
    """

    def __init__(
        self,
        spec: EngineSpec,
        partitions: Sequence[int],
        judge: Judge | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.engines = {partition: Engine(spec, partition) for partition in partitions}
        self.merger = Merger(partitions, None, keep_ms=keep_ms(spec), keep_settled=True)
        self.records = 0
        self._judge, self._listener = judge, listener or Listener()

    @property
    def stream_ms(self) -> int | None:
        """Stream time of the partition that is furthest ahead; None before any event."""
        times = [engine.stream_ms for engine in self.engines.values() if engine.stream_ms is not None]
        return max(times, default=None)

    @property
    def counts(self) -> dict[str, int]:
        """Totals of the engines by name: records, counted, rejected by reason, and so on."""
        total: Counter[str] = Counter()
        for engine in self.engines.values():
            total.update(engine.counts)
        return dict(sorted(total.items()))

    def push(self, batch: Batch) -> None:
        """Give records of a source to the engine of their partition, which processes what it can."""
        engine = self.engines[batch.partition]
        engine.push(batch)
        self._take(engine.drain())

    def caught_up(self, topic: str, partition: int) -> None:
        """Say that this source has no more: the others of the partition wait for it no longer."""
        engine = self.engines[partition]
        engine.set_caught_up(topic, True)
        self._take(engine.drain())

    def idle(self, partition: int, stream_ms: int) -> None:
        """Move the time of a partition on, as silence does: windows up to there close, what is open stays open."""
        self._take(self.engines[partition].idle(stream_ms))
        self._end(partition)

    def finish(self, partition: int) -> None:
        """End a partition as a file ends: every timer fires, every window closes."""
        self._take(self.engines[partition].finish())
        self._end(partition)

    def _end(self, partition: int) -> None:
        self.merger.close(partition)
        self._merge()

    def _take(self, outcome: Outcome) -> None:
        self.records += outcome.records
        for reject in outcome.rejects:
            self._listener.rejected(reject)
        for cube in outcome.cubes:
            self.merger.push_cube(cube)
        for row in outcome.rows:
            self.merger.push(row, 0)
        if outcome.rows:
            self._merge()

    def _merge(self) -> None:
        for window in self.merger.ready(0):
            if window.judge and self._judge is not None:
                self._listener.judged(window, self._judge(window))
            if window.revision == 0:
                self._listener.published(window)
        for window in self.merger.settled():
            self._listener.settled(window)


def final_rows(window: MergedWindow) -> list[Row]:
    """The rows of a settled window as a file has them: in order, with revision 0."""
    return sorted((row._replace(revision=0) for row in window.rows.values()), key=row_order)


def replay_values(
    values: Iterable[bytes], spec: EngineSpec | None = None, *, topic: str = "file", format_name: str = "native"
) -> list[Row]:
    """The merged rows of the lines of a file; the shortest way from events to rows.

    Examples
    --------
    >>> event = b'{"event_type":"page_view","event_time":1000,"session_id":"s"}'
    >>> [(row.start_ms, row.counters["sessions"]) for row in replay_values([event]) if row.counters.get("sessions")][0]
    (0, 1)
    """
    told = list(values)
    spec = replace(spec or EngineSpec(), sources=(SourceSpec(topic, format_name),))
    sink = _RowSink()
    driver = Driver(spec, [0], listener=sink)
    none = [None] * len(told)
    driver.push(Batch(topic, 0, list(range(1, len(told) + 1)), [-1] * len(told), none, told))
    driver.caught_up(topic, 0)
    driver.finish(0)
    return sink.rows


class _RowSink(Listener):
    def __init__(self) -> None:
        self.rows: list[Row] = []

    def settled(self, window: MergedWindow) -> None:
        self.rows += final_rows(window)
