"""Inputs that grow by what they reach in the code, given to every reader for as long as one likes (atheris).

    python -m tests.faults.fuzz [--minutes 5] [--target native]

What was found to lead somewhere is kept in ``.funnelwatch/fuzz``, so that a later run goes on from there. An input that
brings down its reader is written beside it, and the run fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

KEPT = Path(".funnelwatch/fuzz")
LONGEST = 8_192
SLOWEST_SECONDS = 10


def fuzz(target: str, seconds: int) -> None:
    """Fuzz one target in this process; it ends with the process."""
    import atheris

    # Only what is imported here tells the fuzzer where an input has led.
    with atheris.instrument_imports(include=["streams"]):
        from tests.faults.inputs import TARGETS, seeds
    folder = KEPT / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (folder / f"seed-{number}").write_bytes(seed)
    atheris.Setup(
        [
            target,
            str(folder),
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST}",
            f"-timeout={SLOWEST_SECONDS}",
            f"-artifact_prefix={KEPT}/found-{target}-",
            "-print_final_stats=1",
        ],
        TARGETS[target],
    )
    atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> int:
    from tests.faults.inputs import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="of all targets together")
    parser.add_argument("--target", choices=tuple(TARGETS), help="one of them, in this process")
    told = parser.parse_args(arguments)
    if told.target:
        fuzz(told.target, int(60 * told.minutes))
        return 0
    share = f"{told.minutes / len(TARGETS):.3f}"
    failed = []
    for target in TARGETS:
        command = [sys.executable, "-m", "tests.faults.fuzz", "--target", target, "--minutes", share]
        done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
        lines = done.stderr.decode(errors="replace").splitlines()
        tried = next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "?")
        print(f"{target}: {tried} inputs, {'none brought it down' if done.returncode == 0 else 'FAILED'}", flush=True)
        if done.returncode:
            failed.append(target)
            print("\n".join(line for line in lines[-60:] if not line.startswith("#")), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
