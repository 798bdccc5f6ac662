"""What a judge knows, saved and known again: whole or not at all, and nothing but what a judge knows."""

import os
import pickle
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from streams.calendar import Calendar
from streams.engine.rows import Row, encode_row
from streams.live.fold import Fold, JudgeState
from streams.live.judge_state import PREFIX, mark_of, pack, unpack
from streams.live.settings import LiveSettings
from streams.merge import Merger
from streams.monitor import MonitorSpec

MARK = "a mark"


def records(windows: int) -> Iterator[Any]:
    """Rows of two partitions of a small shop, in which paying breaks in the end."""
    chance = Random(1)
    for n in range(windows):
        for partition in range(2):
            sessions = chance.randrange(20, 40)
            counters = {"sessions": sessions, "reached.product": sessions - 5, "reached.cart": 9, "reached.checkout": 6}
            counters |= {"payment_attempts": 5, "payments_succeeded": 5 if n < windows - 20 else 0, "page_views": 80}
            counters |= {"payments_declined_hard": 0 if n < windows - 20 else 5}
            row = Row("window", n * 60_000, (n + 1) * 60_000, (), partition, counters, "f")
            offset = 2 * n + partition
            yield SimpleNamespace(offset=offset, timestamp=(n + 1) * 60_000, value=encode_row(row))


def fresh() -> Fold:
    return Fold(MonitorSpec(partitions=2), Merger(range(2)), 0, Calendar())


def saved(fold: Fold, mark: str = MARK, sequence: int = 1) -> list[tuple[bytes, bytes]]:
    pickled = pickle.dumps(JudgeState(fold, (), ()))
    return pack(pickled, fold.position, mark, sequence, 4_000)


def test_a_state_that_is_read_back_goes_on_as_if_nothing_had_been() -> None:
    told = list(records(200))
    whole, half = fresh(), fresh()
    for record in told:
        whole.take(record)
    for record in told[:301]:
        half.take(record)
    pieces = saved(half)
    assert len(pieces) > 1
    state = unpack([(b"0/1/1/1/0", b"a snapshot of a partition"), *pieces], MARK)
    assert state is not None
    for record in told[250:]:
        state.fold.take(record)
    assert state.fold.position == whole.position
    assert state.fold.verdicts == whole.verdicts
    assert state.fold.incidents == whole.incidents
    assert whole.incidents


def test_of_several_states_the_one_that_has_read_furthest_is_known_and_half_of_one_is_none() -> None:
    fold, kept = fresh(), dict[bytes, bytes]()
    for sequence, record in enumerate(records(3)):
        fold.take(record)
        kept |= dict(saved(fold, sequence=sequence))
    state = unpack(kept.items(), MARK)
    assert state is not None
    assert state.fold.position == 6
    del kept[PREFIX + b"1/0"]
    state = unpack(kept.items(), MARK)
    assert state is not None
    assert state.fold.position == 5


def test_a_state_of_another_program_or_configuration_is_none() -> None:
    assert unpack(saved(fresh(), "another mark"), MARK) is None
    mark = mark_of(LiveSettings(), 4)
    assert mark == mark_of(LiveSettings(), 4)
    assert mark != mark_of(LiveSettings(), 5)
    assert mark != mark_of(LiveSettings(monitor=MonitorSpec(false_pages_per_week=2.0)), 4)


class Evil:
    """What somebody may write who is let onto the topic."""

    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("call", [(os.getenv, ("HOME",)), (eval, ("1",)), (getattr, ("", "join")), (Evil, ())])
def test_a_state_that_asks_for_anything_else_is_none(call: Any) -> None:
    pickled = pickle.dumps(JudgeState(fresh(), (), (Evil(*call),)))  # type: ignore[arg-type]
    assert unpack(pack(pickled, 1, MARK, 1, 4_000), MARK) is None


@pytest.mark.parametrize("value", [b"", b"{}", b"[]\n", b'{"mark":"a mark"}\n', None])
def test_what_is_no_piece_is_passed_over(value: bytes | None) -> None:
    state = unpack([*saved(fresh()), (PREFIX + b"0/0", value)], MARK)
    assert state is not None
