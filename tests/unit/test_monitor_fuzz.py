"""Whatever windows come, the monitor answers with numbers that are numbers."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from streams.engine.rows import WHOLE, Row
from streams.merge import MergedWindow
from streams.monitor import Judgement, Monitor, MonitorSpec, decode_verdict, encode_verdict

COUNTERS = (
    "sessions",
    "page_views",
    "cart_items",
    "reached.product",
    "reached.cart",
    "reached.checkout",
    "reached.ordered",
    "reached.paid",
    "payment_attempts",
    "payments_succeeded",
    "payments_declined_hard",
    "orders_paid",
    "orders_placed",
    "orders_attempted",
    "orders_valued.CNY",
    "revenue_minor.CNY",
    "sessions_ended",
    "bounces",
    "ended_page_views",
    "ended_dwell_ms",
    "carts_idle",
    "carts_kept",
)
SEGMENTS = ((("device", "ios"),), (("device", "android"),), (("payment_provider", "psp-1"),))


def wild_windows(seed: int, count: int) -> list[MergedWindow]:
    """Counts of any size that jump, vanish and contradict each other; windows are missing, and so are partitions."""
    rng = np.random.default_rng(seed)
    told, minute, size = [], 1_000_000, 10.0
    for _ in range(count):
        minute += 1 if rng.random() < 0.97 else int(rng.integers(2, 400))
        if rng.random() < 0.03:
            size = 10.0 ** rng.uniform(-1, 6)
        start = minute * 60_000
        rows = {}
        for segment in (WHOLE, *SEGMENTS):
            if segment and rng.random() < 0.2:
                continue
            counters = {name: int(rng.poisson(size * rng.random())) for name in COUNTERS if rng.random() < 0.8}
            if rng.random() < 0.05:
                counters = {}
            rows[segment] = Row("window", start, start + 60_000, segment, None, counters, "f")
        missing = (1,) if rng.random() < 0.05 else ()
        told.append(MergedWindow(start, start + 60_000, rows, missing))
    return told


def numbers_of(judgement: Judgement) -> list[float]:
    found: list[float | None] = []
    for verdict in judgement.verdicts:
        found += [verdict.score, verdict.value, verdict.expected, verdict.lower, verdict.upper]
    for incident in judgement.incidents:
        found += [incident.orders_lost, incident.money_lost_minor, incident.orders_lost_low]
    return [number for number in found if number is not None]


@pytest.mark.parametrize("seed", range(2))
def test_wild_windows_give_finite_numbers_and_no_warning(seed: int):
    monitor = Monitor(MonitorSpec(warm_up_ms=0, timeout_ms=1_800_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for window in wild_windows(seed, 300):
            judgement = monitor.observe(window)
            assert all(math.isfinite(number) for number in numbers_of(judgement))
            assert all(verdict.score >= 0 for verdict in judgement.verdicts)
            assert all(verdict.end_ms == window.end_ms for verdict in judgement.verdicts)
    assert judgement.verdicts
    for verdict in judgement.verdicts:
        assert decode_verdict(encode_verdict(verdict)[1]) == verdict


def test_windows_of_ten_seconds_are_judged_as_well():
    monitor = Monitor(MonitorSpec(window_ms=10_000, warm_up_ms=1_200_000))
    rng = np.random.default_rng(3)
    told = []
    for number in range(400):
        start = 1_760_000_000_000 + number * 10_000
        paid = int(rng.binomial(60, 0.9 if number < 390 else 0.1))
        counters = {"sessions": 100, "payments_succeeded": paid, "payments_declined_hard": 60 - paid}
        row = Row("window", start, start + 10_000, WHOLE, None, counters, "f")
        told += [(number, one) for one in monitor.observe(MergedWindow(start, start + 10_000, {WHOLE: row})).incidents]
    assert told[0][0] in {390, 391}
    assert told[0][1].kpis[0] == "payment_success_ratio"
