"""When a worker counts as stuck: each limit in pairs, the last good moment and the first bad one."""

from dataclasses import replace
from typing import Any

import pytest

from streams.live.watchdog import Vitals, diagnose

WELL = Vitals(started=0.0, ready=True, answered=1_000.0, progressed=1_000.0, beat=1_000.0)


def seen(now: float, **changed: Any) -> str | None:
    return diagnose(replace(WELL, **changed), now, stuck_seconds=60.0, stop_seconds=10.0)


def test_a_worker_that_answers_and_progresses_is_well() -> None:
    assert seen(1_060.0) is None


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ready": False, "started": 1_000.0}, "not ready"),
        ({"rebalancing_since": 1_000.0}, "rebalancing"),
        ({"answered": 1_000.0, "progressed": 1_061.0, "beat": 1_061.0}, "no answer"),
        ({"progressed": 1_000.0, "answered": 1_061.0, "beat": 1_061.0}, "none was absorbed"),
        ({"beat": 1_000.0, "answered": 1_061.0, "progressed": 1_061.0}, "event loop"),
    ],
)
def test_each_limit_holds_to_the_second(changed: dict[str, Any], words: str) -> None:
    assert seen(1_060.0, **changed) is None
    shifted = {"beat": 1_060.5} | changed
    assert words in (seen(1_060.5, **shifted) or "")


def test_a_stop_has_a_limit_of_its_own() -> None:
    assert seen(2_010.0, stopping_since=2_000.0) is None
    assert "not stopped" in (seen(2_010.5, stopping_since=2_000.0) or "")


def test_a_process_that_stood_still_as_a_whole_is_not_blamed() -> None:
    vitals = replace(WELL, rebalancing_since=1_000.0)
    vitals.shift(500.0)
    assert diagnose(vitals, 1_550.0, stuck_seconds=60.0, stop_seconds=10.0) is None
