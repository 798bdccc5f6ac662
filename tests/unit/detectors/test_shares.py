from __future__ import annotations

from collections.abc import Iterator

from streams.engine.rows import WHOLE
from streams.merge import MergedWindow
from streams.monitor import Judgement, Monitor
from tests.detection.library import Shop

AT = 200
DESKTOP, IOS = (("device", "desktop"),), (("device", "ios"),)


def told(where: tuple[tuple[str, str], ...], factor: float) -> list[Judgement]:
    """What is told when a device suddenly brings so many times the sessions that it did."""
    monitor = Monitor()
    return [monitor.observe(window) for window in changed(where, factor)]


def changed(where: tuple[tuple[str, str], ...], factor: float) -> Iterator[MergedWindow]:
    for minute, window in enumerate(Shop(400, AT + 12, seed=4, start_minute=540).windows()):
        if minute >= AT:
            there, whole = window.rows[where].counters, window.rows[WHOLE].counters
            now = int(factor * there["sessions"])
            whole["sessions"] += now - there["sessions"]
            there["sessions"] = now
        yield window


def test_shoppers_who_stay_away_in_one_segment_are_told_there_at_once():
    judgements = told(DESKTOP, 0.2)
    found = [(minute, one) for minute, each in enumerate(judgements) for one in each.incidents]
    assert AT <= found[0][0] <= AT + 2
    assert "sessions in device=desktop" in found[0][1].summary
    verdict = next(one for one in judgements[AT + 2].verdicts if (one.kpi, one.segment) == ("sessions", DESKTOP))
    assert verdict.active
    assert verdict.successes < verdict.lower < verdict.expected < verdict.upper


def test_a_share_that_falls_because_more_come_elsewhere_is_no_finding():
    for judgement in told(IOS, 3.0):
        assert not [one for one in judgement.verdicts if (one.kpi, one.segment) == ("sessions", DESKTOP) and one.active]
