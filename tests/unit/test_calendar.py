from __future__ import annotations

import random
from pathlib import Path

import pytest

from detectors.seasonal import Note
from streams.calendar import (
    LABELS,
    LONGEST_NOTE_MS,
    Calendar,
    Label,
    decode_entry,
    encode_label,
    encode_note,
    read_calendar,
)
from streams.errors import InputError

HOUR, DAY = 3_600_000, 86_400_000
SALE = Note("campaign", 10 * DAY, 11 * DAY, "618 sale", (("channel", "sem"),))
FEAST = Note("holiday", 12 * DAY, 13 * DAY, "spring feast")
SAID = Label("a1b2", "expected", ("orders", "checkout_ratio"), 5 * DAY, 5 * DAY + HOUR, 5 * DAY + 2 * HOUR, "audit")


def test_entries_are_read_back_as_they_were_written() -> None:
    for entry, (key, value) in ((SALE, encode_note(SALE)), (SAID, encode_label(SAID))):
        assert decode_entry(value) == entry
        assert key.startswith(b"note|" if entry is SALE else b"label|a1b2")


def test_the_order_in_which_keys_came_does_not_matter() -> None:
    records = [encode_note(SALE), encode_note(FEAST), encode_label(SAID), (encode_note(FEAST)[0], None)]
    told = set()
    for seed in range(5):
        # A removal stays behind what it removes, as on the topic.
        first = random.Random(seed).sample(records[:3], 3)
        calendar = Calendar()
        for key, value in [*first, records[3]]:
            calendar.apply(key, value)
        told.add((calendar.notes, calendar.labels))
    assert told == {((SALE,), (SAID,))}


def test_a_record_tells_from_when_on_it_matters_and_a_repeated_one_does_not() -> None:
    calendar = Calendar()
    assert calendar.apply(*encode_label(SAID)) == SAID.onset_ms - 600_000
    assert calendar.apply(*encode_label(SAID)) is None
    later = SAID._replace(label="incident", onset_ms=SAID.onset_ms + 60_000)
    assert calendar.apply(*encode_label(later)) == SAID.onset_ms - 600_000
    assert calendar.apply(encode_label(later)[0], None) == later.onset_ms - 600_000
    assert calendar.apply(encode_label(later)[0], None) is None


def test_notes_of_the_configuration_stay() -> None:
    calendar = Calendar([FEAST])
    calendar.apply(*encode_note(FEAST))
    assert calendar.notes == (FEAST,)
    calendar.apply(encode_note(FEAST)[0], None)
    assert calendar.notes == (FEAST,)


def test_an_entry_has_ended_behind_its_end() -> None:
    calendar = Calendar()
    key, value = encode_note(SALE)
    calendar.apply(key, value)
    assert calendar.ended(SALE.end_ms) == []
    assert calendar.ended(SALE.end_ms + 1) == [key.decode()]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b'{"record":"verdict"}',
        encode_note(SALE._replace(end_ms=SALE.start_ms))[1],
        encode_note(SALE._replace(end_ms=SALE.start_ms + LONGEST_NOTE_MS + 1))[1],
        encode_note(SALE)[1].replace(b"campaign", b"party"),
        encode_label(SAID)[1].replace(b"expected", b"unlucky"),
        encode_label(SAID._replace(onset_ms=-1))[1],
    ],
)
def test_what_is_no_entry_is_refused_and_changes_nothing(value: bytes) -> None:
    calendar = Calendar()
    with pytest.raises(InputError, match="calendar"):
        calendar.apply(b"note|x", value)
    assert calendar.entries == {}


def test_a_file_is_the_values_of_the_topic(tmp_path: Path) -> None:
    path = tmp_path / "calendar.jsonl"
    path.write_bytes(b"\n".join([encode_note(SALE)[1], b"", encode_label(SAID)[1]]))
    calendar = read_calendar(path, [FEAST])
    assert (calendar.notes, calendar.labels) == ((SALE, FEAST), (SAID,))
    path.write_bytes(encode_note(SALE)[1] + b"\n{}\n")
    with pytest.raises(InputError, match="line 2"):
        read_calendar(path)
    with pytest.raises(InputError, match="--calendar"):
        read_calendar(tmp_path / "none.jsonl")


def test_every_label_name_is_one_word_of_the_command_line() -> None:
    assert LABELS == ("incident", "expected", "new-normal")
