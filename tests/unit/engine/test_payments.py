"""Orders and payments: once an order, once a payment, money at the first word."""

from tests.support.stories import story
from tests.unit.engine.telling import moments, rows_of, totals, values_of


def test_each_step_of_an_order_counts_once() -> None:
    told = totals(
        rows_of(
            story(
                "a: page+0s order+1s[order_id=o] order+2s[order_id=o] "
                "success+3s[order_id=o] paid+4s[order_id=o] cancel+5s[order_id=o]"
            )
        )
    )
    assert {name: told[name] for name in ("orders_placed", "orders_attempted", "orders_paid", "orders_cancelled")} == {
        "orders_placed": 1,
        "orders_attempted": 1,
        "orders_paid": 1,
        "orders_cancelled": 1,
    }
    assert "orders_orphan" not in told


def test_an_order_without_an_id_is_one_of_its_own_and_a_payment_without_one_is_none() -> None:
    told = totals(
        rows_of(
            story(
                "a: paid+1s[amount=7.00,currency=EUR] "
                "paid+2s[amount=5.00,currency=EUR] success+3s[amount=1.00,currency=EUR]"
            )
        )
    )
    assert (told["orders_paid"], told["orders_orphan"], told["revenue_minor.EUR"]) == (2, 2, 1200)
    assert (told.get("orders_attempted"), told["payments_succeeded"]) == (None, 1)


def test_an_order_is_valued_at_its_first_paid_event_with_an_amount() -> None:
    rows = rows_of(
        story(
            "a: success+0s[order_id=o] paid+65s[order_id=o,amount=19.90,currency=eur] "
            "paid+2m[order_id=o,amount=1,currency=EUR]"
        )
    )
    assert moments(rows, "revenue_minor.EUR") == {60: 1990}
    assert moments(rows, "orders_paid") == {0: 1}


def test_refunds_add_up_over_all_their_events() -> None:
    told = totals(
        rows_of(story("a: refund+0s[order_id=o,amount=3,currency=JPY] refund+1s[order_id=o,amount=4,currency=JPY]"))
    )
    assert (told["orders_refunded"], told["refund_minor.JPY"]) == (1, 7)


def test_outcomes_count_once_a_payment_and_kind() -> None:
    told = totals(
        rows_of(
            story(
                "a: attempt+0s attempt+1s fail+2s[payment_id=p,decline=soft] fail+3s[payment_id=p,decline=soft] "
                "fail+4s[payment_id=p] success+5s[payment_id=p] fail+6s fail+7s"
            )
        )
    )
    assert (told["payment_attempts"], told["payments_declined_soft"]) == (2, 1)
    assert (told["payments_declined_hard"], told["payments_succeeded"]) == (3, 1)


def test_an_order_is_remembered_for_its_memory_after_its_last_event() -> None:
    within = totals(rows_of(story("a: paid+0s[order_id=o] refund+10h[order_id=o] paid+34h[order_id=o]")))
    beyond = totals(rows_of(story("a: paid+0s[order_id=o] refund+10h[order_id=o] paid+34h1ms[order_id=o]")))
    assert (within["orders_paid"], beyond["orders_paid"]) == (1, 2)


def test_a_payment_by_the_server_belongs_to_the_channel_and_the_provider_of_its_order() -> None:
    rows = rows_of(
        story("a: page+0s[channel=sem] attempt+1s[order_id=o,payment_provider=psp] | server: paid+2h[order_id=o]")
    )
    assert values_of(rows, "channel", "orders_paid") == {"sem": 1}
    assert values_of(rows, "payment_provider", "orders_paid") == {"psp": 1}
    assert values_of(rows, "payment_method", "orders_paid") == {"unknown": 1}


def test_the_orphan_is_judged_at_the_first_event_that_is_not_of_the_back_office() -> None:
    assert "orders_orphan" not in totals(rows_of(story("a: cancel+0s[order_id=o] page+1s order+2s[order_id=o]")))
    assert totals(rows_of(story("a: order+0s[order_id=o] page+1s paid+2s[order_id=o]")))["orders_orphan"] == 1
