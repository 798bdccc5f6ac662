"""Short stories with every number worked out by hand: the engine and the reference must both tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from streams.engine.rows import WHOLE
from streams.engine.spec import EngineSpec
from tests.invariants.driving import Cells, engine_cells, reference_cells
from tests.support.reference import SourceRecord
from tests.support.stories import START_MS, story, to_lines
from tests.support.strategies import Scenario

MINUTE = 60_000
Telling = Callable[[Scenario], Cells]


@pytest.fixture(params=[reference_cells, engine_cells], ids=["reference", "engine"])
def tell(request: pytest.FixtureRequest) -> Telling:
    telling: Telling = request.param
    return telling


def scenario(*events: dict[str, Any], spec: EngineSpec | None = None) -> Scenario:
    """A file with the events in the order given."""
    lines = tuple(SourceRecord("file", n, None, None, line) for n, line in enumerate(to_lines(events)))
    return Scenario(spec or EngineSpec(), (lines,), is_file=True)


def whole(cells: Cells, kind: str = "window") -> Counter[str]:
    """The counters of the whole over all windows."""
    total: Counter[str] = Counter()
    for (row, _, _, segment), (counters, _) in cells.items():
        if row == kind and segment == WHOLE:
            total.update(counters)
    return total


def at(cells: Cells, elapsed_ms: int, *segment: tuple[str, str]) -> dict[str, int]:
    """The counters of the window that holds the moment."""
    moment = START_MS + elapsed_ms
    return cells.get(("window", 0, moment - moment % MINUTE, segment), ({}, 0.0))[0]


def test_a_purchase_reaches_every_stage_and_keeps_its_cart(tell: Telling) -> None:
    money = "amount=19.90,currency=EUR"
    cells = tell(
        scenario(
            *story(
                "a: page+0s view+5s cart+10s checkout+70s order+80s[order_id=o] "
                f"attempt+90s[order_id=o,payment_id=p] success+95s[order_id=o,payment_id=p,{money}]"
            )
        )
    )
    assert at(cells, 0) == {
        "sessions": 1,
        "page_views": 1,
        "product_views": 1,
        "reached.product": 1,
        "reached.cart": 1,
        "cart_adds": 1,
        "cart_items": 1,
        "carts_opened": 1,
    }
    assert at(cells, 70_000) == {
        "reached.checkout": 1,
        "reached.ordered": 1,
        "reached.paid": 1,
        "orders_placed": 1,
        "orders_attempted": 1,
        "orders_paid": 1,
        "payment_attempts": 1,
        "payments_succeeded": 1,
        "carts_converted": 1,
        "orders_valued.EUR": 1,
        "revenue_minor.EUR": 1990,
    }
    assert at(cells, 95_000 + 30 * MINUTE) == {"carts_kept": 1} | {
        "sessions_ended": 1,
        "ended_page_views": 1,
        "ended_dwell_ms": 90_000,
    }
    assert whole(cells, "cohort") == {
        "cohort.sessions@15m": 1,
        **{f"cohort.{stage}@15m": 1 for stage in ("product", "cart", "checkout", "ordered", "paid")},
    }


def test_a_gap_equal_to_the_session_gap_still_joins_and_one_millisecond_more_does_not(tell: Telling) -> None:
    assert whole(tell(scenario(*story("a: page+0s page+30m"))))["sessions"] == 1
    assert whole(tell(scenario(*story("a: page+0s page+30m1ms"))))["sessions"] == 2


def test_one_page_is_a_bounce_and_two_are_not(tell: Telling) -> None:
    total = whole(tell(scenario(*story("a: page+0s | b: page+1s view+2s | c: page+2s page+3s | d: list+4s"))))
    assert (total["sessions_ended"], total["bounces"]) == (4, 2)


def test_skipped_stages_are_implied_once_and_counted_when_they_come(tell: Telling) -> None:
    total = whole(tell(scenario(*story("a: page+0s paid+5s[order_id=o] view+10s checkout+15s"))))
    stages = {name: n for name, n in total.items() if name.startswith(("reached", "implied"))}
    assert stages == {
        "implied.product": 1,
        "implied.cart": 1,
        "implied.checkout": 1,
        "implied.ordered": 1,
        "reached.paid": 1,
        "reached.product": 1,
        "reached.checkout": 1,
    }


def test_a_cart_left_idle_resumes_and_is_recovered_when_paid(tell: Telling) -> None:
    cells = tell(scenario(*story("a: cart+0s checkout+40m paid+41m[order_id=o]")))
    assert at(cells, 30 * MINUTE)["carts_idle"] == 1
    assert at(cells, 40 * MINUTE)["carts_resumed"] == 1
    assert (at(cells, 41 * MINUTE)["carts_converted"], at(cells, 41 * MINUTE)["carts_recovered"]) == (1, 1)
    assert whole(cells)["carts_kept"] == 0


def test_a_cart_is_idle_after_the_timeout_unless_an_event_comes_at_that_very_moment(tell: Telling) -> None:
    assert whole(tell(scenario(*story("a: cart+0s look+30m remove+31m"))))["carts_idle"] == 0
    assert whole(tell(scenario(*story("a: cart+0s look+30m1ms remove+31m"))))["carts_idle"] == 1


def test_a_payment_at_the_end_of_the_conversion_window_converts_and_one_later_finds_it_abandoned(
    tell: Telling,
) -> None:
    in_time = whole(tell(scenario(*story("a: cart+0s paid+24h[order_id=o]"))))
    assert (in_time["carts_converted"], in_time["carts_abandoned"]) == (1, 0)
    too_late = whole(tell(scenario(*story("a: cart+0s paid+24h1ms[order_id=o]"))))
    assert (too_late["carts_converted"], too_late["carts_abandoned"]) == (0, 1)


def test_a_cart_is_emptied_when_as_much_is_removed_as_was_added(tell: Telling) -> None:
    added = {"items": [{"quantity": 3}]}
    cart, some, rest = story("a: cart+0s remove+5s remove+9s")
    total = whole(tell(scenario(cart | added, some | {"items": [{"quantity": 2}]}, rest)))
    assert (total["carts_emptied"], total["carts_abandoned"], total["cart_items"]) == (1, 0, 3)


def test_an_order_that_two_topics_tell_is_one_order_and_one_paid_moment(tell: Telling) -> None:
    total = whole(
        tell(
            scenario(
                *story(
                    "a: cart+0s paid+10s[order_id=o,amount=7,currency=eur] cart+20s"
                    " success+30s[order_id=o,amount=7,currency=EUR]"
                )
            )
        )
    )
    assert (total["orders_paid"], total["revenue_minor.EUR"], total["orders_valued.EUR"]) == (1, 700, 1)
    assert (total["carts_opened"], total["carts_converted"], total["carts_abandoned"]) == (2, 1, 1)


def test_a_retry_after_a_soft_decline_is_a_new_attempt_of_the_same_order(tell: Telling) -> None:
    total = whole(
        tell(
            scenario(
                *story(
                    "a: page+0s attempt+1s[order_id=o,payment_id=p1] fail+2s[order_id=o,payment_id=p1,decline=soft]"
                    " attempt+3s[order_id=o,payment_id=p2] success+4s[order_id=o,payment_id=p2]"
                    " success+5s[order_id=o,payment_id=p2]"
                )
            )
        )
    )
    names = ("payment_attempts", "payments_declined_soft", "payments_succeeded", "orders_attempted", "orders_paid")
    assert [total[name] for name in names] == [2, 1, 1, 1, 1]


def test_a_payment_without_a_session_is_an_orphan_and_keeps_the_channel_its_order_knew(tell: Telling) -> None:
    cells = tell(
        scenario(
            *story("a: page+0s[channel=sem] order+1s[order_id=o] success+50m[order_id=o] | b: paid+2s[order_id=x]")
        )
    )
    assert whole(cells)["orders_orphan"] == 1
    assert at(cells, 50 * MINUTE, ("channel", "sem")) == {
        "orders_attempted": 1,
        "orders_paid": 1,
        "payments_succeeded": 1,
    }


def test_a_dimension_learned_later_counts_from_then_on_and_never_in_the_cohort(tell: Telling) -> None:
    cells = tell(scenario(*story("a: page+0s view+1s[device=ios] cart+2s[device=web]")))
    assert at(cells, 0, ("device", "unknown")) == {"sessions": 1, "page_views": 1}
    assert at(cells, 0, ("device", "ios"))["reached.cart"] == 1
    cohorts = {segment for kind, *_, segment in cells if kind == "cohort"}
    assert (("device", "unknown"),) in cohorts
    assert (("device", "ios"),) not in cohorts


def test_values_beyond_the_cap_are_other_and_known_ones_stay(tell: Telling) -> None:
    spec = EngineSpec(max_values=2)
    cells = tell(
        scenario(
            *story("a: page+0s[device=x] | b: page+1s[device=y] | c: page+2s[device=z] | d: page+3s[device=x]"),
            spec=spec,
        )
    )
    sessions = {v: at(cells, 0, ("device", v)).get("sessions") for v in ("x", "y", "z", "other", "unknown")}
    assert sessions == {"x": 2, "y": 1, "z": None, "other": 1, "unknown": None}


def test_a_copy_counts_as_duplicate_and_the_same_id_at_another_time_does_not(tell: Telling) -> None:
    (event,) = story("a: page+0s")
    total = whole(tell(scenario(event, event, {**event, "event_time": START_MS + 1})))
    assert (total["page_views"], total["duplicates"]) == (2, 1)


def test_behind_late_and_too_late_are_three_things(tell: Telling) -> None:
    """The clock at +2h puts the watermark at 1h59m55s: windows that end after 1h59m30s are still open."""
    times = ("1h59m", "1h58m59s", "1h", "59m59s999ms")
    clock = story("k: page+2h")
    others = [event | {"event_id": time} for time in times for event in story(f"{time}: page+{time}")]
    total = whole(tell(scenario(*clock, *others)))
    assert (total["behind_watermark"], total["late"], total["rejected.too_late"]) == (1, 2, 1)
    assert (total["page_views"], total["sessions"]) == (4, 2)


def test_a_late_event_joins_the_session_that_was_open_before_it_and_reaches_its_stage(tell: Telling) -> None:
    opening, late_cart, last = story("a: page+0s cart+60s page+10m")
    total = whole(tell(scenario(opening, last, late_cart)))
    assert (total["late"], total["reached.cart"], total["implied.product"], total["sessions"]) == (1, 1, 1, 1)
    assert (total["carts_opened"], total["cart_adds"]) == (1, 1)


def test_the_whole_has_a_row_of_zeros_for_a_quiet_minute(tell: Telling) -> None:
    cells = tell(scenario(*story("a: page+0s page+3m")))
    starts = [start for kind, _, start, segment in cells if kind == "window" and segment == WHOLE]
    assert sorted(starts) == [START_MS + n * MINUTE for n in (0, 1, 2, 3)] + [START_MS + 33 * MINUTE]
    assert at(cells, 2 * MINUTE) == {}


def test_a_category_counts_the_product_once_and_each_item_under_its_own(tell: Telling) -> None:
    (cart,) = story("a: cart+0s")
    items = [{"category": "shoes", "quantity": 2}, {"category": "hats"}, {"category": "shoes"}, {}]
    cells = tell(scenario(cart | {"items": items}))
    assert at(cells, 0)["cart_items"] == 5
    by_category = {v: at(cells, 0, ("category", v)) for v in ("shoes", "hats", "unknown")}
    assert by_category == {
        "shoes": {"cart_adds": 1, "cart_items": 3},
        "hats": {"cart_adds": 1, "cart_items": 1},
        "unknown": {"cart_adds": 1, "cart_items": 1},
    }


def test_a_fast_clock_is_clamped_up_to_the_limit_and_refused_beyond_it(tell: Telling) -> None:
    def ahead(key: str, ms: int) -> dict[str, Any]:
        (event,) = story(f"{key}: page+10m")
        return event | {"event_id": key, "append_time": event["event_time"] - ms}

    total = whole(tell(scenario(ahead("b", 300_000), ahead("a", 0), ahead("c", 300_001))))
    assert (total["sessions"], total["clamped"], total["rejected.future"]) == (2, 1, 1)


def test_money_is_kept_in_minor_units_of_its_currency_half_to_even(tell: Telling) -> None:
    (refund,) = story("a: refund+0s[order_id=o]")
    money = [("0.125", "EUR"), ("0.135", "EUR"), ("2.5", "JPY"), ("1.2345", "KWD"), (3, "XXQ")]
    events = [refund | {"event_id": f"r{n}", "amount": a, "currency": c} for n, (a, c) in enumerate(money)]
    total = whole(tell(scenario(*events)))
    assert {name: n for name, n in total.items() if name.startswith("refund")} == {
        "refund_minor.EUR": 12 + 14,
        "refund_minor.JPY": 2,
        "refund_minor.KWD": 1234,
        "refund_minor.XXQ": 300,
    }
    assert total["orders_refunded"] == 1
