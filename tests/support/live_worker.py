"""A live worker for tests: settings as JSON in the first argument, and a place to die at a step of a checkpoint."""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from streams.live.worker import run_worker
from tests.support.live import settings_of


def main() -> int:
    told: dict[str, Any] = json.loads(sys.argv[1])
    return run_worker(settings_of(told), death_at(told["die_at"], told["die_after"]) if "die_at" in told else None)


def death_at(step: str, times: int) -> Callable[[str, int], None]:
    """Kills the process when this step has been reached so many times."""
    reached = 0

    def on_step(name: str, partition: int) -> None:
        nonlocal reached
        reached += name == step
        if reached >= times:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_step


if __name__ == "__main__":
    sys.exit(main())
