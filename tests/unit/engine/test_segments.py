"""Segments: caps, products, pairs, visitors."""

import pytest

from streams.engine import Engine, estimate_visitors
from streams.errors import ConfigError
from tests.support.stories import story
from tests.unit.engine.telling import file_spec, rows_of, totals, values_of


def test_values_beyond_the_cap_are_other_and_known_ones_stay() -> None:
    rows = rows_of(
        story("a: page+0s[device=x] | b: page+1s[device=y] | c: page+2s[device=z] | d: page+3s[device=x] | e: page+4s"),
        max_values=2,
    )
    assert values_of(rows, "device", "sessions") == {"x": 2, "y": 1, "other": 1, "unknown": 1}


def test_an_event_counts_once_in_each_category_and_items_under_their_own() -> None:
    events = story("a: cart+0s")
    events[0]["items"] = [
        {"category": "shoes", "quantity": 2},
        {"category": "shoes"},
        {"category": "hats", "quantity": 5},
    ]
    rows = rows_of(events)
    assert values_of(rows, "category", "cart_adds") == {"shoes": 1, "hats": 1}
    assert values_of(rows, "category", "cart_items") == {"shoes": 3, "hats": 5}
    assert totals(rows)["cart_items"] == 8


def test_pairs_are_kept_where_configured() -> None:
    events = story("a: view+0s[device=ios,channel=sem]")
    events[0]["items"] = [{"category": "hats"}]
    rows = rows_of(events, pairs=(("device", "channel"), ("category", "device")))
    assert totals(rows, (("channel", "sem"), ("device", "ios")))["sessions"] == 1
    assert totals(rows, (("category", "hats"), ("device", "ios"))) == {"product_views": 1}
    assert not [row for row in rows if dict(row.segment).keys() == {"channel", "category"}]


def test_visitors_are_united_over_sessions_and_counted_by_segment() -> None:
    rows = rows_of(
        story(
            "a: page+0s[visitor_id=v,device=ios] | b: page+1s[visitor_id=v] "
            "| c: page+2s[visitor_id=w] | d: paid+3s[visitor_id=z]"
        )
    )
    sketches = {row.segment: row.sketch for row in rows if row.sketch}
    assert round(estimate_visitors(sketches[()])) == 2
    assert round(estimate_visitors(sketches[(("device", "ios"),)])) == 1


def test_a_dimension_listed_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        Engine(file_spec(payment_dimensions=("device",)), 0)


def test_leaves_that_nothing_refers_to_are_dropped_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " | ".join(
        f"s{n}: page+{n}m[channel=c{n % 7},region=r{n % 11}] paid+{n + 40}m[order_id=o{n},payment_method=m{n % 5}]"
        for n in range(80)
    )
    expected = rows_of(story(text))
    monkeypatch.setattr("streams.engine.shop.CROWDED", 5)
    assert rows_of(story(text)) == expected
