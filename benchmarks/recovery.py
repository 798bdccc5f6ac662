"""What checkpoints cost a partition with many live sessions, and how long it takes to be back after a crash.

    python -m benchmarks.recovery [--sessions 100000 1000000] [--kafka]

For each number of sessions an engine is filled with a steady shop and an hour of event ids, then checkpoints are
taken every 5 s of event time, until everything has had its turn twice. Pauses are what the batch loop stands still;
packing and writing are done beside it. The longest chain is then restored, and the newest goes on beside the engine
that never stopped: the same rows, byte for byte. Last, the same events go through both engines in turns, one of which
takes checkpoints, packed and all, every 5 s of processor time. With ``--kafka`` the chain of the largest goes to a
topic of Apache Kafka, a worker starts from it, is killed (-9) amid traffic and started again.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.recovery_kafka import measure_kafka
from benchmarks.steady_shop import LIVE_SECONDS, TOPIC, SteadyShop, remember_ids, steady_spec
from streams.engine import Batch, Engine, Outcome, Row, encode_row
from streams.live.snapshots import Fence, Shelf, Snapshot, Stored, gather, pieces
from streams.live.worker import GC_THRESHOLDS

EVERY_SECONDS = 5
THIN = 2
"""Events a session in the past that the engine is filled with: it is the sessions that matter, and their number."""

AFTER_SECONDS = 90
FEWEST, MOST_LINKS = 20, 240
COST_SECONDS = 20
IDS_MINUTES = 60
"""So much traffic's event ids are known: what the thin past lacks of them is put before it."""


class Saved(NamedTuple):
    """A checkpoint: the longest stop of the loop, by the clock and of the processor, and all of its stops together;
    packing beside it (seconds), bytes packed, links before it."""

    pause: float
    worked: float
    stops: float
    packing: float
    size: int
    behind: int


class Line:
    """A partition: its engine, its traffic, its snapshot topic as a dict, and what was found out of it."""

    def __init__(self, sessions: int) -> None:
        self.shop, self.spec = SteadyShop(sessions), steady_spec()
        self.engine = Engine(self.spec, 0)
        self.topic: dict[bytes, bytes] = {}
        self.shelf = Shelf(Stored(), Fence(1, 1))
        self.ids = 0
        self.found: dict[str, str] = {}
        self.recent: Batch
        """The last that was fed: what waits is in it."""

    def fill(self) -> None:
        """Bring the shop to its steady state."""
        self.ids = remember_ids(self.engine, self.shop, IDS_MINUTES)
        for _ in range(LIVE_SECONDS // 20):
            self.feed(20, THIN)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    def tell(self, title: str, value: str) -> None:
        """Keep what was found for the table, and show that there is something."""
        print(f"  {title}: {value}", flush=True)
        self.found[title] = value

    def feed(self, seconds: int, events_a_session: int = 10) -> list[Row]:
        """The next seconds of the shop."""
        self.recent = self.shop.seconds(seconds, events_a_session)
        return feed(self.engine, self.recent).rows

    def save(self) -> Saved:
        """A checkpoint as a worker takes it."""
        stops, worked, is_more = [], [], True
        while is_more:
            started, busy = time.perf_counter(), time.thread_time()
            is_more = self.engine.prepare()
            stops.append(time.perf_counter() - started)
            worked.append(time.thread_time() - busy)
        started, busy = time.perf_counter(), time.thread_time()
        checkpoint = self.engine.checkpoint()
        stops.append(time.perf_counter() - started)
        worked.append(time.thread_time() - busy)
        place, slot, previous = self.shelf.next(checkpoint.behind)
        offsets = self.engine.next_offsets
        started = time.perf_counter()
        snapshot = Snapshot(0, 1, place, slot, offsets, 0, checkpoint.behind, previous, checkpoint.data)
        told = list(pieces(snapshot))
        packing = time.perf_counter() - started
        self.topic.update(told)
        self.shelf.keep(snapshot, [key for key, _ in told], 0)
        for key in self.shelf.let_go():
            del self.topic[key]
        return Saved(
            max(stops), max(worked), sum(stops), packing, sum(len(value) for _, value in told), checkpoint.behind
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--kafka", action="store_true")
    told = parser.parse_args(arguments)
    lines: list[Line] = []
    for sessions in told.sessions:
        line = Line(sessions)
        lines.append(line)
        line.fill()
        line.tell("live sessions, event ids", f"{line.engine.open_sessions:,}, {line.ids:,}")
        engines = measure_restore(line, measure_checkpoints(line))
        measure_cost(line, engines)
        del engines
        if told.kafka and sessions == told.sessions[-1]:
            start_from_kafka(line)
        line.engine, line.topic = Engine(line.spec, 0), {}
    print_table(told.sessions, lines)
    return 0


def print_table(sessions: Sequence[int], lines: Sequence[Line]) -> None:
    """What was found of each number of sessions, side by side."""
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(
        f"\nCPython {platform.python_version()}, {os.cpu_count()} cores; load of the last 1, 5, 15 minutes: {loads}\n"
    )
    print(f"| sessions wanted | {' | '.join(f'{count:,}' for count in sessions)} |")
    print(f"| --- |{' --- |' * len(sessions)}")
    for title in lines[0].found:
        print(f"| {title} | {' | '.join(line.found.get(title, '') for line in lines)} |")


def feed(engine: Engine, batch: Batch) -> Outcome:
    """One batch through an engine, as one fetch."""
    engine.push(batch)
    engine.set_caught_up(TOPIC, True)
    outcome = engine.drain()
    engine.set_caught_up(TOPIC, False)
    return outcome


def measure_checkpoints(line: Line) -> dict[bytes, bytes]:
    """Checkpoints over two turns; returns the topic as it was with the longest chain."""
    first = line.save()
    line.tell("first checkpoint, whole: stop, bytes", f"{first.pause * 1e3:,.0f} ms, {first.size / 1e6:,.1f} MB")
    saved: list[Saved] = []
    turn, longest, topic = MOST_LINKS, -1, dict(line.topic)
    while len(saved) < max(2 * turn, FEWEST):
        line.feed(EVERY_SECONDS)
        one = line.save()
        saved.append(one)
        if one.behind < len(saved):
            turn = min(turn, len(saved))
        if one.behind > longest:
            longest, topic = one.behind, dict(line.topic)
    line.tell("longest stop of the loop by a checkpoint", _spread([one.pause * 1e3 for one in saved], "ms"))
    line.tell("longest stop in processor time", _spread([one.worked * 1e3 for one in saved], "ms"))
    line.tell("all stops of a checkpoint together", _spread([one.stops * 1e3 for one in saved], "ms"))
    line.tell("packing beside the loop", _spread([one.packing * 1e3 for one in saved], "ms"))
    line.tell("bytes of a checkpoint", _spread([one.size / 1e6 for one in saved], "MB"))
    size = sum(map(len, topic.values())) / 1e6
    line.tell("checkpoints taken; longest chain", f"{len(saved)}; {longest + 1}, {size:,.0f} MB")
    return topic


def measure_restore(line: Line, topic: dict[bytes, bytes]) -> tuple[Engine, Engine]:
    """Restore the longest chain, and the newest one: it goes on beside the engine that never stopped, both returned."""
    started, busy = time.perf_counter(), time.process_time()
    stored = gather((key, value, 0) for key, value in topic.items())
    Engine.restore_chain(line.spec, 0, stored.states())
    took, worked = time.perf_counter() - started, time.process_time() - busy
    line.tell("longest chain restored in", f"{took:.1f} s")
    line.tell("restored in processor time", f"{worked:.1f} s")
    del stored
    line.feed(2 * EVERY_SECONDS)
    line.save()
    stored = gather((key, value, 0) for key, value in line.topic.items())
    again = Engine.restore_chain(line.spec, 0, stored.states())
    first = again.resume_offsets[TOPIC]
    told = [feed(engine, part_of(line.recent, first)).rows for engine in (line.engine, again)]
    for _ in range(AFTER_SECONDS // EVERY_SECONDS):
        batch = line.shop.seconds(EVERY_SECONDS)
        for engine, rows in zip((line.engine, again), told, strict=True):
            rows += feed(engine, batch).rows
    one, other = ([encode_row(row) for row in rows] for rows in told)
    same = "the same rows" if one == other and one else "OTHER ROWS"
    line.tell(f"restored and gone on for {AFTER_SECONDS} s of event time", f"{same} ({len(one):,})")
    return line.engine, again


def measure_cost(line: Line, engines: tuple[Engine, Engine]) -> None:
    """Processor time of two engines over the same events in turns, one with a checkpoint every 5 s of it."""
    line.engine, without = engines
    spent, since, events, count = [0.0, 0.0], 0.0, 0, 0
    line.save()
    while spent[1] < COST_SECONDS:
        batch = line.shop.seconds(2)
        events += len(batch.offsets)
        for place, engine in enumerate((line.engine, without)):
            started = time.process_time()
            feed(engine, batch)
            took = time.process_time() - started
            spent[place] += took
            since += 0 if place else took
        if since >= EVERY_SECONDS:
            started = time.process_time()
            line.save()
            spent[0] += time.process_time() - started
            since, count = 0.0, count + 1
        without._shop.tell()
    ratio = spent[1] / spent[0]
    line.tell("events/s with checkpoints by without", f"{ratio:.3f} ({events:,} events, {count} checkpoints)")


def start_from_kafka(line: Line) -> None:
    """The same over a real topic, in processes of their own."""
    line.feed(2 * EVERY_SECONDS)
    line.save()
    first = line.engine.resume_offsets[TOPIC]
    recent, count = part_of(line.recent, first), line.engine.open_sessions
    line.engine = Engine(line.spec, 0)  # makes room for the worker's
    print(f"  Apache Kafka, {count:,} live sessions:")
    measure_kafka(line, first, recent)


def part_of(batch: Batch, first: int) -> Batch:
    """The records of a batch from an offset on."""
    start = max(0, first - batch.offsets[0])
    offsets, append_ms, keys, values = batch.offsets, batch.append_ms, batch.keys, batch.values
    return Batch(batch.topic, batch.partition, offsets[start:], append_ms[start:], keys[start:], values[start:])


def _spread(values: Sequence[float], unit: str) -> str:
    usual, most = statistics.median(values), statistics.quantiles(values, n=20)[-1]
    return f"{usual:,.1f} {unit} (95 % below {most:,.1f}, largest {max(values):,.1f})"


if __name__ == "__main__":
    sys.exit(main())
