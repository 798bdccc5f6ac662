"""The demonstration's worker: the ordinary live worker, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.config import load_config
from streams.live.configured import live_settings
from streams.live.worker import run_worker

__all__ = ["main", "running_worker"]

STOP_SECONDS = 20.0
PARENT_SECONDS = 1.0


def main() -> int:
    """Run a worker with the configuration file that the command line names, for as long as its parent lives."""
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True, name="parent").start()
    return run_worker(live_settings(load_config(sys.argv[1])))


@contextmanager
def running_worker(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker for the length of a ``with`` block; at its end it saves its state and leaves the group."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.demo.child", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches the demonstration alone, which stops the worker in its turn
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_with(parent: int) -> None:
    """A demonstration that was killed leaves no worker behind."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
