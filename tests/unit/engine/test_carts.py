"""Carts: each counter once, each at its moment."""

from tests.support.stories import story
from tests.unit.engine.telling import moments, rows_of, totals, values_of

DAY = 24 * 3600


def test_a_cart_left_alone_is_idle_and_then_abandoned() -> None:
    rows = rows_of(story("a: cart+5s look+10m"))
    assert moments(rows, "carts_idle") == {40 * 60: 1}
    assert moments(rows, "carts_abandoned") == {DAY: 1}


def test_an_idle_cart_is_resumed_by_the_shopper_and_not_by_an_outcome() -> None:
    rows = rows_of(story("a: cart+0s fail+31m look+45m look+46m"))
    assert moments(rows, "carts_resumed") == {45 * 60: 1}


def test_a_cart_paid_after_it_was_idle_is_recovered_and_never_kept() -> None:
    told = totals(rows_of(story("a: cart+0s paid+2h[order_id=o-1]")))
    assert (told["carts_converted"], told["carts_recovered"], told.get("carts_kept")) == (1, 1, None)


def test_a_cart_paid_in_time_is_kept_one_timeout_after_the_payment() -> None:
    rows = rows_of(story("a: cart+0s paid+10m[order_id=o-1]"))
    assert moments(rows, "carts_kept") == {40 * 60: 1}
    assert "carts_idle" not in totals(rows)


def test_the_conversion_window_includes_its_last_moment_only() -> None:
    assert totals(rows_of(story("a: cart+0s paid+24h")))["carts_converted"] == 1
    late = totals(rows_of(story("a: cart+0s paid+24h1ms")))
    assert (late.get("carts_converted"), late["carts_abandoned"]) == (None, 1)


def test_a_payment_that_repeats_a_paid_order_or_payment_converts_nothing() -> None:
    told = totals(
        rows_of(
            story("a: paid+0s[order_id=o-1,payment_id=p-1] cart+1s paid+2s[order_id=o-1] success+3s[payment_id=p-1]")
        )
    )
    assert "carts_converted" not in told
    assert totals(rows_of(story("a: paid+0s cart+1s paid+2s")))["carts_converted"] == 1


def test_a_cart_is_emptied_when_the_removed_reach_the_added() -> None:
    events = story("a: cart+0s remove+5s remove+9s cart+20s")
    events[0]["items"] = [{"quantity": 2}]
    rows = rows_of(events)
    told = totals(rows)
    assert (told["carts_opened"], told["carts_emptied"], told["carts_abandoned"]) == (2, 1, 1)


def test_a_cart_outlives_its_session_and_remembers_what_the_key_told() -> None:
    rows = rows_of(story("a: cart+0s[channel=sem] page+2h[device=ios] paid+3h"))
    assert values_of(rows, "channel", "carts_converted") == {"sem": 1}
    assert values_of(rows, "device", "carts_converted") == {"ios": 1}
    assert values_of(rows, "device", "carts_idle") == {"unknown": 1}


def test_a_late_cart_waits_the_grace_before_it_counts_as_idle() -> None:
    late = story("a: cart+1m") + story("a: paid+20m", tail="x")
    late[1]["event_id"] = "e-late"
    rows = rows_of(story("b: page+55m") + late)
    assert totals(rows)["carts_converted"] == 1
    assert "carts_idle" not in totals(rows)


def test_a_late_cart_that_nothing_follows_is_idle_in_its_own_past() -> None:
    rows = rows_of(story("b: page+55m") + story("a: cart+1m") + story("b: page+70m", note="later"))
    idle = [row for row in rows if "carts_idle" in row.counters and not row.segment]
    assert [row.kind for row in idle] == ["correction"]
    assert moments(rows, "carts_idle") == {31 * 60: 1}
