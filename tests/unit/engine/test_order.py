"""Time: windows, watermark, late records and their corrections, duplicates, noted arrivals."""

import json
from random import Random

from streams.engine import Engine, Row, decode_row, encode_row
from streams.events import FIELD_NAMES, REASONS
from tests.support.stories import START_MS, VERBS, story, to_lines
from tests.unit.engine.telling import batch, file_spec, moments, rows_of, totals


def test_a_window_closes_when_the_watermark_reaches_its_end_and_grace() -> None:
    engine = Engine(file_spec(), 0)
    engine.push(batch(to_lines(story("a: page+0s page+89999ms"))))
    assert engine.drain().rows == []
    engine.push(batch(to_lines(story("b: page+90s")), first=2))
    assert [row.end_ms for row in engine.drain().rows if not row.segment] == [START_MS + 60_000]


def test_the_whole_has_a_row_for_each_window_and_comes_last() -> None:
    rows = rows_of(story("a: page+0s[device=ios] | b: page+4m"))
    windows = [row for row in rows if row.kind == "window" and row.start_ms < START_MS + 300_000]
    assert [row.start_ms - START_MS for row in windows if not row.segment] == [0, 60_000, 120_000, 180_000, 240_000]
    assert [row.counters for row in windows if row.start_ms == START_MS + 60_000] == [{}]
    assert not windows[4].segment


def test_a_late_record_goes_into_a_correction_and_one_too_late_is_rejected() -> None:
    events = story("a: page+2h") + story("b: view+61m") + story("c: view+60m")
    events[2]["event_time"] = START_MS + 3_600_000 - 1
    rows = rows_of(events)
    corrections = [row for row in rows if row.kind == "correction" and not row.segment]
    assert [(row.start_ms - START_MS, row.counters["product_views"], row.correction) for row in corrections] == [
        (3_660_000, 1, 1)
    ]
    told = totals(rows)
    assert (told["late"], told["rejected.too_late"], told["sessions"]) == (1, 1, 1)


def test_a_late_record_joins_the_open_session_that_opened_before_it() -> None:
    told = totals(rows_of(story("a: page+0s page+10m") + story("a: cart+3m[event_id=x]")))
    assert (told["reached.cart"], told["sessions"], told["cohort.cart@15m"]) == (1, 1, 1)
    alone = totals(rows_of(story("a: page+5m page+10m") + story("a: cart+3m[event_id=x]")))
    assert (alone.get("reached.cart"), alone["cart_adds"], alone["carts_opened"]) == (None, 1, 1)


def test_behind_the_watermark_is_counted_and_used() -> None:
    told = totals(rows_of(story("a: page+20s") + story("b: page+14999ms[event_id=x] | c: page+15s[event_id=y]")))
    assert (told["behind_watermark"], told["page_views"]) == (1, 3)


def test_records_are_processed_by_event_time_within_the_disorder() -> None:
    told = totals(rows_of(story("a: order+4s[order_id=o]") + story("a: page+2s[event_id=x]")))
    assert "orders_orphan" not in told


def test_a_copy_counts_as_duplicate_in_the_window_of_its_arrival() -> None:
    events = story("a: page+1s | b: page+40m")
    rows = rows_of([*events, events[0]])
    assert moments(rows, "duplicates") == {40 * 60: 1}
    assert totals(rows)["page_views"] == 2


def test_the_same_id_at_another_time_is_another_event() -> None:
    assert "duplicates" not in totals(rows_of(story("a: page+1s[event_id=x] page+2s[event_id=x]")))


def test_short_ids_at_neighbouring_times_are_told_apart() -> None:
    events = [
        dict(event, event_id=f"e-{number % 10}")
        for number, event in enumerate(story("a: " + " ".join(f"page+{ms}ms" for ms in range(400))))
    ]
    told = totals(rows_of(events))
    assert (told["page_views"], told.get("duplicates")) == (400, None)


def test_a_missing_id_is_the_content_unless_told_otherwise() -> None:
    events = [
        {key: value for key, value in event.items() if key != "event_id"} for event in story("a: page+1s page+1s")
    ]
    assert totals(rows_of(events))["duplicates"] == 1
    assert totals(rows_of(events, derive_event_id="none"))["page_views"] == 2


def test_an_event_ahead_of_its_append_time_is_clamped_and_far_ahead_rejected() -> None:
    engine = Engine(file_spec(), 0)
    lines = to_lines(story("a: page+0s page+61s page+5m59s page+5m59s1ms"))
    engine.push(batch(lines, append_ms=[START_MS + 59_000] * 4))
    outcome = engine.finish()
    assert [(reject.offset, reject.reason) for reject in outcome.rejects] == [(3, "future")]
    assert moments(outcome.rows, "page_views") == {0: 3}
    assert moments(outcome.rows, "clamped") == {0: 2}


def test_a_slow_clock_is_moved_by_its_skew_in_a_file_too() -> None:
    event = story("a: page+1s")[0] | {"sent_at": START_MS + 2_000, "append_time": START_MS + 302_000}
    assert moments(rows_of([event]), "page_views") == {300: 1}


def test_rejects_before_any_stream_time_go_to_the_first_window() -> None:
    engine = Engine(file_spec(), 0)
    engine.push(batch([b"nonsense", None, *to_lines(story("a: page+0s"))]))
    outcome = engine.finish()
    assert moments(outcome.rows, "rejected.not_json") == {0: 2}
    assert [(reject.offset, reject.reason) for reject in outcome.rejects] == [(0, "not_json"), (1, "not_json")]


def test_silence_lets_windows_close() -> None:
    engine = Engine(file_spec(), 0)
    engine.push(batch(to_lines(story("a: page+0s"))))
    engine.drain()
    assert [row.end_ms for row in engine.idle(START_MS + 90_000).rows if not row.segment] == [START_MS + 60_000]
    assert engine.idle(START_MS).rows == []


def test_an_absurd_event_time_does_not_fill_the_memory_with_rows_of_zeros() -> None:
    times = [0, 60_000, START_MS, START_MS + 5_000, 250_000_000_000_000]
    events = [story(f"s{number}: page+0s[event_id=e-{number}]", start_ms=ms)[0] for number, ms in enumerate(times)]
    rows = rows_of(events)
    assert totals(rows)["page_views"] == totals(rows)["sessions"] == 5
    assert totals(rows)["sessions_ended"] == 5
    assert len(rows) < 200
    pieces = Engine(file_spec(), 0)
    told = []
    for number, line in enumerate(to_lines(events)):
        pieces.push(batch([line], first=number))
        told += pieces.drain().rows
    assert told + pieces.finish().rows == rows


def test_nothing_that_is_sent_stops_the_engine() -> None:
    rng = Random(3)
    engine = Engine(file_spec(), 0)
    values = [
        "",
        "x",
        None,
        True,
        0,
        -1,
        10**12,
        10**30,
        1e300,
        [],
        {},
        [[]],
        "9" * 500,
        "1e12",
        "EUR",
        "\ud83d\ude00",
        START_MS,
    ]
    names = [*FIELD_NAMES, "channel", "category", "payment_method", " late"]
    lines = []
    for number in range(3_000):
        told = story(
            f"k{number % 9}: {rng.choice(sorted(VERBS))}+{rng.randint(0, 9_000)}s[event_id={number},order_id=o]"
        )[0]
        told |= {name: rng.choice(values) for name in rng.sample(names, rng.randint(0, 4))}
        line = json.dumps(told).encode()
        cut = rng.randrange(len(line)) if rng.random() < 0.1 else len(line)
        lines.append(line[:cut])
    engine.push(batch([*lines, b"[" * 5_000, b"{}", b"\x00\xff", b"null"]))
    outcome = engine.finish()
    assert all(decode_row(encode_row(row)).counters == row.counters for row in outcome.rows)
    counts = engine.counts
    rejected = sum(count for name, count in counts.items() if name.startswith("rejected."))
    assert (
        counts["records"] == 3_004 == counts["counted"] + counts["duplicates"] + counts.get("ad_reports", 0) + rejected
    )
    assert len(outcome.rejects) == rejected
    assert {name.removeprefix("rejected.") for name in counts if name.startswith("rejected.")} <= set(REASONS)


def test_a_sum_beyond_64_bits_is_written_as_the_largest() -> None:
    row = Row("window", 0, 60_000, (), 0, {"cart_items": 1 << 70}, "f")
    assert decode_row(encode_row(row)).counters == {"cart_items": (1 << 63) - 1}
