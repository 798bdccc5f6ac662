"""The one judge: who becomes it later comes to the same judgement, and time alone closes what is open."""

import signal
import time

import orjson

from streams.engine.cube import decode_record
from streams.engine.rows import WHOLE, Row
from tests.support.live import (
    WorkerProcess,
    anomalies,
    live_rows,
    merged_rows,
    metrics,
    produce,
    replayed,
    set_up_topics,
    settings_of,
    until,
    until_rows,
)
from tests.support.shop_log import Record, shop_log

SHORT = {"window_ms": 2_000, "grace_ms": 500, "max_out_of_orderness_ms": 500, "idle_after_ms": 1_000}


def ends(rows: dict[bytes, bytes]) -> set[int]:
    return {decode_record(value).end_ms for value in rows.values()}


def total(rows: dict[bytes, bytes], counter: str) -> int:
    told = [row for value in rows.values() if isinstance(row := decode_record(value), Row)]
    return sum(row.counters.get(counter, 0) for row in told if row.segment == WHOLE and row.kind != "cohort")


def test_a_later_judge_comes_to_the_same_rows_and_verdicts(broker: str, name: str) -> None:
    settings = settings_of({"bootstrap": broker, "name": name})
    partitions = set_up_topics(settings)
    produce(broker, shop_log(5, 300, 40, f"{name}-clicks", f"{name}-orders"))
    rows = replayed(settings, partitions)[0]
    with WorkerProcess(bootstrap=broker, name=name) as first:
        until_rows(settings, rows, first)
        until(lambda: ends(merged_rows(settings)) >= ends(rows), pause=0.3)
        first.signal(signal.SIGTERM)
        assert first.wait() == 0, first.log
    before_rows, before = merged_rows(settings), anomalies(settings)
    assert ends(before_rows) == ends(rows)
    assert before
    for counter in ("sessions", "orders_paid", "revenue_minor.CNY"):
        assert total(before_rows, counter) == total(rows, counter) > 0
    with WorkerProcess(bootstrap=broker, name=name) as second:
        second.until_logged("judging")
        page = until(lambda: page if "funnel_kpi_value{" in (page := metrics(second)) else "")
        assert 'kpi="sessions"' in page, second.log
        second.signal(signal.SIGTERM)
        assert second.wait() == 0, second.log
    assert merged_rows(settings) == before_rows
    assert anomalies(settings) == before


def test_the_last_window_of_a_quiet_shop_closes_by_the_clock(broker: str, name: str) -> None:
    told = {"bootstrap": broker, "name": name, "engine": SHORT, "partitions": 1}
    settings = settings_of(told)
    set_up_topics(settings)
    with WorkerProcess(**told) as worker:
        worker.until_logged("owning")
        now = time.time_ns() // 1_000_000
        event = {"event_type": "page_view", "event_time": now, "session_id": "s-1", "event_id": "e-1"}
        produce(broker, [Record(f"{name}-clicks", b"s-1", orjson.dumps(event), now)])
        closed = until(lambda: live_rows(settings))
        assert closed, worker.log
        first = min(key for key, value in closed.items() if isinstance(decode_record(value), Row))
        assert orjson.loads(closed[first])["counters"]["page_views"] == 1
        assert until(lambda: merged_rows(settings)), worker.log
