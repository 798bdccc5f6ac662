"""The demonstration's worker: ``funnelwatch run`` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.broker import die_with_parent, stop_process

__all__ = ["running_worker"]

STOP_SECONDS = 20.0


@contextmanager
def running_worker(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker for the length of a ``with`` block; at its end it saves its state and leaves the group."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches the demonstration alone, which stops the worker in its turn
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one prepared system call, safe between fork and exec
        )
    try:
        yield process
    finally:
        stop_process(process, STOP_SECONDS)
