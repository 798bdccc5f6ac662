"""The workers of a run, each behind a door of its own to the broker, and the supervisor that starts them again."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from streams.errors import BrokerError
from streams.live.watchdog import EXIT_STUCK
from tests.support.live import WorkerProcess
from tests.support.proxy import Proxy

__all__ = ["Crew"]

GENERATION = re.compile(r"owning partitions=\[([^]]*)\] judge=(\w+) generation=(\d+)")
LET_GO = {EXIT_STUCK, BrokerError.exit_code}
"""Codes with which a worker may end by itself: stuck, or without a broker. A supervisor starts it again."""


class Crew:
    """Up to ``most`` workers; one that has ended is replaced as long as there are fewer than ``least``."""

    def __init__(self, told: dict[str, Any], doors: Sequence[Proxy], chance: random.Random, least: int = 3) -> None:
        self._told, self._doors, self._chance, self._least = told, doors, chance, least
        self.most = least + 1
        self.workers: list[WorkerProcess] = []
        self.still: set[WorkerProcess] = set()
        """Those that are stopped now."""
        self.ended: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        """Why workers ended by themselves."""
        self.generations: set[str] = set()
        """Of the group, in which somebody owned partitions."""
        self.judges = 0
        """How often a worker became the judge."""
        self.kept = self.restored = 0
        """How often a worker kept engines over a rebalance, and how often it restored some."""
        self._stack = contextlib.ExitStack()

    def close(self) -> None:
        """Leave none behind."""
        self._stack.close()

    def join(self, **more: object) -> WorkerProcess:
        """Start another worker, by a door that nobody uses."""
        used = {worker.told["bootstrap"] for worker in self.workers}
        free = [f"127.0.0.1:{door.port}" for door in self._doors if f"127.0.0.1:{door.port}" not in used]
        told = self._told | ({"bootstrap": free[0]} if free else {})
        worker = self._stack.enter_context(WorkerProcess(**told, **more))
        self.workers.append(worker)
        return worker

    def door(self, worker: WorkerProcess) -> Proxy | None:
        """The door of a worker; None where it came straight to the broker."""
        return next((one for one in self._doors if worker.told["bootstrap"] == f"127.0.0.1:{one.port}"), None)

    def any(self, wanted: Callable[[WorkerProcess], bool] = lambda worker: True) -> WorkerProcess | None:
        """One that owns something, if there is one such; None where there is none at all."""
        awake = [one for one in self.workers if one not in self.still and wanted(one)]
        working = [one for one in awake if "owning" in one.log]
        return self._chance.choice(working or awake) if awake else None

    def kill(self) -> None:
        """End one at once; rather not one that is going to end itself."""
        if worker := self.any(lambda one: "die_at" not in one.told) or self.any():
            worker.signal(signal.SIGKILL)
            if worker.wait() == -signal.SIGKILL:
                self._gone(worker, "kill -9")
            # Else it had just ended by itself: tidying up looks how.

    def terminate(self) -> None:
        """Tell one to stop, and do not wait for it."""
        if worker := self.any(lambda one: "owning" in one.log and "stopping" not in one.log):
            worker.signal(signal.SIGTERM)

    def stop(self, worker: WorkerProcess) -> None:
        self.still.add(worker)
        worker.signal(signal.SIGSTOP)

    def wake(self, worker: WorkerProcess) -> None:
        worker.signal(signal.SIGCONT)
        self.still.discard(worker)

    def tidy(self) -> None:
        """Look who has ended, and how; start others in their place."""
        for worker in [one for one in self.workers if not one.alive()]:
            code = worker.wait()
            if code == 0 and "stopping" in worker.log:
                self._gone(worker, "SIGTERM")
            elif code == -signal.SIGKILL and "die_at" in worker.told:
                self._gone(worker, "kill during a checkpoint")
            elif code in LET_GO:
                said = [line for line in worker.log.splitlines() if " funnelwatch." in line]
                self.reasons[f"{code}: {said[-1].partition(' funnelwatch.')[2][:100]}" if said else str(code)] += 1
                self._gone(worker, f"{'SIGTERM, ' if 'stopping' in worker.log else ''}ended itself with {code}")
            else:
                raise AssertionError(f"a worker ended with {code}\n{worker.log}")
        while len(self.workers) < self._least:
            self.join()
        if len(self.workers) > self.most and not any("stopping" in one.log for one in self.workers):
            self.terminate()

    def settle(self) -> None:
        """At least one that is not going to die."""
        self.tidy()
        if all("die_at" in one.told for one in self.workers):
            self.join()

    def log(self) -> str:
        """What those that are there have said."""
        return "\n".join(f"--- {one.pid} {one.told.get('die_at', '')}\n{one.log[-6_000:]}" for one in self.workers)

    def all_stopped(self, seconds: float) -> None:
        """Tell all to stop, and wait until they have."""
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        for worker in list(self.workers):
            code = worker.wait(max(0.1, deadline - time.monotonic()))
            starting = code == -signal.SIGTERM and "owning" not in worker.log
            # 75 where its group was giving out partitions just then: it is told of that as of any other end.
            known = code in (0, EXIT_STUCK) or starting or "die_at" in worker.told
            assert known, f"ended with {code}\n{worker.log}"
            self._gone(worker, "SIGTERM at the end" + (f", {code}" if code == EXIT_STUCK else ""))

    def _gone(self, worker: WorkerProcess, how: str) -> None:
        self.ended[how] += 1
        self.generations |= {generation for *_, generation in GENERATION.findall(worker.log)}
        self.judges += worker.log.count("judging offset=")
        self.kept += worker.log.count(" kept partitions=")
        self.restored += worker.log.count(" restored partitions=")
        self.workers.remove(worker)
        self.still.discard(worker)
