"""The judge's state is the same whenever a word on the past comes, and from wherever the rows are read again."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from streams.anomalies import encode_incident, encode_verdict
from streams.calendar import Calendar, Label, encode_label, encode_note
from streams.engine.rows import encode_row
from streams.errors import InputError
from streams.live.fold import Bookmarks, Fold
from streams.merge import Merger
from streams.monitor import MonitorSpec, Note
from tests.detection.library import MINUTE_MS, START_MS, Drop, Shop

FIRST = START_MS + 600 * MINUTE_MS
OUTAGE = Drop("payment", 150, 165, 0.7)


def records() -> list[SimpleNamespace]:
    """Rows of one partition as its engine writes them, the whole last."""
    told = []
    for window in Shop(500, 200, seed=3, drops=(OUTAGE,), start_minute=600).windows():
        for row in sorted(window.rows.values(), key=lambda row: not row.segment):
            value = encode_row(row._replace(partition=0))
            told.append(SimpleNamespace(offset=len(told), value=value, timestamp=row.end_ms + 30_000))
    return told


RECORDS = records()


def fresh(calendar: Calendar) -> Fold:
    return Fold(MonitorSpec(), Merger([0]), 0, calendar)


def read(fold: Fold, until: int = len(RECORDS), bookmarks: Bookmarks | None = None) -> Fold:
    for record in RECORDS[fold.position : until]:
        fold.take(record)
        if bookmarks is not None:
            bookmarks.consider(fold)
    return fold


def state(fold: Fold) -> tuple[object, ...]:
    verdicts = sorted(encode_verdict(one) for one in fold.verdicts.values())
    return fold.position, fold.judged_ms, verdicts, [encode_incident(one) for one in fold.incidents.values()]


@pytest.fixture(scope="module")
def before() -> Fold:
    return read(fresh(Calendar()))


@pytest.fixture(scope="module")
def said(before: Fold) -> Calendar:
    one = next(iter(before.incidents.values()))
    calendar = Calendar()
    label = Label(one.id, "expected", one.kpis, one.onset_ms, one.ended_ms, one.updated_ms)
    calendar.apply(*encode_label(label))
    return calendar


def test_a_fold_kept_and_unpacked_goes_on_like_the_first(before: Fold) -> None:
    bookmarks = Bookmarks(lambda: FIRST)
    half = read(fresh(Calendar()), len(RECORDS) // 2)
    bookmarks.consider(half)
    kept = bookmarks.before(half.judged_ms + 1)
    assert kept is not None
    assert kept is not half
    assert state(read(kept)) == state(before)


def test_going_back_to_before_the_onset_gives_what_reading_everything_gives(before: Fold, said: Calendar) -> None:
    bookmarks = Bookmarks(lambda: FIRST)
    read(fresh(Calendar()), len(RECORDS) // 2, bookmarks)
    since_ms = said.labels[0].since_ms
    bookmarks.forget(since_ms)
    kept = bookmarks.before(since_ms)
    assert kept is not None
    assert 0 < kept.position < len(RECORDS) // 2
    kept.announce(said)
    whole = read(fresh(said))
    assert state(read(kept)) == state(whole)
    assert state(whole) != state(before)
    assert not whole.incidents


def test_a_note_of_the_future_may_come_at_any_moment_before_it() -> None:
    sale = Note("campaign", FIRST + 120 * MINUTE_MS, FIRST + 180 * MINUTE_MS, "sale")
    calendar = Calendar()
    late = read(fresh(Calendar()), len(RECORDS) // 2)
    since_ms = calendar.apply(*encode_note(sale))
    assert since_ms is not None
    assert since_ms >= late.judged_ms
    late.announce(calendar)
    assert state(read(late)) == state(read(fresh(calendar)))


def test_a_state_of_a_time_that_is_spoken_of_is_not_kept() -> None:
    bookmarks = Bookmarks(lambda: FIRST)
    half = read(fresh(Calendar()), 200)
    bookmarks.consider(half)
    size_bytes = bookmarks.size_bytes
    bookmarks.forget(half.judged_ms + 1)
    assert bookmarks.size_bytes == size_bytes
    bookmarks.forget(-1)
    assert bookmarks.before(half.judged_ms) is None
    assert bookmarks.size_bytes == 0 < size_bytes


def test_what_is_no_row_is_passed_over_and_told() -> None:
    fold = fresh(Calendar())
    with pytest.raises(InputError):
        fold.take(SimpleNamespace(offset=0, value=b"{]", timestamp=1))
    assert fold.position == 1
    assert fold.take(SimpleNamespace(offset=1, value=None, timestamp=1)) == []
    assert fold.take(RECORDS[0]) == []
    assert fold.position == 2
