"""The simulated shop: what it promises about order, repetition, shape and faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import InputError
from streams.simulate import FunnelSpec, IncidentSpec, Shop, ShopSpec, SimRecord

NOON_MS = 1_772_337_600_000  # 2026-03-01T12:00:00 in Shanghai
MINUTE_MS = 60_000
SPEC = ShopSpec(seed=11, sessions_per_minute=40, poison_ratio=0.01, duplicate_ratio=0.02, late_ratio=0.01)


def told(records: Iterable[SimRecord]) -> list[dict]:
    found = []
    for record in records:
        try:
            event = orjson.loads(record.value)
        except orjson.JSONDecodeError:
            continue
        if isinstance(event, dict) and "event_id" in event:
            found.append(event)
    return found


@pytest.fixture(scope="module")
def half_hour() -> list[SimRecord]:
    return list(Shop(SPEC).events(NOON_MS, NOON_MS + 30 * MINUTE_MS))


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 30 * MINUTE_MS), max_size=6))
def test_any_pieces_give_the_same_records(half_hour, cuts):
    shop, pieces = Shop(SPEC), []
    edges = [NOON_MS, *sorted(NOON_MS + cut for cut in cuts), NOON_MS + 30 * MINUTE_MS]
    for start_ms, end_ms in pairwise(edges):
        pieces += shop.events(start_ms, end_ms)
    assert pieces == half_hour


def test_a_start_in_the_middle_gives_the_same_records_as_going_on(half_hour):
    middle_ms = NOON_MS + 17 * MINUTE_MS + 3
    fresh = list(Shop(SPEC).events(middle_ms, NOON_MS + 30 * MINUTE_MS))
    assert fresh == [record for record in half_hour if record.append_ms >= middle_ms]


def test_an_abandoned_iteration_does_not_harm_the_next(half_hour):
    shop = Shop(SPEC)
    for record in shop.events(NOON_MS, NOON_MS + 30 * MINUTE_MS):
        if record.append_ms > NOON_MS + MINUTE_MS:
            break
    assert list(shop.events(NOON_MS, NOON_MS + 30 * MINUTE_MS)) == half_hour


def test_records_come_in_order_of_append_time_inside_the_asked_span(half_hour):
    appended = [record.append_ms for record in half_hour]
    assert appended == sorted(appended)
    assert appended[0] >= NOON_MS
    assert appended[-1] < NOON_MS + 30 * MINUTE_MS


def test_before_it_opens_nobody_comes_and_afterwards_any_pieces_are_the_same():
    opens_ms = NOON_MS + 2 * MINUTE_MS + 5_000
    spec = ShopSpec(seed=11, sessions_per_minute=40, poison_ratio=0.01, opens_ms=opens_ms)
    records = list(Shop(spec).events(NOON_MS, NOON_MS + 10 * MINUTE_MS))
    assert opens_ms <= records[0].append_ms < opens_ms + MINUTE_MS
    assert all(parse_ms(event["event_time"]) >= opens_ms for event in told(records))
    middle_ms = NOON_MS + 6 * MINUTE_MS
    assert list(Shop(spec).events(middle_ms, NOON_MS + 10 * MINUTE_MS)) == [
        record for record in records if record.append_ms >= middle_ms
    ]


def test_another_seed_is_another_shop(half_hour):
    other = list(Shop(ShopSpec(seed=12, sessions_per_minute=40)).events(NOON_MS, NOON_MS + 5 * MINUTE_MS))
    assert not {record.key for record in other} & {record.key for record in half_hour}


def test_both_topics_are_keyed_by_session(half_hour):
    for topic in ("clickstream", "orders"):
        for record in (one for one in half_hour if one.topic == topic):
            for event in told([record]):
                assert record.key == event["session_id"].encode()
    assert {record.topic for record in half_hour} == {"clickstream", "orders"}


def test_event_ids_repeat_only_in_the_promised_share_of_duplicates(half_hour):
    seen = Counter(event["event_id"] for event in told(half_hour))
    repeated = sum(count - 1 for count in seen.values())
    assert 0.01 < repeated / len(half_hour) < 0.03
    assert max(seen.values()) == 2


def test_poison_comes_in_its_share_and_without_an_event_id(half_hour):
    poison = len(half_hour) - len(told(half_hour))
    assert 0.004 < poison / len(half_hour) < 0.02


def test_records_are_out_of_order_by_no_more_than_the_disorder_unless_a_phone_was_offline():
    spec = ShopSpec(seed=5, sessions_per_minute=60, late_ratio=0, duplicate_ratio=0, poison_ratio=0, disorder_ms=3_000)
    times = []
    for record in Shop(spec).events(NOON_MS, NOON_MS + 20 * MINUTE_MS):
        event_ms = parse_ms(orjson.loads(record.value)["event_time"])
        assert 0 <= record.append_ms - event_ms <= 3_000
        times.append(event_ms)
    assert any(later < earlier for earlier, later in pairwise(times))


def test_offline_phones_send_events_that_are_many_minutes_old():
    spec = ShopSpec(seed=5, sessions_per_minute=60, late_ratio=0.05)
    ages = [
        record.append_ms - parse_ms(event["event_time"])
        for record in Shop(spec).events(NOON_MS, NOON_MS + 30 * MINUTE_MS)
        for event in told([record])
    ]
    assert max(ages) > 30 * MINUTE_MS
    assert 0.001 < sum(age > 2 * MINUTE_MS for age in ages) / len(ages) < 0.1


def test_the_funnel_narrows_and_payments_close_it():
    events = told(Shop(ShopSpec(seed=3, sessions_per_minute=300)).events(NOON_MS, NOON_MS + 10 * MINUTE_MS))
    sessions = {kind: len({e["session_id"] for e in events if e["event_type"] == kind}) for kind in KINDS}
    assert all(sessions[wide] > sessions[narrow] for wide, narrow in pairwise(KINDS[:4])), sessions
    assert sessions["payment_succeeded"] > 0.8 * sessions["payment_attempted"]
    kinds = Counter(event["event_type"] for event in events)
    for seldom in ("remove_from_cart", "payment_failed", "order_cancelled", "order_refunded", "order_paid"):
        assert kinds[seldom] > 0


KINDS = ("product_view", "add_to_cart", "checkout_started", "order_placed", "payment_attempted", "payment_succeeded")


def test_carts_left_for_long_come_back_under_the_same_session_key():
    spec = ShopSpec(seed=3, sessions_per_minute=60)
    filled, gaps = {}, []
    for event in told(Shop(spec).events(NOON_MS, NOON_MS + 75 * MINUTE_MS)):
        if event["event_type"] == "add_to_cart":
            filled.setdefault(event["session_id"], parse_ms(event["event_time"]))
        elif event["event_type"] == "payment_succeeded" and event["session_id"] in filled:
            gaps.append(parse_ms(event["event_time"]) - filled[event["session_id"]])
    assert any(gap > 31 * MINUTE_MS for gap in gaps)
    assert any(gap < 10 * MINUTE_MS for gap in gaps)


def test_a_retry_is_a_new_payment_of_the_same_order():
    spec = ShopSpec(seed=3, sessions_per_minute=300, funnel=FunnelSpec(approve=0.5, retry=1.0))
    events = told(Shop(spec).events(NOON_MS, NOON_MS + 10 * MINUTE_MS))
    payments = {}
    for event in events:
        if event["event_type"] == "payment_attempted":
            payments.setdefault(event["order_id"], set()).add(event["payment_id"])
    assert max(len(ids) for ids in payments.values()) == 3


def test_night_is_quieter_than_evening_and_a_flat_shop_has_no_night():
    spec = ShopSpec(seed=3, sessions_per_minute=60, noise=0)

    def records(one: ShopSpec, at_ms: int) -> int:
        return sum(1 for _ in Shop(one).events(at_ms, at_ms + 20 * MINUTE_MS))

    night_ms, evening_ms = NOON_MS - 8 * 60 * MINUTE_MS, NOON_MS + 9 * 60 * MINUTE_MS
    assert records(spec, night_ms) < 0.2 * records(spec, evening_ms)
    flat = ShopSpec(seed=3, sessions_per_minute=60, noise=0, rhythm=0)
    assert records(flat, night_ms) > 0.8 * records(flat, evening_ms)


def test_a_span_that_ends_before_it_starts_is_refused():
    with pytest.raises(InputError, match="end_ms"):
        list(Shop(SPEC).events(NOON_MS, NOON_MS - 1))


@pytest.mark.parametrize(
    ("field", "value"),
    [("sessions_per_minute", 0), ("poison_ratio", 1.5), ("time_zone", "Mars/Olympus"), ("disorder_ms", -1)],
)
def test_a_spec_that_makes_no_sense_names_its_key(field, value):
    with pytest.raises(InputError, match=field):
        ShopSpec(**{field: value})


def parse_ms(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_labels_name_the_incident_and_what_should_be_seen():
    incident = IncidentSpec("checkout_broken", NOON_MS, NOON_MS + MINUTE_MS, (("device", "ios"),))
    (label,) = Shop(ShopSpec(incidents=(incident,))).labels()
    assert label["kind"] == "checkout_broken"
    assert label["segment"] == {"device": "ios"}
    assert "checkout_ratio" in label["kpis"]
    assert (label["start_ms"], label["end_ms"]) == (NOON_MS, NOON_MS + MINUTE_MS)
    assert label["page"] is True
