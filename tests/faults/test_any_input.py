"""No input stops a worker: whatever the bytes, a record is counted or refused, and a stored one is read or refused."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.formats import FORMATS
from tests.faults.inputs import BETWEEN, KEY, TARGETS, count, read, restore, seeds

WORDS = sorted({word for name in (*FORMATS, "rows") for seed in seeds(name) for word in seed.decode().split('"')[1::2]})
"""Names and values that mean something somewhere."""

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=25,
)
records = st.binary(max_size=60) | values.map(
    lambda value: orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATACLASS)
)
inputs = st.lists(st.tuples(st.binary(max_size=4), records).map(KEY.join) | records, max_size=8).map(BETWEEN.join)


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """A good input with a piece of it replaced."""
    whole = draw(st.sampled_from(seeds(name)))
    start = draw(st.integers(0, len(whole)))
    return whole[:start] + draw(st.binary(max_size=3)) + whole[start + draw(st.integers(0, 9)) :]


@pytest.mark.parametrize("name", FORMATS)
def test_every_record_is_counted_or_refused(name: str) -> None:
    @given(inputs | damaged(name))
    @settings(max_examples=100, deadline=None)
    def check(data: bytes) -> None:
        count(name, data)

    check()


@given(inputs | damaged("rows"))
@settings(max_examples=200, deadline=None)
def test_what_is_no_row_verdict_or_incident_is_refused(data: bytes) -> None:
    read(data)


@given(inputs | damaged("state"))
@settings(max_examples=100, deadline=None)
def test_what_is_no_state_is_refused(data: bytes) -> None:
    restore(data)


@pytest.mark.parametrize("name", TARGETS)
def test_the_inputs_that_others_grow_from_are_good(name: str) -> None:
    for seed in seeds(name):
        TARGETS[name](seed)
