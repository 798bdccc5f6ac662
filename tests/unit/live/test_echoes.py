"""What a frozen judge writes behind the next one is noticed, and put right once it has stopped."""

from types import SimpleNamespace
from typing import Any

from detectors.base import Incident
from streams.anomalies import decode_incident
from streams.engine.rows import Row, decode_row, encode_row
from streams.live.echoes import REST_MS
from streams.live.settings import LiveSettings
from streams.live.watch import Watch
from streams.telemetry.view import View

FIRST = Row("window", 0, 60_000, (), 0, {"sessions": 3}, "f")
LATE = Row("correction", 0, 60_000, (), 0, {"sessions": 2}, "f", correction=1)


class Case:
    """A judge of one partition that is live, and the KPI topic, on which it hears itself."""

    def __init__(self) -> None:
        self.now_ms, self.settings = 0, LiveSettings()
        self.topic: list[bytes] = []
        self.anomalies: list[bytes] = []
        outbox: Any = SimpleNamespace(put=self._put)
        self.watch = Watch(self.settings, outbox, View(), now_ms=lambda: self.now_ms)
        self.watch.open(0, 1)
        self.tell(FIRST)
        self.hear()
        self.tell(LATE)
        self.hear()

    def _put(self, owner: int, topic: str, key: bytes, value: bytes, partition: int) -> None:
        (self.topic if topic == self.settings.kpi_topic else self.anomalies).append(value)

    def tell(self, row: Row) -> None:
        """Somebody writes a row."""
        self.topic.append(encode_row(row))

    def hear(self) -> int:
        """Let the judge read to the end and time pass; returns how many records it has written."""
        before = len(self.topic)
        while (position := self.watch.position) < len(self.topic):
            self.watch.take([SimpleNamespace(offset=position, timestamp=0, key=b"", value=self.topic[position])])
        self.watch.tick(True)
        return len(self.topic) - before

    def rest(self, ms: int = REST_MS) -> int:
        self.now_ms += ms
        return self.hear()

    @property
    def merged(self) -> list[Row]:
        rows = [decode_row(value) for value in self.topic]
        return [row for row in rows if row.partition is None]


def test_a_judge_writes_nothing_again_because_of_its_own_words() -> None:
    case = Case()
    assert [(row.revision, row.counters["sessions"]) for row in case.merged] == [(0, 3), (1, 5)]
    assert case.rest() == case.rest() == 0


def test_an_early_revision_that_is_written_late_is_put_right_once_its_writer_rests() -> None:
    case = Case()
    early, last = case.merged
    case.tell(early)
    assert case.hear() == 0
    assert case.rest(REST_MS - 1) == 0
    case.tell(early)
    assert case.hear() == 0
    assert case.rest(REST_MS - 1) == 0
    assert case.rest(1) == 1
    assert case.merged[-1] == last
    assert case.rest() == case.rest() == 0


def test_incidents_since_a_window_that_another_judge_has_written_are_told_as_they_are() -> None:
    case = Case()
    fold = case.watch._fold
    assert fold
    old, new = (
        Incident(f"i{end_ms}", "recovered", "drop", ("sessions",), ((),), 0, end_ms, end_ms, end_ms, "")
        for end_ms in (59_999, 60_000)
    )
    fold.incidents.update({old.id: old, new.id: new})
    case.tell(case.merged[-1])  # the same words: but of the incidents it may have told otherwise
    case.hear()
    assert case.rest() == 0
    assert [decode_incident(value).id for value in case.anomalies[-1:]] == [new.id]
