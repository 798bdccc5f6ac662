from __future__ import annotations

import copy

import numpy as np
import pytest

from detectors.bank import Loss, Series
from streams.engine.cube import Cube, Side, decode_record, encode_cube
from streams.engine.rows import Row
from streams.engine.spec import EngineSpec
from streams.kpis import CATALOGUE, Kpi, dimension_kinds
from streams.merge import MergedWindow
from streams.monitor import Monitor, MonitorSpec
from streams.monitor_where import Where

MINUTE = 60_000
DEVICES, METHODS = ("android", "ios"), ("alipay", "card", "wechat")
CODES = tuple(zip(*((device, method) for device in range(2) for method in range(3)), strict=True))
BROKEN = (("device", "ios"), ("payment_method", "alipay"))
HURT = range(200, 230)


def cube(minute: int, rng: np.random.Generator) -> Cube:
    """Sixty payments a minute; while it hurts, those by alipay on ios fail."""
    tries = rng.poisson(10, 6)
    rates = np.full(6, 0.93)
    if minute in HURT:
        rates[3] = 0.05
    wins = rng.binomial(tries, rates)
    counters = {"payment_attempts": tries, "payments_declined_hard": tries - wins, "payments_succeeded": wins}
    told = {name: tuple(column.tolist()) for name, column in counters.items()}
    orders = Side(("device", "payment_method"), (DEVICES, METHODS), CODES, told)
    sessions = Side(("device",), (DEVICES,), ((0, 1),), {"sessions": (100, 110)})
    return Cube(minute * MINUTE, (minute + 1) * MINUTE, None, sessions, orders)


def cubes(minutes: int) -> list[Cube]:
    rng = np.random.default_rng(5)
    return [cube(minute, rng) for minute in range(minutes)]


def window(told: Cube, *, with_cube: bool = True) -> MergedWindow:
    """The whole and the values of each dimension, as the engine would add them up."""
    rows = {}
    for segment in ((), *((("device", one),) for one in DEVICES), *((("payment_method", one),) for one in METHODS)):
        chosen = [set(segment) <= set(zip(told.orders.dimensions, leaf, strict=True)) for leaf in told.orders.leaves()]
        counters = {
            name: sum(count for count, there in zip(column, chosen, strict=True) if there)
            for name, column in told.orders.counters.items()
        }
        if not segment:
            counters["sessions"] = 210
        rows[segment] = Row("window", told.start_ms, told.end_ms, segment, None, counters, "f")
    return MergedWindow(told.start_ms, told.end_ms, rows, cube=told if with_cube else None)


def located(where: Where, kpi: Kpi, segment=(), since: int = HURT[0]) -> list[tuple[object, str]] | None:
    series = Series(kpi.name, segment, volume=kpi.denominator is None)
    loss = Loss(0.7, 0.0, 0.93 * 600, 500.0, 600.0, 0.0, 0.07, 2.0, 10)
    told = where.blame(series, loss, since * MINUTE, (since + 10) * MINUTE)
    return None if told is None else [(one.segment, one.kind) for one in told]


@pytest.fixture
def where() -> Where:
    spec = EngineSpec(session_dimensions=("device",), payment_dimensions=("payment_method",))
    told = Where(CATALOGUE, dimension_kinds(spec), MINUTE)
    for one in cubes(HURT[0] + 10):
        told.take(one, [HURT[0] * MINUTE] if one.start_ms >= HURT[0] * MINUTE else [])
    return told


KPIS = {kpi.name: kpi for kpi in CATALOGUE}


def test_a_loss_of_payments_is_located_among_session_and_payment_values(where):
    assert located(where, KPIS["payment_success_ratio"]) == [(BROKEN, "rate")]


def test_the_loss_of_a_value_is_located_inside_it_and_told_with_it(where):
    assert located(where, KPIS["payment_success_ratio"], (("device", "ios"),)) == [(BROKEN, "rate")]


def test_what_no_cube_counts_cannot_be_located(where):
    assert located(where, KPIS["bounce_ratio"]) is None
    assert located(where, KPIS["revenue.CNY"]) is None


def test_before_anything_is_usual_nothing_can_be_located():
    where = Where(CATALOGUE, {}, MINUTE)
    assert located(where, KPIS["payment_success_ratio"]) is None
    for one in cubes(20):
        where.take(one)
    assert located(where, KPIS["payment_success_ratio"], since=15) is None


def test_after_a_change_of_dimensions_what_was_usual_is_forgotten(where):
    one = cubes(1)[0]
    side = Side(("channel",), (("sem",),), ((0,),), {"payment_attempts": (5,)})
    where.take(one._replace(end_ms=400 * MINUTE, orders=side))
    assert located(where, KPIS["payment_success_ratio"]) is None


def visits(minute: int, ordered: int) -> Cube:
    counters = ("sessions", "reached.product", "reached.cart", "reached.checkout", "reached.ordered", "reached.paid")
    columns = {name: (count,) for name, count in zip(counters, (200, 150, 60, 40, ordered, ordered), strict=True)}
    side = Side(("device",), (("ios",),), ((0,),), columns)
    return Cube(minute * MINUTE, (minute + 1) * MINUTE, None, side, Side())


def test_of_a_ratio_over_several_steps_the_step_that_lost_most_is_told():
    where = Where(CATALOGUE, {}, MINUTE)
    for minute in range(100):
        where.take(visits(minute, 30 if minute < 90 else 9), [90 * MINUTE] if minute >= 90 else [])
    told = where.step(Series("order_conversion_ratio"), 90 * MINUTE)
    assert told is not None
    assert (told.early, told.later) == ("checkout", "order")
    assert told.share == pytest.approx(1.0, abs=0.01)
    assert where.step(Series("checkout_ratio"), 90 * MINUTE) is None
    assert where.step(Series("sessions", volume=True), 90 * MINUTE) is None
    assert where.step(Series("payment_success_ratio"), 90 * MINUTE) is None


def test_without_a_cube_no_step_is_told():
    assert Where(CATALOGUE, {}, MINUTE).step(Series("order_conversion_ratio"), 0) is None


def test_the_incident_names_the_pair_and_keeps_it_when_it_is_over():
    monitor = Monitor(MonitorSpec(warm_up_ms=100 * MINUTE))
    told = [incident for one in cubes(300) for incident in monitor.observe(window(one)).incidents]
    (opened,) = (one for one in told if one.state == "open")
    assert opened.attribution[0].segment == BROKEN
    assert "of the loss is device=ios × payment_method=alipay (rate)" in opened.summary
    assert told[-1].state == "recovered"
    assert told[-1].attribution[0].segment == BROKEN
    assert told[-1].attribution[0].share > 0.8


def test_without_cubes_single_values_are_named():
    monitor = Monitor(MonitorSpec(warm_up_ms=100 * MINUTE))
    told = [one for each in cubes(HURT[-1]) for one in monitor.observe(window(each, with_cube=False)).incidents]
    assert told
    assert all(len(blame.segment) == 1 for one in told for blame in one.attribution)


def test_a_copy_of_a_monitor_goes_on_as_the_original_does():
    monitor = Monitor(MonitorSpec(warm_up_ms=100 * MINUTE))
    before, after = cubes(HURT[-1])[: HURT[0]], cubes(HURT[-1])[HURT[0] :]
    for one in before:
        monitor.observe(window(one))
    other = copy.deepcopy(monitor)
    for one in after:
        assert other.observe(window(decode_record(encode_cube(one)))) == monitor.observe(window(one))
