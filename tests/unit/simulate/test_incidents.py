"""Incidents: each does what it says to those it says, and nothing before it starts."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import orjson
import pytest

from streams.errors import InputError
from streams.simulate import IncidentSpec, Shop, ShopSpec, parse_incident
from streams.simulate.spec import IncidentKind

NOON_MS = 1_772_337_600_000
MINUTE_MS = 60_000
START_MS, END_MS = NOON_MS + 5 * MINUTE_MS + 4_321, NOON_MS + 20 * MINUTE_MS
SPEC = ShopSpec(seed=21, sessions_per_minute=120, rhythm=0, noise=0, late_ratio=0, poison_ratio=0)


def run(*incidents: IncidentSpec) -> list[dict]:
    records = Shop(ShopSpec(**{**fields(SPEC), "incidents": incidents})).events(START_MS, END_MS + 5 * MINUTE_MS)
    return [orjson.loads(record.value) for record in records]


def fields(spec: ShopSpec) -> dict:
    return {name: getattr(spec, name) for name in spec.__slots__}


@pytest.fixture(scope="module")
def calm() -> list[dict]:
    return run()


def count(events: list[dict], **facts: str) -> int:
    """Events inside the incident that have these facts."""
    start, end = "2026-03-01T04:05:04.321Z", "2026-03-01T04:20:00.000Z"
    return sum(
        start <= event["event_time"] < end and all(event.get(key) == value for key, value in facts.items())
        for event in events
    )


@pytest.mark.parametrize("kind", get_args(IncidentKind))
def test_nothing_before_an_incident_depends_on_it(kind):
    shop = Shop(ShopSpec(seed=21, sessions_per_minute=25, poison_ratio=0.01, late_ratio=0.01))
    struck = shop.with_incident(IncidentSpec(kind, START_MS, END_MS))
    before = list(shop.events(NOON_MS, START_MS))
    assert list(struck.events(NOON_MS, START_MS)) == before
    assert list(shop.events(START_MS, END_MS)) != list(struck.events(START_MS, END_MS))


def test_a_payment_outage_fails_nearly_all_payments(calm):
    events = run(IncidentSpec("payment_outage", START_MS, END_MS))
    assert count(events, event_type="payment_succeeded") < 0.2 * count(calm, event_type="payment_succeeded")
    assert count(events, reason="provider_unavailable") > 30


def test_an_outage_of_one_provider_leaves_the_others_alone(calm):
    events = run(IncidentSpec("payment_outage", START_MS, END_MS, (("payment_provider", "psp-2"),)))
    struck = {"event_type": "payment_succeeded", "payment_provider": "psp-2"}
    other = {"event_type": "payment_succeeded", "payment_provider": "psp-1"}
    assert count(events, **struck) < 0.35 * count(calm, **struck)
    assert count(events, **other) > 0.9 * count(calm, **other)


def test_a_rise_of_declines_turns_payments_away_for_good(calm):
    events = run(IncidentSpec("decline_rise", START_MS, END_MS, severity=0.4))
    assert count(events, decline="hard") > 3 * count(calm, decline="hard")


def test_a_hanging_provider_leaves_attempts_without_an_answer(calm):
    events = run(IncidentSpec("payment_hang", START_MS, END_MS, severity=0.9))
    answers = count(events, event_type="payment_succeeded") + count(events, event_type="payment_failed")
    assert answers < 0.5 * count(events, event_type="payment_attempted")


def test_a_broken_checkout_stops_one_device_only(calm):
    events = run(IncidentSpec("checkout_broken", START_MS, END_MS, (("device", "ios"),)))
    assert count(events, event_type="checkout_started", device="ios") < 0.4 * count(
        calm, event_type="checkout_started", device="ios"
    )
    assert count(events, event_type="checkout_started", device="android") == count(
        calm, event_type="checkout_started", device="android"
    )


def test_a_loss_of_tracking_takes_one_event_type_and_no_other(calm):
    events = run(IncidentSpec("tracking_loss", START_MS, END_MS, (("event_type", "add_to_cart"),)))
    assert count(events, event_type="add_to_cart") == 0
    assert count(events, event_type="checkout_started") == count(calm, event_type="checkout_started")


def test_a_stop_of_traffic_keeps_new_sessions_of_a_channel_away(calm):
    events = run(IncidentSpec("traffic_stop", START_MS, END_MS, (("channel", "sem"),), severity=1.0))
    last_quarter = "2026-03-01T04:16"
    assert sum(e.get("channel") == "sem" and e["event_time"][:16] >= last_quarter for e in events) < 0.7 * sum(
        e.get("channel") == "sem" and e["event_time"][:16] >= last_quarter for e in calm
    )
    assert count(events, channel="direct") == count(calm, channel="direct")


def test_bots_look_at_products_and_buy_nothing(calm):
    events = run(IncidentSpec("bots", START_MS, END_MS))
    assert count(events, event_type="product_view") > 3 * count(calm, event_type="product_view")
    assert count(events, event_type="add_to_cart") == count(calm, event_type="add_to_cart")


def test_a_campaign_brings_shoppers_of_its_channel_who_do_buy(calm):
    events = run(IncidentSpec("campaign", START_MS, END_MS, (("channel", "email"),)))
    assert count(events, event_type="page_view", channel="email") > 4 * count(
        calm, event_type="page_view", channel="email"
    )
    assert count(events, event_type="payment_succeeded") > 1.2 * count(calm, event_type="payment_succeeded")


def test_a_drift_grows_until_its_end(calm):
    events = run(IncidentSpec("drift", START_MS, END_MS, severity=1.0))

    def share(first: str, last: str) -> float:
        both = [
            sum(e["event_type"] == "checkout_started" and first <= e["event_time"][:16] < last for e in some)
            for some in (events, calm)
        ]
        return both[0] / both[1]

    assert share("2026-03-01T04:06", "2026-03-01T04:10") > share("2026-03-01T04:15", "2026-03-01T04:20") + 0.2


def test_silence_takes_everything_or_one_topic(calm):
    assert count(run(IncidentSpec("silence", START_MS, END_MS))) == 0
    events = run(IncidentSpec("silence", START_MS, END_MS, (("topic", "orders"),)))
    kinds = Counter(event["event_type"] for event in events if event["event_time"] < "2026-03-01T04:20")
    assert kinds["payment_attempted"] == 0
    assert kinds["add_to_cart"] == count(calm, event_type="add_to_cart")


def test_an_incident_of_a_segment_that_is_not_there_names_the_values_that_are():
    incident = IncidentSpec("checkout_broken", START_MS, END_MS, (("device", "toaster"),))
    with pytest.raises(InputError, match=r"toaster.*android, desktop, ios"):
        Shop(ShopSpec(incidents=(incident,)))


def test_an_incident_is_read_from_the_command_line():
    incident = parse_incident("payment_outage@+30m/10m:payment_provider=psp-1,channel=sem*0.7", 1_000)
    assert incident == IncidentSpec(
        "payment_outage", 1_801_000, 2_401_000, (("channel", "sem"), ("payment_provider", "psp-1")), 0.7
    )


@pytest.mark.parametrize(
    "text",
    ["payment_outage", "outage@+1m/1m", "bots@+1m/0s", "bots@+1x/1m", "drift@+1m/1m*1.1", "drift@+1m/1m:device"],
)
def test_an_incident_that_cannot_be_read_is_refused_with_a_way_out(text):
    with pytest.raises(InputError):
        parse_incident(text, 0)
