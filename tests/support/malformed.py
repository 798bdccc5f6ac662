"""Records and fields as they should not be, and as they surprisingly may be."""

from __future__ import annotations

from typing import Any

__all__ = ["DEFECTS", "ODDITIES", "POISON"]

POISON = [
    b"",
    b"not json",
    b'{"event_type": "page_view"',
    b"[1, 2]",
    b'"page_view"',
    b"null",
    b"\xff\xfe\x00",
    b'{"event_time": 1772366400000, "session_id": "k0"}',
    b'{"event_type": "", "event_time": 1772366400000, "session_id": "k0"}',
    b'{"event_type": "newsletter_opened", "event_time": 1772366400000, "session_id": "k0"}',
    b'{"event_type": 7, "event_time": 1772366400000, "session_id": "k0"}',
    b'{"event_type": "page_view", "session_id": "k0"}',
    b'{"event_type": "page_view", "event_time": "", "session_id": "k0"}',
    b'{"event_type": "page_view", "event_time": "yesterday", "session_id": "k0"}',
    b'{"event_type": "page_view", "event_time": "2026-03-01T12:00:00", "session_id": "k0"}',
    b'{"event_type": "page_view", "event_time": "2026-02-30T12:00:00Z", "session_id": "k0"}',
    b'{"event_type": "page_view", "event_time": true, "session_id": "k0"}',
    b'{"event_type": "page_view", "event_time": [1772366400000], "session_id": "k0"}',
    b'{"event_type": "page_view", "event_time": "1772366400000", "session_id": "k0"}',
    b'{"event_type": "page_view", "event_time": 1772366400000.5, "session_id": "k0"}',
]
"""Values that are no event, or one that cannot be used."""

DEFECTS: list[dict[str, Any]] = [
    {"amount": "much"},
    {"amount": -4},
    {"amount": True},
    {"amount": [1]},
    {"currency": "EURO"},
    {"currency": 978},
    {"currency": "e2r"},
    {"items": "two shoes"},
    {"items": {"quantity": 2}},
    {"items": ["shoe", {"category": "c1", "quantity": 2}]},
    {"items": [{"quantity": 0}]},
    {"items": [{"quantity": -1, "category": "c0"}, {"quantity": "3", "category": "c2"}]},
    {"items": [{"quantity": 2.5}, {"category": ["c1"]}]},
    {"channel": ["sem"]},
    {"device": {"os": "ios"}},
    {"region": True},
    {"customer_type": [None]},
    {"payment_method": {}},
    {"payment_provider": False},
    {"event_id": ["e"]},
    {"visitor_id": {"v": 1}},
    {"user_id": False},
    {"order_id": ["o-0"]},
    {"payment_id": True},
    {"append_time": "soon"},
    {"sent_at": "2026-03-01"},
    {"decline": 5},
    {"session_id": ["k0"]},
]
"""Fields that are dropped and counted."""

ODDITIES: list[dict[str, Any]] = [
    {"channel": 7},
    {"channel": ""},
    {"device": None},
    {"device": 1.5},
    {"region": "unknown"},
    {"region": "other"},
    {"items": []},
    {"items": None},
    {"items": ""},
    {"items": [{}]},
    {"items": [{"quantity": None, "category": ""}]},
    {"currency": "jpy"},
    {"currency": "KWD"},
    {"currency": "XXQ"},
    {"amount": 0},
    {"amount": 0.125},
    {"amount": "12.3455"},
    {"amount": "1234.5"},
    {"amount": ""},
    {"visitor_id": ""},
    {"visitor_id": 12},
    {"event_id": ""},
    {"event_id": 77},
    {"order_id": 5},
    {"nested": {"deep": [1, {"x": None}]}},
    {"decline": "soft", "reason": "insufficient_funds"},
    {"channel": "频道"},
]
"""Fields that are right, or missing in an unusual way."""

NOON_MS = 1_772_366_400_000
LONG = "x" * 200

FIELD_VALUES: dict[str, list[Any]] = {
    "amount": [
        *("1e3", " 5", "5 ", "+5", "1_000", "NaN", "Infinity", "-0", ".5", "5.", "1,000", "0x10", "", "5e-1"),
        *(1e3, 1e-7, 0.1, 10**12, 10**13 - 1, 10**13, "9999999999999.99", "10000000000000", 1e300, -1e-9, -0.0),
        *("1" * 50, "0." + "1" * 50, {}, [], True, "0.005", "0.015", 1.005),
    ],
    "currency": ["eur", "EU", "EURO", "Eur", "€€€", "eu1", " EUR", "EUR ", "ſsd", "xau", None, "", 5, [], "ІЕР"],
    "event_time": [
        *("2026-03-01t12:00:00z", "2026-03-01 12:00:00Z", "2026-03-01T12:00:60Z", "2026-03-01T24:00:00Z"),
        *("2026-03-01T12:00:00+0800", "2026-03-01T12:00:00+08", "2026-03-01T12:00:00-00:00", "2026-03-01T12:00Z"),
        *("2026-03-01T12:00:00.Z", "2026-03-01T12:00:00,5Z", "20260301T120000Z", "2026-03-01", "2026-W09-7T12:00:00Z"),
        *(" 2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z\n", "2026-03-01T12:00:00 Z", "２026-03-01T12:00:00Z"),
        *("2026-03-01T12:00:00+24:00", "2026-03-01T12:00:00+23:59", "2026-03-01T12:00:00.1234567890123Z"),
        *("2026-03-01T12:00:00.1Z", "2026-13-01T12:00:00Z", "2026-03-01T12:61:00Z", "1969-12-31T23:59:59.5Z"),
        *("0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-01:00"),
        *(0, -1, 1e12, float(NOON_MS), NOON_MS + 0.5, 253_402_300_799_999, 253_402_300_800_000, 10**15, 10**20),
        *(-62_135_596_800_000, -62_135_596_800_001, True, False, {}, [], None, "", str(NOON_MS)),
    ],
    "event_type": ["Page_View", "page_view ", "", None, 5, [], {}, True, "ad_report"],
    "session_id": ["", None, 5, 5.5, 1e22, 10**25, True, [], LONG, " ", "é", "\0"],
    "event_id": ["", None, 5, 5.5, True, [], LONG],
    "visitor_id": ["", None, 5, 5.5, True, [], LONG],
    "user_id": ["", None, 5, [], True],
    "order_id": ["", None, 5, True, LONG],
    "payment_id": ["", None, 5, True, LONG],
    "payment_method": ["", None, 5, []],
    "channel": [
        *("", None, 5, 5.0, 1.5, 1e22, 10**30, True, [], {}, "x" * 256, "x" * 257, "é" * 256, "é" * 257),
        *("unknown", "other", " ", "\0", "a|b", 'q"uote', "\U0001f600"),
    ],
    "items": [
        *(None, "", 0, False, {}, [], [None], [[]], [5], [{}], [{"quantity": None}], [{"quantity": ""}]),
        *([{"quantity": 1.0}], [{"quantity": "2"}], [{"quantity": True}], [{"quantity": 10**12}]),
        *([{"quantity": 10**12 + 1}], [{"quantity": 10**30}], [{"category": 5, "product_id": 7}], [{"category": {}}]),
        *([{"product_id": [1]}], [{"category": None}], [{"price": "junk"}], [{"category": "x" * 300}]),
    ],
    "sent_at": ["", None, "x", 5, NOON_MS, "2026-03-01T12:00:00Z", True, [], 1.5],
    "append_time": ["", None, "x", 0, -1, NOON_MS, NOON_MS - 1_000, NOON_MS - 400_000, True, [], 1.5],
    "decline": ["", None, 5, [], {}, True, "SOFT", "soft", "hard"],
}
"""Values worth trying in each field, right and wrong ones."""

_PLAIN = b'{"event_type":"page_view","event_time":1772366400000,"session_id":"s"'
EDGE_RECORDS = [
    b"\xef\xbb\xbf" + _PLAIN + b"}",
    *(_PLAIN + b',"x":%b}' % x for x in (b"NaN", b"Infinity", b'"\xff"', b'"\\ud800"', b'"a\tb"', b"1" * 40, b"01")),
    *(_PLAIN + b',"channel":%b}' % x for x in (b'"\\ud800"', b'"a","channel":"b"', b"1.50", b"-0", b"1E2", b"1" * 30)),
    *(_PLAIN + b',"amount":%b}' % x for x in (b"1e400", b"1.0", b"1" * 30)),
    *(_PLAIN + b',"x":' + b"[" * deep + b"]" * deep + b"}" for deep in (500, 100_000)),
    *(_PLAIN + tail for tail in (b"}}", b",}", b"", b"}\x00", b"} \r", b'} {"event_type":"page_view"}')),
    *(b" \t" + _PLAIN + b"}", b"[" + _PLAIN + b"}]", b"{}", b"true", b"1", b"[]", b" ", b"\x00", b"{'event_type':1}"),
    b'{"event_type":"page_view","event_type":"list_view","event_time":1772366400000,"session_id":"s"}',
    b'{"event_type":"page_view","event_time":1772366400000.0,"session_id":"s"}',
    b'{"event_type":"page_view","event_time":17723664e5,"session_id":"s"}',
]
"""Records at the edges of JSON."""
