from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from detectors.base import Blame
from detectors.incidents import Alert, IncidentBook, Step

MINUTE = 60_000
PAYMENT = Alert("payment_success_ratio", (), "drop", 10 * MINUTE, True, 2.0, 0.93, 0.71, rank=1)
ORDERS = Alert("orders", (), "drop", 11 * MINUTE, True, 5.0, 40.0, 28.0, "count", rank=18)


def book() -> IncidentBook:
    return IncidentBook(ZoneInfo("UTC"), "CNY")


def test_kpis_that_fall_together_are_one_incident_named_after_the_cause():
    incidents = book().update(12 * MINUTE, [ORDERS, PAYMENT])
    assert len(incidents) == 1
    assert incidents[0].kpis == ("orders", "payment_success_ratio")
    assert incidents[0].summary == "payment success 93.0 % → 71.0 % since 00:10"


def test_an_incident_opens_goes_on_and_recovers_under_one_id():
    stories = book()
    told = [
        *stories.update(12 * MINUTE, [PAYMENT]),
        *stories.update(13 * MINUTE, [PAYMENT]),
        *stories.update(14 * MINUTE, [replace(PAYMENT, active=False)]),
    ]
    assert [one.state for one in told] == ["open", "ongoing", "recovered"]
    assert len({one.id for one in told}) == 1
    assert told[-1].ended_ms == 14 * MINUTE
    assert (told[-1].onset_ms, told[-1].detected_ms) == (10 * MINUTE, 12 * MINUTE)


def test_the_id_is_the_same_when_the_rows_are_read_again():
    assert book().update(12 * MINUTE, [PAYMENT])[0].id == book().update(12 * MINUTE, [PAYMENT])[0].id


def test_it_recovers_only_when_every_alert_has_ended():
    stories = book()
    stories.update(12 * MINUTE, [PAYMENT, ORDERS])
    assert stories.update(13 * MINUTE, [replace(PAYMENT, active=False), ORDERS])[0].state == "ongoing"
    assert stories.update(14 * MINUTE, [replace(ORDERS, active=False)])[0].state == "recovered"


def test_what_an_open_incident_moves_joins_it_wherever_its_evidence_begins():
    for onset in (190, -20):
        stories = book()
        first = stories.update(12 * MINUTE, [PAYMENT])[0]
        told = stories.update(200 * MINUTE, [PAYMENT, replace(ORDERS, onset_ms=onset * MINUTE)])
        assert [(one.id, one.state) for one in told] == [(first.id, "ongoing")]


@pytest.mark.parametrize(("minute", "joins"), [(120, True), (121, False)])
def test_behind_its_end_an_incident_takes_in_what_is_mostly_of_its_time(minute: int, joins: bool):
    stories = book()
    first = stories.update(12 * MINUTE, [PAYMENT])[0]
    stories.update(80 * MINUTE, [replace(PAYMENT, active=False)])
    told = stories.update(minute * MINUTE, [replace(ORDERS, onset_ms=-20 * MINUTE)])
    assert (told[0].id == first.id) == joins


def test_another_alert_of_its_step_hours_later_is_an_incident_of_its_own():
    stories = book()
    first = stories.update(12 * MINUTE, [PAYMENT])[0]
    late = replace(PAYMENT, kpi="payment_answer_ratio", onset_ms=190 * MINUTE)
    told = stories.update(200 * MINUTE, [PAYMENT, late])
    assert [one.state for one in told] == ["ongoing", "open"]
    assert told[1].id != first.id


def test_a_delayed_kpi_joins_the_incident_in_which_its_onset_lies():
    stories = book()
    stories.update(12 * MINUTE, [PAYMENT])
    stories.update(40 * MINUTE, [replace(PAYMENT, active=False)])
    abandoned = Alert("cart_abandonment_ratio", (), "rise", 15 * MINUTE, True, 1.5, 0.6, 0.8, rank=14)
    told = stories.update(46 * MINUTE, [abandoned])
    assert [one.state for one in told] == ["ongoing"]
    assert told[0].kpis == ("cart_abandonment_ratio", "payment_success_ratio")


def test_an_incident_ended_when_its_delayed_kpi_says_and_not_when_it_said_so():
    stories = book()
    abandoned = Alert(
        "cart_abandonment_ratio", (), "rise", 11 * MINUTE, True, 1.5, 0.6, 0.8, rank=14, delay_ms=30 * MINUTE
    )
    stories.update(12 * MINUTE, [PAYMENT])
    stories.update(26 * MINUTE, [replace(PAYMENT, active=False), abandoned])
    told = stories.update(57 * MINUTE, [replace(abandoned, active=False)])
    assert [(one.state, one.ended_ms) for one in told] == [("recovered", 27 * MINUTE)]


def test_segments_are_named_and_the_whole_comes_first():
    inside = replace(PAYMENT, segment=(("payment_provider", "psp-1"),), score=9.0)
    assert book().update(12 * MINUTE, [inside])[0].summary.startswith("payment success in payment_provider=psp-1 ")
    assert book().update(12 * MINUTE, [inside, PAYMENT])[0].summary.startswith("payment success 93.0 %")


def test_silence_is_told_by_the_count_that_stopped():
    share = replace(PAYMENT, kind="silence")
    count = replace(ORDERS, kpi="sessions", kind="silence", expected=120.0, observed=0.0)
    told = book().update(12 * MINUTE, [share, count])[0]
    assert told.summary == "no events arrive: sessions 120 a minute → 0.0 a minute since 00:10"


def test_money_follows_from_orders_and_their_usual_value():
    lost = replace(PAYMENT, orders_lost=(31.0, 26.0, 36.0))
    told = book().update(12 * MINUTE, [lost], order_value_minor=20_000)[0]
    assert (told.orders_lost, told.orders_lost_low, told.orders_lost_high) == (31.0, 26.0, 36.0)
    assert (told.money_lost_minor, told.currency) == (620_000, "CNY")
    assert told.summary.endswith("; about 31 orders, 6,200 CNY lost")


def test_nothing_standing_changes_nothing():
    assert book().update(12 * MINUTE, []) == []
    assert book().update(12 * MINUTE, [replace(PAYMENT, active=False)]) == []


DWELL = Alert("dwell_seconds", (), "drop", 10 * MINUTE, True, 1.2, 55.0, 44.0, "seconds", rank=13)
CHECKOUT = Alert("checkout_ratio", (("device", "ios"),), "drop", 10 * MINUTE, True, 3.0, 0.53, 0.15, rank=2)


@pytest.mark.parametrize("standing", [DWELL, CHECKOUT, replace(ORDERS, onset_ms=0)], ids=lambda one: one.kpi)
def test_a_payment_outage_while_another_incident_is_open_is_an_incident_of_its_own(standing: Alert):
    stories = book()
    first = stories.update(12 * MINUTE, [standing])[0]
    outage = replace(PAYMENT, onset_ms=25 * MINUTE)
    told = stories.update(26 * MINUTE, [standing, outage])
    assert {one.id: one.state for one in told}[first.id] == "ongoing"
    opened = [one for one in told if one.state == "open"]
    assert [(one.kpis, one.onset_ms) for one in opened] == [(("payment_success_ratio",), 25 * MINUTE)]


def test_what_an_outage_moves_joins_it_and_not_the_incident_that_was_open_before():
    stories = book()
    stories.update(12 * MINUTE, [CHECKOUT])
    outage = replace(PAYMENT, onset_ms=25 * MINUTE)
    stories.update(26 * MINUTE, [CHECKOUT, outage])
    orders = replace(ORDERS, onset_ms=24 * MINUTE)
    inside = replace(outage, segment=(("device", "ios"),))
    told = stories.update(28 * MINUTE, [CHECKOUT, outage, inside, orders])
    assert sorted(one.kpis for one in told) == [("checkout_ratio",), ("orders", "payment_success_ratio")]


def test_a_cause_that_is_told_after_its_effect_joins_it():
    stories = book()
    first = stories.update(12 * MINUTE, [ORDERS])[0]
    told = stories.update(13 * MINUTE, [ORDERS, PAYMENT])
    assert [(one.id, one.state) for one in told] == [(first.id, "ongoing")]
    assert told[0].summary.startswith("payment success")


def test_steps_that_fail_at_one_moment_are_one_incident():
    stories = book()
    stories.update(12 * MINUTE, [CHECKOUT])
    told = stories.update(13 * MINUTE, [CHECKOUT, replace(PAYMENT, onset_ms=12 * MINUTE)])
    assert [one.state for one in told] == ["ongoing"]


def test_another_provider_that_fails_hours_later_is_an_incident_of_its_own_and_a_flapping_one_is_not():
    stories = book()
    first = replace(PAYMENT, segment=(("payment_provider", "psp-3"),))
    second = replace(PAYMENT, segment=(("payment_provider", "psp-1"),))
    stories.update(12 * MINUTE, [first, CHECKOUT])
    told = stories.update(200 * MINUTE, [first, replace(second, onset_ms=199 * MINUTE)])
    assert [one.kpis for one in told if one.state == "open"] == [("payment_success_ratio",)]
    again = replace(CHECKOUT, onset_ms=205 * MINUTE)
    assert all(one.state != "open" for one in stories.update(206 * MINUTE, [first, again]))


BOTH = (
    Blame((("device", "ios"), ("payment_method", "alipay")), 0.52),
    Blame((("channel", "sem"),), 0.4, "mix"),
    Blame((("region", "CN-31"),), 0.08),
)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"attribution": BOTH},
            "; 52 % of the loss is device=ios × payment_method=alipay (rate), 40 % channel=sem (mix)",
        ),
        ({"attribution": BOTH[1:]}, ""),
        ({"attribution": BOTH[:1], "kind": "rise"}, "; 52 % of the rise is device=ios × payment_method=alipay (rate)"),
        ({"step": Step("cart", "checkout", 0.92)}, ", 92 % of it between cart and checkout"),
        ({"step": Step("cart", "checkout", 0.49)}, ""),
        ({"segment": BOTH[1].segment, "attribution": BOTH[1:2]}, ""),
    ],
    ids=["two causes", "less than half", "a rise", "a step", "no step in particular", "the segment it is about"],
)
def test_the_sentence_names_what_holds_at_least_half_of_the_loss(change, told):
    (incident,) = book().update(12 * MINUTE, [replace(PAYMENT, **change)])
    where = " in channel=sem" if "segment" in change else ""
    assert incident.summary == f"payment success{where} 93.0 % → 71.0 % since 00:10{told}"


def test_what_was_located_stays_with_an_incident_that_is_over():
    stories = book()
    stories.update(12 * MINUTE, [replace(PAYMENT, attribution=BOTH)])
    (over,) = stories.update(14 * MINUTE, [replace(PAYMENT, active=False)])
    assert over.attribution == BOTH
    assert "52 % of the loss" in over.summary
