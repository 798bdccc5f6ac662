"""How well the monitor finds labelled incidents in simulated weeks of a busy, a medium and a small shop.

    python -m benchmarks.detection [--days 14] [--seeds 2] [--sizes busy,medium,small] [--verbose]

Prints recall, median and 90 % delay, precision and false pages a week, and the time a window takes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from streams.monitor import Monitor, MonitorSpec
from tests.detection.library import Drop, Shop

SIZES = {"busy": 2000.0, "medium": 200.0, "small": 10.0}
DAY = 1440
LATE = 20
"""Minutes behind the end of an incident in which it may still be found: its shoppers are on their way."""

TEMPLATES: tuple[tuple[str, float, int, int, str], ...] = (
    ("payment", 0.9, 30, 0, ""),
    ("payment", 0.35, 60, 0, ""),
    ("payment", 0.12, 180, 0, ""),
    ("provider", 0.8, 60, 0, "psp-1"),
    ("provider", 0.8, 60, 0, "psp-2"),
    ("checkout", 0.9, 30, 0, ""),
    ("checkout", 0.35, 90, 0, ""),
    ("checkout", 0.4, 300, 240, ""),
    ("cart", 0.5, 60, 0, ""),
    ("device", 0.7, 90, 0, "android"),
    ("traffic", 0.6, 60, 0, ""),
    ("silence", 1.0, 20, 0, ""),
    ("tracking", 1.0, 60, 0, "checkout"),
    ("bots", 1.0, 60, 0, ""),
    ("surge", 1.0, 60, 0, ""),
)
"""Kind, size, minutes, ramp, segment; a surge must not page."""


@dataclass
class Tally:
    """What was found of what was there."""

    found: Counter[str] = field(default_factory=Counter)
    there: Counter[str] = field(default_factory=Counter)
    delays: list[int] = field(default_factory=list)
    false: int = 0
    true: int = 0
    loud_minutes: int = 0
    quiet_minutes: int = 0
    seconds: float = 0.0
    windows: int = 0


def schedule(days: int, warm_days: int, seed: int) -> tuple[Drop, ...]:
    """Incidents in random order, about three a day from the warm-up's end on, apart from each other."""
    rng = np.random.default_rng(seed)
    drops: list[Drop] = []
    order: list[int] = []
    minute = warm_days * DAY + int(rng.integers(60, 400))
    while minute < (days * DAY) - 400:
        if not order:
            order = list(rng.permutation(len(TEMPLATES)))
        kind, size, length, ramp, segment = TEMPLATES[order.pop()]
        drops.append(Drop(kind, minute, minute + length, size, ramp, segment))  # type: ignore[arg-type]
        minute += length + int(rng.integers(240, 600))
    return tuple(drops)


def judge(shop: Shop, warm_days: int, tally: Tally, *, verbose: bool = False) -> None:
    """Run the monitor over a shop and count what it found."""
    monitor, opened, standing = Monitor(MonitorSpec()), [], np.zeros(shop.minutes, dtype=bool)
    for minute, window in enumerate(shop.windows()):
        begin = time.perf_counter()
        judgement = monitor.observe(window)
        tally.seconds += time.perf_counter() - begin
        tally.windows += 1
        opened += [(minute, one) for one in judgement.incidents if one.state == "open"]
        standing[minute] = any(one.active for one in judgement.verdicts)
    covered = np.zeros(shop.minutes, dtype=bool)
    for drop in shop.drops:
        covered[drop.start : drop.end + 90] = True
        name = f"{drop.kind} {drop.size:.2f} {drop.end - drop.start}m" + (" ramp" if drop.ramp else "")
        hits = [(minute, one) for minute, one in opened if drop.start <= minute < drop.end + LATE]
        if drop.kind == "surge":
            tally.there["(surge) pages"] += 1
            tally.found["(surge) pages"] += bool(hits)
            tally.false += len(hits)
            continue
        tally.there[name] += 1
        if hits:
            tally.found[name] += 1
            tally.true += 1
            tally.delays.append(hits[0][0] - drop.start)
        if verbose:
            told = f"{hits[0][0] - drop.start:4d} {hits[0][1].kind:9s} {hits[0][1].summary}" if hits else "   -"
            print(f"    {drop.start:6d} {name:24s} {drop.segment:8s} {told}")
    for minute, one in opened:
        if minute >= warm_days * DAY and not covered[minute]:
            tally.false += 1
            if verbose:
                print(f"    {minute:6d} FALSE {one.kind} {one.summary} {one.segments}")
        elif minute < warm_days * DAY and verbose:
            print(f"    {minute:6d} early {one.kind} {one.summary} {one.segments}")
    quiet = ~covered
    quiet[: warm_days * DAY] = False
    tally.loud_minutes += int((standing & quiet).sum())
    tally.quiet_minutes += int(quiet.sum())


def report(name: str, tally: Tally) -> None:
    """Print one shop's result."""
    real = {kind: n for kind, n in tally.there.items() if not kind.startswith("(")}
    found = sum(tally.found[kind] for kind in real)
    delays = sorted(tally.delays) or [0]
    weeks = tally.quiet_minutes / (7 * DAY)
    print(
        f"{name:7s} recall {found}/{sum(real.values())} = {found / max(1, sum(real.values())):.2f}"
        f"  delay median {statistics.median(delays):.0f} p90 {delays[int(0.9 * (len(delays) - 1))]} min"
        f"  precision {tally.true / max(1, tally.true + tally.false):.2f}"
        f"  false pages {tally.false} ({tally.false / max(weeks, 1e-9):.2f} a quiet week)"
        f"  loud {tally.loud_minutes / max(1, tally.quiet_minutes):.2%} of quiet time"
        f"  {1e6 * tally.seconds / max(1, tally.windows):.0f} us a window"
    )
    missed = {kind: f"{tally.found[kind]}/{n}" for kind, n in sorted(tally.there.items())}
    print("        " + ", ".join(f"{kind} {share}" for kind, share in missed.items()))


def main() -> None:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--warm-days", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sizes", default="busy,medium,small")
    parser.add_argument("--calm", action="store_true", help="no incidents: false pages only")
    parser.add_argument("--verbose", action="store_true")
    told = parser.parse_args()
    for name in told.sizes.split(","):
        tally = Tally()
        for seed in range(told.seeds):
            drops = () if told.calm else schedule(told.days, told.warm_days, 100 + seed)
            shop = Shop(SIZES[name], told.days * DAY, seed=40 + seed, drops=drops)
            judge(shop, told.warm_days, tally, verbose=told.verbose)
        report(name, tally)


if __name__ == "__main__":
    main()
