"""What an operator says of an incident changes what the fold makes of the same rows."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from detectors.base import Incident
from streams.calendar import Label, LabelName
from streams.merge import MergedWindow
from streams.monitor import Judgement, Monitor, MonitorSpec
from tests.detection.library import MINUTE_MS, START_MS, Drop, Shop

WARM = 150
SPEC = MonitorSpec(timeout_ms=60 * MINUTE_MS)


def windows(*drops: Drop, minutes: int) -> list[MergedWindow]:
    return list(Shop(600, minutes, seed=3, drops=drops, start_minute=600).windows())


def judged(told: Iterable[MergedWindow], labels: tuple[Label, ...] = ()) -> list[Judgement]:
    monitor = Monitor(SPEC)
    monitor.announce((), labels)
    return [monitor.observe(window) for window in told]


def incidents(told: list[Judgement]) -> dict[str, Incident]:
    return {one.id: one for judgement in told for one in judgement.incidents}


def label(name: LabelName, one: Incident, written_ms: int) -> Label:
    return Label(one.id, name, one.kpis, one.onset_ms, one.ended_ms, written_ms)


def active(judgement: Judgement) -> set[str]:
    return {one.kpi for one in judgement.verdicts if one.active}


Told = tuple[list[MergedWindow], list[Judgement]]


@pytest.fixture(scope="module")
def short() -> Told:
    told = windows(Drop("payment", WARM, WARM + 20, 0.6), minutes=WARM + 80)
    return told, judged(told)


@pytest.fixture(scope="module")
def lasting() -> Told:
    told = windows(Drop("payment", WARM, WARM + 400, 0.3), minutes=WARM + 100)
    return told, judged(told)


def the_incident(told: list[Judgement]) -> Incident:
    found = incidents(told)
    assert len(found) == 1
    return next(iter(found.values()))


def test_what_was_expected_does_not_alert_and_is_learnt(short: Told) -> None:
    rows, before = short
    one = the_incident(before)
    after = judged(rows, (label("expected", one, one.updated_ms),))
    assert incidents(after) == {}
    assert not any(map(active, after))
    assert [each.verdicts for each in after[: WARM - 15]] == [each.verdicts for each in before[: WARM - 15]]

    def expected(told: list[Judgement]) -> float:
        return next(v.expected for v in told[WARM + 60].verdicts if v.kpi == "payment_success_ratio" and not v.segment)

    assert expected(after) < expected(before) - 0.01


def test_an_expected_time_is_quiet_for_its_kpis_only(short: Told) -> None:
    rows, before = short
    one = the_incident(before)
    other = label("expected", one, one.updated_ms)._replace(kpis=("add_to_cart_ratio",))
    assert set(incidents(judged(rows, (other,)))) == {one.id}


def test_an_incident_is_never_taken_for_a_lasting_change(lasting: Told) -> None:
    rows, before = lasting
    first = min(incidents(before).values(), key=lambda one: one.onset_ms)
    assert first.kind == "drift"
    after = judged(rows, (label("incident", first, first.updated_ms),))
    told = incidents(after)
    assert list(told) == [first.id]
    assert (told[first.id].state, told[first.id].label, told[first.id].kind) == ("ongoing", "incident", "drop")
    assert "payment_success_ratio" in active(after[-1])


def test_a_new_normal_is_taken_half_an_hour_after_its_onset(lasting: Told) -> None:
    rows, before = lasting
    first = min(incidents(before).values(), key=lambda one: one.onset_ms)
    after = judged(rows, (label("new-normal", first, first.updated_ms),))
    told = incidents(after)[first.id]
    assert (told.state, told.label, told.kind) == ("recovered", "new-normal", "drift")
    assert told.ended_ms <= first.onset_ms + 35 * MINUTE_MS < first.ended_ms
    assert not any("payment_success_ratio" in active(one) for one in after[WARM + 60 :])


def test_a_label_of_an_incident_keeps_its_time_from_being_learnt(short: Told) -> None:
    calm = Label("x", "incident", ("orders",), START_MS + 710 * MINUTE_MS, START_MS + 740 * MINUTE_MS, 1)
    with_label, without = Monitor(SPEC), Monitor(SPEC)
    with_label.announce((), (calm,))
    for window in short[0][:WARM]:
        with_label.observe(window)
        without.observe(window)
    assert with_label.last_end_ms == without.last_end_ms
    masked = [monitor._rates.bank.scan.masked.sum() for monitor in (with_label, without)]
    assert masked[0] > masked[1]


def test_a_detector_of_the_registry_follows_labels_as_well(short: Told) -> None:
    spec = MonitorSpec(detectors=(("payment_success_ratio", "river.gaussian"),), segment_kpis=())
    monitor, rows = Monitor(spec), short[0]
    before = incidents([monitor.observe(window) for window in rows])
    named = next(one for one in before.values() if "payment_success_ratio" in one.kpis)
    again = Monitor(spec)
    again.announce((), (label("expected", named, named.updated_ms),))
    after = [again.observe(window) for window in rows]
    assert not any("payment_success_ratio" in active(one) for one in after)
