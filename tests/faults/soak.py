"""Workers that are killed, frozen, stopped, joined and cut off from their broker, and rows that stay the same.

    python -m tests.faults.soak [--seed 1] [--faults 20] [--broker kafka|embedded] [--table soak.md]

The faults follow from the seed. Between them a simulated shop writes on; after each, the rows on the topic are
compared key by key with one engine a partition that reads the same topics from their beginning.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from streams.broker import embedded_broker
from streams.live.checkpoint import STEPS
from tests.support.kafka.native import NativeKafka
from tests.support.live import (
    WorkerProcess,
    letters,
    produce_unseen,
    replayed,
    set_up_topics,
    settings_of,
    until,
    until_rows,
)
from tests.support.shop_log import START_MS, shop_log

SESSION_SECONDS = 3.0
CHUNK_MINUTES = 20
CHUNK_GAP_MS = (CHUNK_MINUTES + 5) * 60_000
"""Stories of a chunk end before the next begins: append times only grow."""


class Soak:
    """One run: a broker, up to three workers, and what happened to them."""

    def __init__(self, bootstrap: str, kafka: NativeKafka | None, seed: int) -> None:
        self.told = {
            "bootstrap": bootstrap,
            "name": f"soak{seed}-{int(time.time())}",
            "session_timeout": SESSION_SECONDS,
        }
        self.settings = settings_of(self.told)
        self.partitions = set_up_topics(self.settings)
        self._kafka, self._seed, self._chance = kafka, seed, random.Random(seed)
        self._stack = contextlib.ExitStack()
        self.workers: list[WorkerProcess] = []
        self._chunk = 0
        self.faults: dict[str, Callable[[], None]] = {
            "kill -9": self.kill,
            "SIGTERM": self.terminate,
            "freeze past the session": self.freeze,
            "join": self.join,
            "kill during a checkpoint": self.kill_in_checkpoint,
        }
        if kafka is not None:
            self.faults["broker restart"] = self.restart_broker

    def close(self) -> None:
        self._stack.close()

    def join(self, **more: object) -> None:
        worker = self._stack.enter_context(WorkerProcess(**self.told, **more))
        self.workers.append(worker)
        until(lambda: "owning" in worker.log or not worker.alive(), seconds=60)

    def kill(self) -> None:
        self._end(signal.SIGKILL, -signal.SIGKILL)

    def terminate(self) -> None:
        self._end(signal.SIGTERM, 0)

    def freeze(self) -> None:
        worker = self._chance.choice(self.workers)
        worker.signal(signal.SIGSTOP)
        time.sleep(SESSION_SECONDS * self._chance.uniform(1.5, 3.0))  # the fault itself: time passes
        worker.signal(signal.SIGCONT)

    def kill_in_checkpoint(self) -> None:
        self.join(die_at=self._chance.choice(STEPS), die_after=self._chance.randrange(1, 6))
        self.write()

    def restart_broker(self) -> None:
        assert self._kafka is not None
        self._kafka.stop(self._chance.choice([signal.SIGTERM, signal.SIGKILL]))
        self._kafka.start()

    def write(self) -> None:
        """The next part of the shop's story."""
        self.tidy()
        topics = self.settings.source_topics
        start_ms = START_MS + self._chunk * CHUNK_GAP_MS
        records = shop_log(self._seed * 1_000 + self._chunk, 120, CHUNK_MINUTES, *topics, start_ms)
        self._chunk += 1
        produce_unseen(self.told["bootstrap"], records, *self.workers)

    def compare(self) -> int:
        """Number of rows, all equal; raises with the difference."""
        self.tidy()
        # A worker that is to die at a step may reach it only now.
        if all("die_at" in worker.told for worker in self.workers):
            self.join()
        rows, rejected = replayed(self.settings, self.partitions)
        lasting = next(worker for worker in self.workers if "die_at" not in worker.told)
        until_rows(self.settings, rows, lasting, seconds=120)
        assert until(lambda: rejected <= set(letters(self.settings)))
        return len(rows)

    def tidy(self) -> None:
        """Forget workers that have ended; one that ended by itself was stuck, and a supervisor starts another."""
        self.workers = [worker for worker in self.workers if worker.alive()]
        while len(self.workers) > 3:
            self._end(signal.SIGTERM, 0)

    def _end(self, how: signal.Signals, code: int) -> None:
        worker = self._chance.choice(self.workers)
        worker.signal(how)
        ended = worker.wait(60)
        assert ended == code or "die_at" in worker.told, f"ended with {ended}\n{worker.log}"
        self.workers.remove(worker)
        if not self.workers:
            self.join()


@contextlib.contextmanager
def broker_of(kind: str) -> Iterator[tuple[str, NativeKafka | None]]:
    """Address of a broker, and the broker where it can be restarted with its data."""
    if kind == "embedded":
        with embedded_broker() as bootstrap:
            yield bootstrap, None
        return
    kafka = NativeKafka()
    try:
        kafka.start()
        yield kafka.bootstrap, kafka
    finally:
        kafka.close()


def run(seed: int, faults: int, kind: str) -> list[tuple[str, ...]]:
    """The faults of a seed, one after the other; returns a table of what happened."""
    chance = random.Random(-seed)
    table: list[tuple[str, ...]] = []
    with broker_of(kind) as (bootstrap, kafka), contextlib.closing(Soak(bootstrap, kafka, seed)) as soak:
        soak.join()
        soak.write()
        for number in range(1, faults + 1):
            name = chance.choice(sorted(soak.faults))
            started = time.monotonic()
            soak.tidy()
            if not soak.workers:
                soak.join()
            soak.faults[name]()
            soak.write()
            rows = soak.compare()
            table.append((str(seed), str(number), name, f"{time.monotonic() - started:.0f}", str(rows), "equal"))
            print(" | ".join(table[-1]), flush=True)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--broker", choices=("kafka", "embedded"), default="kafka")
    parser.add_argument("--table", type=Path, help="write a table of what happened to this file")
    told = parser.parse_args(arguments)
    head = ("seed", "fault", "what", "seconds", "rows", "result")
    print(" | ".join(head), flush=True)
    table = run(told.seed, told.faults, told.broker)
    if told.table:
        lines = ["| " + " | ".join(line) + " |" for line in (head, ("---",) * len(head), *table)]
        told.table.write_text(f"Broker: {told.broker}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(table)} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
