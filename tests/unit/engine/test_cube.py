from __future__ import annotations

import orjson
import pytest

from streams.engine import Batch, Engine, EngineSpec, SourceSpec, decode_row
from streams.engine.cube import Cube, Side, add_cubes, cube_key, decode_record, encode_cube
from streams.errors import InputError

MINUTE = 60_000
SPEC = EngineSpec(
    sources=(SourceSpec("file"),), session_dimensions=("channel", "device"), payment_dimensions=("payment_method",)
)


def events(*told: tuple[str, dict[str, object]]) -> list[bytes]:
    """One session each; moments are in the first minute."""
    return [
        orjson.dumps({"event_type": kind, "event_time": 1_000 + n, "session_id": f"s-{n}", **fields})
        for n, (kind, fields) in enumerate(told)
    ]


def cubes_of(lines: list[bytes], spec: EngineSpec = SPEC) -> list[Cube]:
    engine = Engine(spec, 0)
    engine.push(Batch("file", 0, range(len(lines)), [-1] * len(lines), [None] * len(lines), lines))
    return list(engine.finish().cubes)


def counted(side: Side, counter: str) -> dict[tuple[str, ...], int]:
    return {leaf: count for leaf, count in zip(side.leaves(), side.counters[counter], strict=True) if count}


VISITS = events(
    ("product_view", {"channel": "sem", "device": "ios"}),
    ("product_view", {"channel": "sem", "device": "ios"}),
    ("page_view", {"channel": "seo", "device": "web"}),
    ("page_view", {"device": "web"}),
)


def test_a_cube_holds_the_stages_by_combination_of_session_values():
    (cube,) = cubes_of(VISITS)
    assert (cube.start_ms, cube.end_ms, cube.partition, cube.spec) == (0, MINUTE, 0, SPEC.fingerprint)
    assert cube.sessions.dimensions == ("channel", "device")
    assert counted(cube.sessions, "sessions") == {("sem", "ios"): 2, ("seo", "web"): 1, ("unknown", "web"): 1}
    assert counted(cube.sessions, "reached.product") == {("sem", "ios"): 2}
    assert cube.orders.counters == {}


def test_payments_and_money_are_held_by_session_and_payment_values():
    lines = events(
        ("page_view", {"device": "ios"}),
        *(
            (kind, {"session_id": "s-0", "order_id": "o", "payment_id": "p", "payment_method": "alipay", **money})
            for kind, money in (
                ("payment_attempted", {}),
                ("payment_succeeded", {"amount": "19.50", "currency": "CNY"}),
            )
        ),
        ("payment_failed", {"payment_method": "card", "decline": "soft"}),
    )
    (cube,) = cubes_of(lines)
    alipay, card = ("unknown", "ios", "alipay"), ("unknown", "unknown", "card")
    assert cube.orders.dimensions == ("channel", "device", "payment_method")
    assert counted(cube.orders, "payments_succeeded") == {alipay: 1}
    assert counted(cube.orders, "revenue_minor.CNY") == {alipay: 1950}
    assert counted(cube.orders, "payments_declined_soft") == {card: 1}


def test_what_does_not_fit_forgets_its_value_of_the_widest_dimension_first():
    lines = events(
        *(("page_view", {"channel": f"c-{n}", "device": "ios"}) for n in range(5)),
        *(("page_view", {"channel": "c-0", "device": "web"}) for _ in range(4)),
    )
    (cube,) = cubes_of(lines, spec=EngineSpec(**{**_fields(), "cube_leaves": 3}))
    assert counted(cube.sessions, "sessions") == {("c-0", "web"): 4, ("other", "ios"): 5}


def test_of_equal_combinations_the_first_by_their_text_are_kept():
    told = [("page_view", {"channel": name, "device": "ios"}) for name in ("c", "a", "b", "d")]
    spec = EngineSpec(**{**_fields(), "cube_leaves": 3})
    (one,), (other,) = cubes_of(events(*told), spec), cubes_of(events(*reversed(told)), spec)
    assert one.sessions == other.sessions
    assert counted(one.sessions, "sessions") == {("a", "ios"): 1, ("other", "ios"): 3}


def test_without_room_there_is_no_cube_and_no_row_changes():
    off = EngineSpec(**{**_fields(), "cube_leaves": 0})
    assert cubes_of(VISITS, off) == []
    assert off.fingerprint == SPEC.fingerprint


def test_a_window_without_an_event_has_no_cube():
    lines = VISITS + events(("page_view", {"session_id": "late", "event_time": 5 * MINUTE}))
    assert [cube.start_ms for cube in cubes_of(lines)] == [0, 5 * MINUTE]


def test_a_cube_is_no_row_and_a_row_is_no_cube():
    (cube,) = cubes_of(VISITS)
    with pytest.raises(InputError, match="cube"):
        decode_row(encode_cube(cube))
    row = {"end_ms": 60000, "partition": 3, "row": "window", "segment": {"row": "cube"}, "start_ms": 0}
    line = orjson.dumps(row)
    assert b'"row":"cube"' in line
    assert decode_record(line) == decode_row(line)


def test_a_cube_comes_back_from_its_line_as_it_was():
    (cube,) = cubes_of(VISITS)
    assert decode_record(encode_cube(cube)) == cube
    assert cube_key(cube) == b"60000|cube|0"


@pytest.mark.parametrize(
    "change",
    [
        {"sessions": {}},
        {"sessions": {"dimensions": ["a"], "values": [["x"]], "codes": [[0, 0]], "counters": {"sessions": [1]}}},
        {"sessions": {"dimensions": ["a"], "values": [["x"]], "codes": [[1]], "counters": {"sessions": [1]}}},
        {"sessions": {"dimensions": ["a"], "values": [["x"]], "codes": [], "counters": {}}},
        {"end_ms": None},
    ],
    ids=["no columns", "unequal columns", "a code without a value", "a dimension without codes", "no end"],
)
def test_a_broken_cube_is_refused(change):
    (cube,) = cubes_of(VISITS)
    with pytest.raises(InputError, match="not a cube"):
        decode_record(orjson.dumps(orjson.loads(encode_cube(cube)) | change))


def test_cubes_of_partitions_are_added_by_value_in_any_order():
    one = Cube(0, MINUTE, 0, Side(("d",), (("a", "b"),), ((0, 1),), {"sessions": (2, 3)}), Side())
    other = Cube(0, MINUTE, 1, Side(("d",), (("b", "c"),), ((1, 0),), {"sessions": (5, 7)}), Side())
    added = add_cubes([one, other])
    assert added == add_cubes([other, one])
    assert added is not None
    assert added.partition is None
    assert counted(added.sessions, "sessions") == {("a",): 2, ("b",): 10, ("c",): 5}


def test_after_a_change_of_dimensions_only_alike_cubes_are_added():
    one = Cube(0, MINUTE, 0, Side(("d",), (("a",),), ((0,),), {"sessions": (2,)}), Side())
    other = Cube(0, MINUTE, 1, Side(("e",), (("a",),), ((0,),), {"sessions": (5,)}), Side())
    added = add_cubes([one, other])
    assert added is not None
    assert counted(added.sessions, "sessions") == {("a",): 2}


def _fields() -> dict[str, object]:
    return {
        "sources": SPEC.sources,
        "session_dimensions": SPEC.session_dimensions,
        "payment_dimensions": SPEC.payment_dimensions,
    }
