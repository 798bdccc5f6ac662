"""KPIs of an hour, of a day and of cohorts are judged beside those of the minute."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.base import Incident, Verdict
from streams.engine.rows import WHOLE, Row
from streams.kpis import catalogue
from streams.merge import MergedWindow
from streams.monitor import Judgement, Monitor, MonitorSpec

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_767_571_200_000
HORIZON = 900_000


def window(start_ms: int, counters: dict[str, int], length_ms: int = MINUTE, **cohort: object) -> MergedWindow:
    kind = "cohort" if cohort else "window"
    row = Row(kind, start_ms, start_ms + length_ms, WHOLE, None, counters, "f", **cohort)
    return MergedWindow(start_ms, start_ms + length_ms, {WHOLE: row}, kind=kind, **cohort)


def told(judgements: list[Judgement], kpi: str) -> list[Verdict]:
    return [one for each in judgements for one in each.verdicts if one.kpi == kpi]


def incidents(judgements: list[Judgement]) -> dict[str, Incident]:
    return {one.id: one for each in judgements for one in each.incidents}


def settling(hours: int, worse: int) -> list[Judgement]:
    """Carts that are settled, in windows of five minutes; none is abandoned on the first day."""
    rng, monitor = np.random.default_rng(1), Monitor(MonitorSpec(window_ms=5 * MINUTE))
    result = []
    for n in range(hours * 12):
        share = 0.0 if n < 24 * 12 + 7 else 0.7 if n < worse * 12 else 0.85
        decided = int(rng.poisson(60))
        left = int(rng.binomial(decided, share))
        counters = {"sessions": 400, "carts_abandoned": left, "carts_converted": decided - left}
        result.append(monitor.observe(window(START + n * 5 * MINUTE, counters, 5 * MINUTE)))
    return result


def test_an_hourly_kpi_is_judged_when_its_hour_ends_and_pages_when_it_is_worse() -> None:
    worse = 60
    judgements = settling(70, worse)
    verdicts = told(judgements, "cart_abandonment_settled_ratio")
    assert {one.end_ms - one.start_ms for one in verdicts} == {HOUR}
    # The first hour that holds some is only a part of one.
    assert verdicts[0].start_ms == START + 25 * HOUR
    assert [one.state for one in verdicts[:24]] == ["warming_up"] * 24
    calm = [one for one in verdicts if one.end_ms <= START + worse * HOUR]
    assert not any(one.active for one in calm)
    first = next(one for one in verdicts if one.active)
    assert first.end_ms <= START + (worse + 2) * HOUR
    assert (first.kind, first.lower < first.expected < first.upper < first.value) == ("rise", True)
    one = next(iter(incidents(judgements).values()))
    assert (one.kpis, one.kind) == (("cart_abandonment_settled_ratio",), "rise")
    assert "cart abandonment settled" in one.summary


def test_days_follow_the_clock_of_the_shop() -> None:
    monitor = Monitor(MonitorSpec(window_ms=HOUR, zone="Asia/Shanghai"))
    judgements = []
    for n in range(24 * 5):
        counters = {"sessions": 400, "orders_paid": 100, "orders_refunded": 7}
        judgements.append(monitor.observe(window(START + n * HOUR, counters, HOUR)))
    verdicts = told(judgements, "refund_ratio")
    assert [(one.start_ms - START) // HOUR for one in verdicts] == [40, 64, 88]
    assert {one.value for one in verdicts} == {0.07}


@pytest.fixture(scope="module")
def cohorts() -> list[Judgement]:
    rng, monitor = np.random.default_rng(2), Monitor(MonitorSpec(kpis=catalogue(), warm_up_ms=HOUR))
    result = []
    for n in range(260):
        result.append(monitor.observe(window(START + n * MINUTE, {"sessions": 300})))
        if n >= 15:
            opened = START + (n - 15) * MINUTE
            base = int(rng.poisson(300))
            counters = {"cohort.sessions@15m": base}
            for stage, share in {"product": 0.7, "cart": 0.2, "checkout": 0.1, "ordered": 0.08, "paid": 0.07}.items():
                lost = 0.8 if stage == "paid" and 180 <= n - 15 < 220 else 0.0
                counters[f"cohort.{stage}@15m"] = int(rng.binomial(base, share * (1 - lost)))
            result.append(monitor.observe(window(opened, counters, horizon_ms=HORIZON)))
    return result


def test_cohorts_are_judged_in_their_own_window_and_page(cohorts: list[Judgement]) -> None:
    verdicts = told(cohorts, "cohort_paid_ratio@15m")
    assert verdicts[0].start_ms == START
    assert {one.end_ms - one.start_ms for one in verdicts} == {MINUTE}
    active = [one for one in verdicts if one.active]
    onset = START + 180 * MINUTE
    assert onset <= active[0].end_ms <= onset + 15 * MINUTE
    assert not any(one.active for one in verdicts if one.end_ms <= onset)
    found = incidents(cohorts)
    assert len(found) == 1
    one = next(iter(found.values()))
    assert one.kpis == ("cohort_paid_ratio@15m",)
    assert abs(one.onset_ms - onset) <= 10 * MINUTE
    assert one.state == "recovered"
    assert abs(one.ended_ms - (START + 220 * MINUTE)) <= 15 * MINUTE


def test_calm_stages_of_the_same_cohorts_stay_calm(cohorts: list[Judgement]) -> None:
    assert not any(one.active for one in told(cohorts, "cohort_cart_ratio@15m"))
