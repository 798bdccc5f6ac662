"""What the judge of a worker tells the view, from rows on the KPI topic."""

from types import SimpleNamespace
from typing import Any

from streams.config import load_config
from streams.engine.rows import Row, encode_row
from streams.live.configured import live_settings
from streams.live.watch import Watch
from streams.telemetry.view import View

IOS, PSP = (("device", "ios"),), (("payment_provider", "psp-1"),)


class Outbox:
    """Takes what is to be published, and counts it."""

    def __init__(self) -> None:
        self.taken = 0

    def put(self, *told: Any) -> None:
        self.taken += 1


def records(end_ms: int, offset: int) -> list[Any]:
    """A window's rows of the only partition, the whole last."""
    told = []
    for place, (segment, sessions) in enumerate(((IOS, 14), (PSP, 0), ((), 37))):
        counters = {"sessions": sessions, "reached.paid": 2, "orders_paid": 5}
        row = Row("window", end_ms - 60_000, end_ms, segment, 0, counters, "f")
        told.append(SimpleNamespace(offset=offset + place, value=encode_row(row), timestamp=end_ms + 40_000))
    return told


def test_a_judge_tells_each_kpi_of_each_segment_once_it_has_caught_up() -> None:
    view, outbox = View(), Outbox()
    watch = Watch(live_settings(load_config()), outbox, view, now_ms=lambda: 300_000)  # type: ignore[arg-type]
    watch.open(0, 1)
    for number in (1, 2, 3):
        watch.take(records(number * 60_000, 3 * number))
    assert not view.snapshot().judging
    assert not view.snapshot().readings or ("conversion_ratio", IOS) not in view.snapshot().readings
    watch.tick(caught_up=True)
    seen = view.snapshot()
    assert seen.judging
    assert seen.window is not None
    assert (seen.window.end_ms, seen.window.counters["sessions"]) == (180_000, 37)
    assert seen.readings["conversion_ratio", IOS].value == 2 / 14
    assert seen.readings["orders", PSP].value == 5
    assert seen.units["bounce_ratio"] == ("ratio", "up")
    assert ("sessions", ()) in seen.verdicts
    watch.close()
    assert not view.snapshot().readings
