"""Replays from options to files: rows, bounds, several files, pace, the end of the log, and what was learnt before."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from streams.anomalies import encode_incident
from streams.broker import embedded_broker
from streams.engine.rows import decode_row, encode_row, row_key
from streams.engine.spec import EngineSpec, SourceSpec
from streams.errors import InputError
from streams.kafka import TopicPlan, create_topics
from streams.kpis import CATALOGUE
from streams.monitor import MonitorSpec
from streams.replay import ReplayOptions, replay_file, replay_topics
from streams.replay.driver import Driver, Listener, final_rows
from streams.replay.past import compared
from streams.replay.run import changing_ms, needed_ms
from streams.replay.source_file import FileSource, file_sources, in_step
from streams.simulate import IncidentSpec, Shop, ShopSpec
from tests.support.stories import START_MS, story, to_lines

MINUTE = 60_000
JUDGE = MonitorSpec(warm_up_ms=60 * MINUTE, max_segment_series=0)
QUIET = ReplayOptions(monitor=JUDGE, progress=False)


def write(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"\n".join(to_lines(events)) + b"\n")
    return path


def whole_sum(path: Path, counter: str) -> int:
    rows = [decode_row(line) for line in path.read_bytes().splitlines()]
    return sum(row.counters.get(counter, 0) for row in rows if not row.segment and row.kind == "window")


@pytest.fixture(scope="module")
def shop_log() -> list[Any]:
    """Two hours of a shop whose payments fail for the last 25 minutes, lateness and duplicates included."""
    outage = IncidentSpec("payment_outage", START_MS + 105 * MINUTE, START_MS + 130 * MINUTE, severity=1.0)
    spec = ShopSpec(seed=5, sessions_per_minute=25, rhythm=0.0, incidents=(outage,), late_ratio=0.02)
    return list(Shop(spec).events(START_MS, START_MS + 130 * MINUTE))


@pytest.fixture(scope="module")
def short_log(shop_log: list[Any]) -> list[Any]:
    """Its first fifty minutes."""
    return [record for record in shop_log if record.append_ms < START_MS + 50 * MINUTE]


@pytest.fixture(scope="module")
def shop_file(shop_log: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "shop.jsonl"
    path.write_bytes(b"".join(_with_append_time(record) + b"\n" for record in shop_log))
    return path


def _with_append_time(record: Any) -> bytes:
    try:
        told = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return bytes(record.value).replace(b"\n", b" ")
    if not isinstance(told, dict) or record.key is None:
        return bytes(record.value)
    return orjson.dumps({**told, "session_id": record.key.decode(), "append_time": record.append_ms})


def test_a_replay_of_a_file_gives_the_same_bytes_each_time(shop_file: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    reports = [tmp_path / name for name in ("a.html", "b.html")]
    for rows, report in zip(outs, reports, strict=True):
        replay_file(shop_file, ReplayOptions(monitor=JUDGE, rows=rows, report=report, progress=False))
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert reports[0].read_bytes() == reports[1].read_bytes()


def test_an_outage_in_a_file_is_told_as_an_incident_with_its_beginning_and_cost(shop_file: Path) -> None:
    replayed = replay_file(shop_file, QUIET)
    incidents = [each for each in replayed.incidents if "payment_success_ratio" in each.kpis]
    assert len(incidents) == 1
    assert abs(incidents[0].onset_ms - (START_MS + 105 * MINUTE)) <= 3 * MINUTE
    assert (incidents[0].orders_lost or 0) > 0
    assert replayed.summary()["incidents"][0]["record"] == "incident"
    json.dumps(replayed.summary())


def test_an_incident_that_began_before_the_range_and_is_not_over_is_told(shop_file: Path) -> None:
    since = START_MS + 118 * MINUTE
    replayed = replay_file(shop_file, ReplayOptions(monitor=JUDGE, since_ms=since, progress=False))
    assert any(each.onset_ms < since and "payment_success_ratio" in each.kpis for each in replayed.incidents)


def test_what_follows_the_last_event_is_in_the_rows_and_neither_judged_nor_summed(tmp_path: Path) -> None:
    path = write(tmp_path / "day.jsonl", story("a: view+0s cart+5s | b: view+3m"))
    rows = tmp_path / "rows.jsonl"
    replayed = replay_file(path, ReplayOptions(rows=rows, progress=False))
    assert whole_sum(rows, "carts_abandoned") == 1
    assert replayed.windows == 4
    assert replayed.totals is not None
    assert replayed.totals.counters["sessions"] == 2
    assert "carts_abandoned" not in replayed.totals.counters
    assert replayed.series["sessions", ()][-1].end_ms == START_MS + 3 * MINUTE


def test_kpis_of_longer_windows_are_formed_over_those(tmp_path: Path) -> None:
    path = write(tmp_path / "day.jsonl", story("a: page+0s | b: page+59m | c: page+61m | d: page+125m"))
    series = replay_file(path, QUIET).series
    hours = [(point.start_ms, point.end_ms) for point in series["cart_abandonment_settled_ratio", ()]]
    assert hours == [(START_MS + n * 60 * MINUTE, START_MS + (n + 1) * 60 * MINUTE) for n in range(3)]
    assert len(series["refund_ratio", ()]) == 1
    assert len(series["sessions", ()]) == 125


def test_bounds_cut_what_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "day.jsonl", story("a: page+0s | b: page+1m | c: page+2m | d: page+3m"))
    rows = tmp_path / "rows.jsonl"
    bounds = {"since_ms": START_MS + MINUTE, "until_ms": START_MS + 3 * MINUTE}
    replayed = replay_file(path, ReplayOptions(rows=rows, progress=False, **bounds))  # type: ignore[arg-type]
    assert (replayed.windows, whole_sum(rows, "sessions")) == (2, 2)


def test_a_range_is_compared_with_what_came_before_it(tmp_path: Path) -> None:
    path = write(tmp_path / "day.jsonl", story("a: page+0s | b: page+1m | c: page+90s | d: page+2m | e: page+200s"))
    bounds = {"since_ms": START_MS + 2 * MINUTE, "until_ms": START_MS + 4 * MINUTE}
    report = tmp_path / "report.html"
    replayed = replay_file(path, ReplayOptions(report=report, progress=False, **bounds))  # type: ignore[arg-type]
    assert {period: (row.counters["sessions"], whole) for period, (row, whole) in replayed.before.items()} == {
        "previous": (3, True)
    }
    assert "-33% · 3" in report.read_text(encoding="utf-8")


def test_a_period_of_which_a_part_is_known_is_called_so(tmp_path: Path) -> None:
    path = write(tmp_path / "day.jsonl", story("a: page+1m | c: page+90s | d: page+2m | e: page+200s"))
    bounds = {"since_ms": START_MS + 2 * MINUTE, "until_ms": START_MS + 4 * MINUTE}
    report = tmp_path / "report.html"
    replay_file(path, ReplayOptions(report=report, progress=False, **bounds))  # type: ignore[arg-type]
    assert "Only a part is known of the period before" in report.read_text(encoding="utf-8")


def test_a_line_that_is_no_json_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_bytes(to_lines(story("a: page+0s"))[0] + b"\n\n{oops\n")
    replayed = replay_file(path, QUIET)
    assert replayed.accounting.counts["rejected.not_json"] == 1
    assert replayed.accounting.samples["not_json"][0].startswith("day.jsonl[0]@3")


def test_several_files_are_read_in_step_of_their_times(tmp_path: Path) -> None:
    events = story("a: view+0s cart+1m order+3m[order_id=o] paid+4m[order_id=o,amount=5,currency=CNY] | b: view+5m")
    orders = [event for event in events if event["event_type"].startswith("order")]
    clicks = [event for event in events if event not in orders]
    one = write(tmp_path / "all.jsonl", events)
    two = [write(tmp_path / "clicks.jsonl", clicks), write(tmp_path / "orders.jsonl", orders)]
    outs = tmp_path / "one.rows", tmp_path / "two.rows"
    replay_file(one, ReplayOptions(rows=outs[0], progress=False))
    replay_file(two, ReplayOptions(rows=outs[1], progress=False))
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_files_of_following_days_are_one_log(tmp_path: Path) -> None:
    events = story("a: view+0s cart+1m | a: paid+2m[order_id=o]")
    days = [write(tmp_path / "2.jsonl", events[2:]), write(tmp_path / "1.jsonl", events[:2])]
    replayed = replay_file(days, QUIET)
    assert replayed.totals is not None
    assert replayed.totals.counters["carts_converted"] == 1


def test_a_file_keeps_its_order_of_lines_beside_others(tmp_path: Path) -> None:
    first = tmp_path / "a.jsonl"
    first.write_bytes(b'{"event_time":5}\n{"event_time":1}\nnone\n{"event_time":"1970-01-01T00:00:00.009Z"}')
    second = tmp_path / "b.jsonl"
    second.write_bytes(b'{"event_time":9,"append_time":6}\n{"event_time":true}')
    told = [(b.topic, list(b.offsets)) for b in in_step([FileSource(first), FileSource(second)])]
    assert told == [("a.jsonl", [1, 2, 3]), ("b.jsonl", [1, 2]), ("a.jsonl", [4])]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "x.jsonl", tmp_path / "b" / "x.jsonl", tmp_path / "y.jsonl"]
    assert [source.topic for source in file_sources(paths)] == [str(paths[0]), str(paths[1]), "y.jsonl"]
    with pytest.raises(InputError, match="named twice"):
        file_sources([paths[0], paths[0]])
    with pytest.raises(InputError, match="no file"):
        file_sources([])


def test_a_paced_replay_takes_as_long_as_the_shop_at_that_speed(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    many = [event for n in range(60) for event in story("a: page+0s", start_ms=START_MS + n * 2_000)]
    write(path, [{**event, "event_id": str(n)} for n, event in enumerate(many)])
    began = time.monotonic()
    replay_file(path, ReplayOptions(speed=600, progress=False))
    assert time.monotonic() - began >= 0.03


def test_files_that_cannot_be_written_are_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="directory that exists"):
        replay_file(tmp_path / "absent", ReplayOptions(rows=tmp_path / "no" / "rows.jsonl", progress=False))


def test_a_replay_that_fails_leaves_no_rows_behind(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    with pytest.raises(InputError):
        replay_file(tmp_path / "absent", ReplayOptions(rows=rows, progress=False))
    assert list(tmp_path.iterdir()) == []


# Topics


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with embedded_broker() as told:
        yield told


async def produce(bootstrap: str, records: list[tuple[str, int, bytes | None, bytes, int]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)
    await producer.start()
    try:
        sent = [
            await producer.send(topic, value, key=key, partition=partition, timestamp_ms=moment)
            for topic, partition, key, value, moment in records
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def fill(bootstrap: str, name: str, log: list[Any], partitions: int) -> EngineSpec:
    """Write a shop's log to topics of its own; the spec names them."""
    topics = {record.topic: f"{name}-{record.topic}" for record in log}
    plans = [TopicPlan(topic, partitions, 1, {}) for topic in topics.values()]
    asyncio.run(create_topics({"bootstrap_servers": bootstrap}, plans))
    told = [
        (topics[each.topic], sum(each.key or b"") % partitions, each.key, each.value, each.append_ms) for each in log
    ]
    asyncio.run(produce(bootstrap, told))
    return EngineSpec(sources=tuple(SourceSpec(topic) for topic in sorted(topics.values())))


def options(bootstrap: str, spec: EngineSpec, **more: Any) -> ReplayOptions:
    return ReplayOptions(
        engine=spec, client_args={"bootstrap_servers": bootstrap}, monitor=JUDGE, progress=False, **more
    )


def test_topics_of_one_partition_give_the_rows_of_the_same_records_in_a_driver(
    bootstrap: str, short_log: list[Any], tmp_path: Path
) -> None:
    spec = fill(bootstrap, "single", short_log, 1)
    rows = tmp_path / "rows.jsonl"
    until = START_MS + 40 * MINUTE
    replayed = replay_topics(options(bootstrap, spec, until_ms=until, rows=rows))
    assert rows.read_bytes() == _driven(short_log, spec, until)
    assert replayed.until_ms == until


def _driven(log: list[Any], spec: EngineSpec, until_ms: int) -> bytes:
    """The rows up to a moment of a log that is pushed record by record."""
    from streams.engine.batch import Batch

    lines: list[bytes] = []

    class Sink(Listener):
        def settled(self, window: Any) -> None:
            if window.end_ms <= until_ms:
                lines.extend(encode_row(row) + b"\n" for row in final_rows(window))

    driver = Driver(spec, [0], listener=Sink())
    names = {source.topic.partition("-")[2]: source.topic for source in spec.sources}
    closing = until_ms + changing_ms(spec)
    for topic in names.values():
        records = [each for each in log if names[each.topic] == topic]
        kept = []
        for offset, each in enumerate(records):
            if each.append_ms >= closing:
                break
            kept.append((offset, each))
        for offset, each in kept:
            driver.push(Batch(topic, 0, [offset], [each.append_ms], [each.key], [each.value]))
        driver.caught_up(topic, 0)
    driver.idle(0, closing)
    return b"".join(lines)


def test_a_range_reads_what_carts_and_sessions_need_and_tells_the_windows_of_the_range_alone(
    bootstrap: str, short_log: list[Any], tmp_path: Path
) -> None:
    spec = fill(bootstrap, "ranged", short_log, 3)
    full, part = tmp_path / "full.jsonl", tmp_path / "part.jsonl"
    since, until = START_MS + 20 * MINUTE, START_MS + 40 * MINUTE
    # Silence behind the log's end closes the cohorts of its last quarter in both.
    replay_topics(options(bootstrap, spec, until_ms=until + 10 * MINUTE, rows=full))
    replayed = replay_topics(options(bootstrap, spec, since_ms=since, until_ms=until, rows=part))
    assert replayed.windows == 20
    told = part.read_bytes().splitlines()
    inside = [line for line in full.read_bytes().splitlines() if _within(line, since, until)]
    assert told == inside
    assert replayed.missing_ms == needed_ms(spec) - 20 * MINUTE + (replayed.read_from_ms or 0) - START_MS


def _within(line: bytes, since: int, until: int) -> bool:
    row = decode_row(line)
    return since <= row.start_ms and row.end_ms <= until


def test_partitions_add_up_to_the_shop(bootstrap: str, short_log: list[Any], tmp_path: Path) -> None:
    specs = [fill(bootstrap, f"sum{n}", short_log, n) for n in (1, 4)]
    outs = [tmp_path / f"{n}.jsonl" for n in (1, 4)]
    for spec, rows in zip(specs, outs, strict=True):
        replay_topics(options(bootstrap, spec, rows=rows))
    for counter in ("sessions", "reached.paid", "orders_paid", "carts_opened", "revenue_minor.CNY"):
        one, four = whole_sum(outs[0], counter), whole_sum(outs[1], counter)
        # Which of the last records' windows close depends on each partition's own time.
        assert one > 0
        assert abs(one - four) <= 0.01 * one, counter


def test_what_the_live_run_counted_and_what_fired_is_laid_beside(bootstrap: str, shop_log: list[Any]) -> None:
    spec = fill(bootstrap, "live", shop_log, 1)
    live = _live_rows(shop_log, spec)
    since, until = START_MS + 100 * MINUTE, START_MS + 128 * MINUTE
    found = replay_topics(options(bootstrap, spec)).incidents[0]
    plans = [TopicPlan("live-kpi", 1, 1, {}), TopicPlan("live-anomalies", 1, 1, {})]
    asyncio.run(create_topics({"bootstrap_servers": bootstrap}, plans))
    asyncio.run(
        produce(bootstrap, [("live-kpi", 0, row_key(row), encode_row(row), row.end_ms + 30_000) for row in live])
    )
    asyncio.run(produce(bootstrap, [("live-kpi", 0, b"?", b"no row", until)]))
    key, value = encode_incident(found)
    asyncio.run(
        produce(bootstrap, [("live-anomalies", 0, key, value, until), ("live-anomalies", 0, b"?", b"?", until)])
    )
    topics = {"kpi_topic": "live-kpi", "anomalies_topic": "live-anomalies"}
    replayed = replay_topics(options(bootstrap, spec, since_ms=since, until_ms=until, **topics))
    before = [row for row in live if row.kind == "window" and not row.segment and row.end_ms <= since]
    assert replayed.learned_windows == len(before) >= 100
    assert [each.id for each in replayed.past.incidents] == [found.id]
    assert replayed.past.unreadable == 2
    assert replayed.incidents[0].onset_ms == found.onset_ms
    both = compared(replayed.rows, replayed.past.rows)
    assert (both.different, both.only_then) == ([], 0)
    assert both.same > 500


def _live_rows(log: list[Any], spec: EngineSpec) -> list[Any]:
    from streams.engine.batch import Batch
    from streams.engine.engine import Engine

    engine = Engine(spec, 0)
    for source in spec.sources:
        records = [record for record in log if source.topic.endswith(f"-{record.topic}")]
        appended, keys = [record.append_ms for record in records], [record.key for record in records]
        values = [record.value for record in records]
        engine.push(Batch(source.topic, 0, range(len(records)), appended, keys, values))
    return engine.drain().rows


def test_silence_up_to_the_end_of_the_range_is_told_as_zeros(bootstrap: str, shop_log: list[Any]) -> None:
    spec = fill(bootstrap, "silent", shop_log[:500], 2)
    replayed = replay_topics(options(bootstrap, spec, until_ms=START_MS + 60 * MINUTE))
    points = replayed.series["sessions", ()]
    assert points[-1].end_ms == START_MS + 60 * MINUTE
    assert points[-1].value == 0


def test_an_end_in_the_future_makes_no_silence(bootstrap: str) -> None:
    now = round(time.time() * 1000) - 10 * MINUTE
    log = list(Shop(ShopSpec(seed=2, sessions_per_minute=30, rhythm=0)).events(now, now + 10 * MINUTE))
    spec = fill(bootstrap, "future", log, 1)
    replayed = replay_topics(options(bootstrap, spec, until_ms=now + 600 * MINUTE))
    assert 5 <= replayed.windows <= 12


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="not a speed"):
        ReplayOptions(speed=0)
    with pytest.raises(InputError, match="nothing lies between"):
        ReplayOptions(since_ms=5, until_ms=5)
    assert ReplayOptions().monitor == MonitorSpec()
    assert ReplayOptions().monitor.kpis == CATALOGUE
