from __future__ import annotations

import pytest

from detectors.policy import Policy, PolicySpec


def run(policy: Policy, scores: list[float], first: int = 1, calm: float | None = None):
    return [policy.step(first + n, score, 60_000 * (first + n), calm) for n, score in enumerate(scores)]


def test_an_alert_needs_n_of_m_windows():
    told = run(Policy(PolicySpec(needed=2, among=3)), [1.0, 0.2, 1.0])
    assert [one.active for one in told] == [False, False, True]


def test_hits_that_are_too_far_apart_do_not_add_up():
    told = run(Policy(PolicySpec(needed=2, among=3)), [1.0, 0.2, 0.2, 1.0])
    assert not any(one.active for one in told)


def test_the_border_itself_alarms_and_just_under_it_is_suspect():
    assert run(Policy(), [0.999])[0].state == "suspect"
    assert run(Policy(), [1.0])[0].state == "alert"


def test_an_alert_outlives_a_moment_of_calm_and_ends_with_lasting_calm():
    told = run(Policy(), [1.5, 0.1, 0.1, 1.5, 0.1, 0.1, 0.1])
    assert [one.active for one in told] == [True] * 6 + [False]
    assert told[-1].ended


def test_evidence_of_recovery_ends_an_alert_sooner_than_counting_windows():
    policy = Policy()
    run(policy, [2.0])
    told = run(policy, [0.4, 0.4], first=2, calm=2.5)
    assert [one.active for one in told] == [True, False]


def test_the_onset_stays_that_of_the_first_window():
    told = run(Policy(), [1.5, 3.0, 4.0])
    assert {one.since_ms for one in told} == {60_000}


def test_an_endless_alert_is_taken_as_a_lasting_change():
    told = run(Policy(PolicySpec(timeout=5)), [2.0] * 6)
    assert [one.active for one in told] == [True] * 5 + [False]
    assert told[-1].timed_out
    assert told[-1].since_ms == 60_000


def test_nothing_at_all_is_never_taken_as_a_lasting_change():
    policy = Policy(PolicySpec(timeout=5))
    told = [policy.step(n, 2.0, 60_000 * n, hold=True) for n in range(1, 20)]
    assert all(one.active for one in told)


def test_a_series_that_alarms_most_of_the_time_is_unsure_and_recovers_by_itself():
    policy = Policy(PolicySpec(timeout=10, breaker_windows=60))
    told = run(policy, [2.0] * 60)
    broke = next(n for n, one in enumerate(told) if one.broke)
    assert all(one.state == "unsure" and not one.active for one in told[broke:])
    calm = run(policy, [0.1] * 300, first=61)
    assert calm[-1].state == "calm"
    assert run(policy, [2.0], first=400)[0].active


def test_the_share_in_alarm_fades_over_windows_that_were_skipped():
    one, other = Policy(), Policy()
    run(one, [2.0, 0.1, 0.1, 0.1, 0.1])
    run(other, [2.0, 0.1, 0.1, 0.1, 0.1])
    run(one, [0.1] * 95, first=6)
    other.step(100, 0.1, 0)
    assert one.share == pytest.approx(other.share, rel=1e-9)


def test_what_is_known_to_be_a_lasting_change_ends_at_once_and_what_is_known_not_to_be_never_does() -> None:
    accepted, held = Policy(PolicySpec(timeout=5)), Policy(PolicySpec(timeout=5))
    for policy in (accepted, held):
        assert policy.step(1, 1.5, 0).began
    told = accepted.step(2, 1.5, 0, accept=True)
    assert (told.ended, told.timed_out, told.active) == (True, True, False)
    assert all(held.step(number, 1.5, 0, calm=-1.0, hold=True).active for number in range(2, 20))
    assert held.step(20, 1.5, 0).timed_out


def test_a_dropped_alert_leaves_nothing_behind() -> None:
    policy = Policy(PolicySpec(needed=2, among=3))
    policy.step(1, 1.5, 0)
    assert policy.step(2, 1.5, 0).began
    policy.drop()
    assert policy.quiet
    assert not policy.step(3, 1.5, 0).active
