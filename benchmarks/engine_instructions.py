"""Instructions of the engine by stage, counted by valgrind: the same number on a quiet and on a busy machine.

    python -m benchmarks.engine_instructions [--events 6000] [STAGE ...]

Events of a simulated shop, behind 20,000 that warm the engine up; ``apply`` is without ``dedup``. Each stage is a run
of its own. An instruction says nothing about memory: beside the times of ``engine_stages``, not in their place.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine_stages import FETCH, bare, shop_batches
from streams.engine import Engine, EngineSpec, SourceSpec

WARM = 20_000
STAGES = ("bare", "decode", "dedup", "apply", "close", "total")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print instructions an event of each stage, and how many times the bare loop they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=6_000)
    parser.add_argument("--counted", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("stages", nargs="*", default=STAGES, metavar="STAGE", help=", ".join(STAGES))
    told = parser.parse_args(arguments)
    if told.counted:
        run(told.counted, told.events)
        return 0
    found: dict[str, float] = {}
    for stage in dict.fromkeys(("bare", *told.stages)):
        found[stage] = count(stage, told.events) / told.events
        if stage == "apply":
            found[stage] -= found.get("dedup", 0.0)
        print(f"{stage:8} {found[stage]:8,.0f} instructions {found[stage] / found['bare']:6.2f} x bare", flush=True)
    return 0


def count(stage: str, events: int) -> int:
    """Instructions of one stage over so many events, in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        command = [
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={Path(directory) / 'out'}",
            *(sys.executable, "-m", "benchmarks.engine_instructions", "--counted", stage, "--events", str(events)),
        ]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if collected is None:
        raise RuntimeError(done.stderr)
    return int(collected[1])


def run(stage: str, events: int) -> None:
    """Run one stage under the counter, the rest beside it."""
    fetches = shop_batches(WARM + events)
    engine: Any = Engine(EngineSpec(sources=tuple(SourceSpec(batch.topic) for batch in fetches[0])), 0)
    for number, batches in enumerate(fetches):
        if number == WARM // FETCH:
            _count_calls(engine, stage)
        if stage == "bare" and number >= WARM // FETCH:
            _counted(bare)([value for batch in batches for value in batch.values], {})
        for batch in batches:
            engine.push(batch)
        engine.drain()


def _count_calls(engine: Any, stage: str) -> None:
    owner, names = {
        "decode": (engine._decoder, ["decode_all"]),
        "dedup": (engine._shop.duplicates, ["sift"]),
        "apply": (engine._shop, ["apply_all"]),
        "total": (engine, ["push", "drain"]),
    }.get(stage, (None, []))
    if stage == "close":
        engine._shop.ledger.close = _counted(engine._shop.ledger.close)
        owner, names = engine._shop, ["fire", "forget"]
    for name in names:
        setattr(owner, name, _counted(getattr(owner, name)))


def _counted(call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*arguments: Any) -> Any:
        _switch("on")
        try:
            return call(*arguments)
        finally:
            _switch("off")

    return counted


def _switch(told: str) -> None:
    subprocess.run(["callgrind_control", "-i", told, str(os.getpid())], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(main())
