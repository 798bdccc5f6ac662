"""Cost of judging a window by the number of series watched, in processor time, and what a series takes in memory.

    python -m benchmarks.detection_cost [SEGMENTS ...] [--windows 120] [--profile]

Each shop has that many values of a dimension, judged for five ratios and their share of the sessions each, beside the
series of the whole. Printed are the best and the usual microseconds a series and window (what else the machine does
disturbs some windows only) and what it takes to put what is told into records.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import statistics
import tracemalloc
from collections.abc import Iterator
from time import process_time

import numpy as np

from streams.engine.rows import WHOLE, Row, Segment
from streams.merge import MergedWindow
from streams.monitor import Monitor, MonitorSpec

MINUTE_MS = 60_000
START_MS = 1_767_571_200_000
WARM = 260
"""Windows before the clock runs: every series is judged by then."""

RATES = (
    ("sessions", "reached.product", 0.7),
    ("reached.product", "reached.cart", 0.25),
    ("reached.cart", "reached.checkout", 0.5),
    ("reached.checkout", "reached.ordered", 0.8),
    ("reached.ordered", "payment_attempts", 1.0),
    ("payment_attempts", "payments_succeeded", 0.9),
)


def windows(segments: int, count: int, seed: int = 7) -> Iterator[MergedWindow]:
    """Calm minutes of a shop whose values of the dimension ``region`` are about equal in size."""
    rng = np.random.default_rng(seed)
    for minute in range(count):
        start = START_MS + minute * MINUTE_MS
        told = {"sessions": rng.poisson(60.0, segments)}
        for above, below, rate in RATES:
            told[below] = rng.binomial(told[above], rate)
        told["payments_declined_hard"] = told["payment_attempts"] - told["payments_succeeded"]
        told["orders_placed"] = told["orders_attempted"] = told["reached.ordered"]
        told["orders_paid"] = told["reached.paid"] = told["payments_succeeded"]
        rows: dict[Segment, Row] = {}
        for number in range(segments):
            segment = (("region", f"r-{number}"),)
            rows[segment] = _row(start, segment, {name: int(values[number]) for name, values in told.items()})
        rows[WHOLE] = _row(start, WHOLE, {name: int(values.sum()) for name, values in told.items()})
        yield MergedWindow(start, start + MINUTE_MS, rows)


def _row(start_ms: int, segment: Segment, counters: dict[str, int]) -> Row:
    return Row("window", start_ms, start_ms + MINUTE_MS, segment, None, counters, "f")


def measure(segments: int, count: int, *, profile: bool) -> None:
    """Judge a shop and print its line."""
    monitor, costs, words = Monitor(MonitorSpec(max_segment_series=10_000)), [], []
    tracemalloc.start()
    told = list(windows(segments, WARM + count))
    before = tracemalloc.get_traced_memory()[0]
    watch = cProfile.Profile() if profile else None
    for number, window in enumerate(told):
        if number == WARM:
            memory = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            gc.collect()
            if watch is not None:
                watch.enable()
        begin = process_time()
        judgement = monitor.observe(window)
        judged = process_time()
        judgement.records()
        if number >= WARM:
            costs.append(judged - begin)
            words.append(process_time() - judged)
    if watch is not None:
        watch.disable()
        pstats.Stats(watch).sort_stats("tottime").print_stats(28)
    series = len(judgement.verdicts)
    best, usual = (1e6 * each / series for each in (min(costs), statistics.median(costs)))
    print(
        f"{series:5d} series: {best:5.1f} us a series and window at best, {usual:5.1f} usually;"
        f" {1e3 * statistics.median(costs):6.1f} ms a window and {1e3 * statistics.median(words):4.2f} to write it;"
        f" {memory / 1024 / series:5.1f} KiB a series"
    )


def main() -> None:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("segments", type=int, nargs="*", default=[22, 56, 196])
    parser.add_argument("--windows", type=int, default=120)
    parser.add_argument("--profile", action="store_true")
    told = parser.parse_args()
    for segments in told.segments:
        measure(segments, told.windows, profile=told.profile)


if __name__ == "__main__":
    main()
