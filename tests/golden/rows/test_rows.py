"""Short streams and the whole rows file they give: every row and every number was worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streams.engine.spec import EngineSpec
from streams.replay import ReplayOptions, replay_file
from tests.support.stories import START_MS, story, to_lines

MINUTE = 60_000
SPEC = EngineSpec(session_dimensions=("device",), payment_dimensions=(), product_dimensions=())
Expected = tuple[int, str, str, dict[str, int], float | None]
"""Minute since the start, kind, device (empty: the whole), counters, visitors."""


def rows_file(tmp_path: Path, lines: list[bytes], spec: EngineSpec = SPEC) -> list[dict[str, Any]]:
    events, rows = tmp_path / "events.jsonl", tmp_path / "rows.jsonl"
    events.write_bytes(b"\n".join(lines) + b"\n")
    replay_file(events, ReplayOptions(engine=spec, rows=rows, progress=False))
    return [json.loads(line) for line in rows.read_bytes().splitlines()]


def line_of(expected: Expected) -> dict[str, Any]:
    minute, kind, device, counters, visitors = expected
    start = START_MS + minute * MINUTE
    told: dict[str, Any] = {
        "counters": counters,
        "end_ms": start + MINUTE,
        "partition": None,
        "revision": 0,
        "row": kind,
        "segment": {"device": device} if device else {},
        "spec": SPEC.fingerprint,
        "start_ms": start,
    }
    if kind == "cohort":
        told["horizon_ms"] = 15 * MINUTE
    if visitors is not None:
        told["visitors"] = visitors
    return told


def check(tmp_path: Path, lines: list[bytes], expected: list[Expected]) -> None:
    told = rows_file(tmp_path, lines)
    for row in told:
        # The sketch is checked by the estimate beside it.
        assert ("visitors_sketch" in row) == ("visitors" in row)
        row.pop("visitors_sketch", None)
    assert told == [line_of(each) for each in expected]


def test_a_buyer_and_a_passer_by(tmp_path: Path) -> None:
    """The buyer's last act is at 90 s, so the session ends in minute 31; the passer-by bounces in minute 30.

    The cart is paid at 95 s and kept half an hour later. Between stream time (95 s) and those timers nothing counts,
    so there are no rows.
    """
    money = "amount=199.00,currency=CNY"
    events = story(
        "a: page+0s[device=ios] view+5s cart+10s checkout+70s order+80s[order_id=o] "
        f"attempt+90s[order_id=o,payment_id=p] success+95s[order_id=o,payment_id=p,{money}] | b: page+30s"
    )
    first = {"page_views": 1, "product_views": 1, "reached.product": 1, "reached.cart": 1, "sessions": 1}
    cart = {"cart_adds": 1, "cart_items": 1, "carts_opened": 1}
    paid = {
        "reached.checkout": 1, "reached.ordered": 1, "reached.paid": 1, "orders_placed": 1, "orders_attempted": 1,
        "orders_paid": 1, "payment_attempts": 1, "payments_succeeded": 1, "carts_converted": 1,
        "orders_valued.CNY": 1, "revenue_minor.CNY": 19_900,
    }  # fmt: skip
    cohort = {f"cohort.{stage}@15m": 1 for stage in ("sessions", "product", "cart", "checkout", "ordered", "paid")}
    bounced = {"sessions_ended": 1, "bounces": 1, "ended_page_views": 1}
    ended = {"sessions_ended": 1, "ended_page_views": 1, "ended_dwell_ms": 90_000, "carts_kept": 1}
    check(
        tmp_path,
        to_lines(events),
        [
            (0, "window", "", {**first, **cart, "sessions": 2, "page_views": 2}, 2.0),
            (0, "window", "ios", {**first, **cart}, 1.0),
            (0, "window", "unknown", {"sessions": 1, "page_views": 1}, 1.0),
            (0, "cohort", "", {**cohort, "cohort.sessions@15m": 2}, None),
            (0, "cohort", "ios", cohort, None),
            (0, "cohort", "unknown", {"cohort.sessions@15m": 1}, None),
            (1, "window", "", paid, 1.0),
            (1, "window", "ios", paid, 1.0),
            (30, "window", "", bounced, None),
            (30, "window", "unknown", bounced, None),
            (31, "window", "", ended, None),
            (31, "window", "ios", ended, None),
        ],
    )


def test_a_late_cart_is_added_to_its_window_and_counted_where_it_arrived(tmp_path: Path) -> None:
    """At 3 min minute 0 is closed (85 s are enough). The late cart of 20 s joins the open session, does not extend it.

    Minutes 1 and 2 are zeros told by the whole. The session ends at 30 min sharp, which is in minute 30, with the
    cart's idleness (20 s + 30 min); it is no bounce. The cart is abandoned a day after 20 s.
    """
    events = story("a: view+0s[device=ios] | c: view+3m[device=web]") + story("a: cart+20s[event_id=late]")
    seen = {"product_views": 1, "reached.product": 1, "sessions": 1}
    minute_0 = {**seen, "reached.cart": 1, "cart_adds": 1, "cart_items": 1, "carts_opened": 1}
    cohort = {"cohort.sessions@15m": 1, "cohort.product@15m": 1}
    minute_30 = {"sessions_ended": 1, "carts_idle": 1}
    bounced = {"sessions_ended": 1, "bounces": 1}
    check(
        tmp_path,
        to_lines(events),
        [
            (0, "window", "", minute_0, 1.0),
            (0, "window", "ios", minute_0, 1.0),
            (0, "cohort", "", {**cohort, "cohort.cart@15m": 1}, None),
            (0, "cohort", "ios", {**cohort, "cohort.cart@15m": 1}, None),
            (1, "window", "", {}, None),
            (2, "window", "", {}, None),
            (3, "window", "", {**seen, "late": 1}, 1.0),
            (3, "window", "web", seen, 1.0),
            (3, "cohort", "", cohort, None),
            (3, "cohort", "web", cohort, None),
            (30, "window", "", minute_30, None),
            (30, "window", "ios", minute_30, None),
            (33, "window", "", bounced, None),
            (33, "window", "web", bounced, None),
            (24 * 60, "window", "", {"carts_abandoned": 1}, None),
            (24 * 60, "window", "ios", {"carts_abandoned": 1}, None),
        ],
    )


def test_a_window_of_which_only_a_correction_exists_has_a_row(tmp_path: Path) -> None:
    """The first accepted record lies in minute 5, so the late one of minute 2 finds no row there, and no session.

    It opens none either: it counts its product view, and its reach of nothing.
    """
    events = story("a: view+5m view+8m") + story("b: view+2m[event_id=late]")
    seen = {"product_views": 1, "reached.product": 1, "sessions": 1}
    ended = {"sessions_ended": 1, "ended_dwell_ms": 180_000}
    cohort = {"cohort.sessions@15m": 1, "cohort.product@15m": 1}
    check(
        tmp_path,
        to_lines(events),
        [
            (2, "window", "", {"product_views": 1}, 1.0),
            (2, "window", "unknown", {"product_views": 1}, 1.0),
            (5, "window", "", seen, 1.0),
            (5, "window", "unknown", seen, 1.0),
            (5, "cohort", "", cohort, None),
            (5, "cohort", "unknown", cohort, None),
            (6, "window", "", {}, None),
            (7, "window", "", {}, None),
            (8, "window", "", {"product_views": 1, "late": 1}, 1.0),
            (8, "window", "unknown", {"product_views": 1}, 1.0),
            (38, "window", "", ended, None),
            (38, "window", "unknown", ended, None),
        ],
    )


def test_what_is_rejected_or_repeated_is_counted_for_the_whole_in_the_window_of_stream_time(tmp_path: Path) -> None:
    """The first line comes before any time, so it counts in the first window; the copy moves nothing.

    The record of two hours before is too late and leaves time alone. The page view with a bad amount counts;
    one product view and one page view are still a bounce.
    """
    view, *_ = to_lines(story("a: view+10s[device=ios]"))
    page, old = to_lines(story("a: page+70s[event_id=x,amount=many]")), to_lines(story("b: view+0s"))
    early = old[0].replace(str(START_MS).encode(), str(START_MS - 2 * 60 * MINUTE).encode())
    no_name = b'{"event_time": %d, "session_id": "a"}' % START_MS
    lines = [b"oops", view, view, *page, early, no_name]
    ended = {"sessions_ended": 1, "bounces": 1, "ended_page_views": 1, "ended_dwell_ms": 60_000}
    cohort = {"cohort.sessions@15m": 1, "cohort.product@15m": 1}
    seen = {"sessions": 1, "product_views": 1, "reached.product": 1}
    rejected = {"rejected.too_late": 1, "rejected.no_event_type": 1}
    check(
        tmp_path,
        lines,
        [
            (0, "window", "", {**seen, "rejected.not_json": 1, "duplicates": 1}, 1.0),
            (0, "window", "ios", seen, 1.0),
            (0, "cohort", "", cohort, None),
            (0, "cohort", "ios", cohort, None),
            (1, "window", "", {"page_views": 1, "field_defects.amount": 1, **rejected}, 1.0),
            (1, "window", "ios", {"page_views": 1}, 1.0),
            (31, "window", "", ended, None),
            (31, "window", "ios", ended, None),
        ],
    )


def test_the_bytes_of_a_row_are_as_written_down(tmp_path: Path) -> None:
    events, rows = tmp_path / "events.jsonl", tmp_path / "rows.jsonl"
    events.write_bytes(b"\n".join(to_lines(story("a: page+0s[device=手机]"))))
    spec = EngineSpec(session_dimensions=("device",), payment_dimensions=(), product_dimensions=())
    replay_file(events, ReplayOptions(engine=spec, rows=rows, progress=False))
    cohort = rows.read_bytes().splitlines()[3]
    assert cohort.decode() == (
        '{"counters":{"cohort.sessions@15m":1},"end_ms":1772366460000,"horizon_ms":900000,"partition":null,'
        f'"revision":0,"row":"cohort","segment":{{"device":"手机"}},"spec":"{spec.fingerprint}",'
        '"start_ms":1772366400000}'
    )
