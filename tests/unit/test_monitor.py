from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np
import pytest

from detectors.base import Incident
from streams.anomalies import decode_anomaly
from streams.engine.rows import WHOLE, Row
from streams.errors import ConfigError, InputError
from streams.merge import MergedWindow
from streams.monitor import (
    Judgement,
    Monitor,
    MonitorSpec,
    decode_incident,
    decode_verdict,
    encode_incident,
    encode_verdict,
)
from tests.detection.library import MINUTE_MS, START_MS, Drop, Kind, Shop

WARM = 150
OUTAGE = Drop("payment", WARM, WARM + 30, 0.8)


def shop(*drops: Drop, minutes: int = WARM + 50, sessions: float = 300, seed: int = 3) -> Shop:
    return Shop(sessions, minutes, seed=seed, drops=drops, start_minute=600)


def judged(windows: Iterable[MergedWindow], spec: MonitorSpec | None = None) -> list[Judgement]:
    monitor = Monitor(spec)
    return [monitor.observe(window) for window in windows]


def incidents(told: list[Judgement]) -> list[tuple[int, Incident]]:
    return [(minute, one) for minute, judgement in enumerate(told) for one in judgement.incidents]


@pytest.fixture(scope="module")
def outage() -> list[Judgement]:
    return judged(shop(OUTAGE).windows())


def test_a_payment_outage_after_a_short_history_is_one_incident_found_within_three_windows(outage):
    told = incidents(outage)
    assert WARM <= told[0][0] <= WARM + 2
    assert {one.id for _, one in told} == {told[0][1].id}
    assert told[0][1].kind in {"drop", "stop"}
    assert told[0][1].summary.startswith("payment success 9")
    assert told[0][1].onset_ms == START_MS + (600 + WARM) * MINUTE_MS


def test_the_calm_minutes_before_have_no_alert_and_the_warm_up_no_score(outage):
    for judgement in outage[:WARM]:
        assert not any(verdict.active for verdict in judgement.verdicts)
    for judgement in outage[:120]:
        assert {verdict.state for verdict in judgement.verdicts} == {"warming_up"}


def test_it_recovers_after_the_outage_and_counts_what_was_lost(outage):
    last_minute, last = incidents(outage)[-1]
    assert last.state == "recovered"
    assert WARM + 30 <= last_minute <= WARM + 40
    assert last.orders_lost_low < last.orders_lost < last.orders_lost_high
    assert last.money_lost_minor == pytest.approx(last.orders_lost * 20_000, rel=0.1)
    assert last.currency == "CNY"


def test_a_standing_verdict_names_counts_expectation_and_onset(outage):
    verdict = next(one for one in outage[WARM + 5].verdicts if one.kpi == "payment_success_ratio" and not one.segment)
    assert verdict.active
    assert verdict.state == "alert"
    assert verdict.score > 1
    assert verdict.value == pytest.approx(verdict.successes / verdict.trials)
    assert verdict.value < verdict.lower < verdict.expected < verdict.upper <= 1
    assert verdict.since_ms == START_MS + (600 + WARM) * MINUTE_MS
    assert "were expected" in verdict.explanation


def test_segments_of_ratios_are_judged_beside_the_whole(outage):
    told = {(one.kpi, one.segment) for one in outage[-1].verdicts}
    assert ("payment_success_ratio", (("payment_provider", "psp-1"),)) in told
    assert ("checkout_ratio", (("device", "ios"),)) in told
    assert ("checkout_ratio", (("payment_provider", "psp-1"),)) not in told


def test_one_failing_provider_is_found_in_its_segment():
    told = incidents(judged(shop(Drop("provider", WARM, WARM + 30, 0.7, segment="psp-2"), sessions=1000).windows()))
    assert told[0][0] <= WARM + 3
    assert told[0][1].segments == ((("payment_provider", "psp-2"),),)


def test_a_calm_shop_is_calm():
    assert incidents(judged(shop(minutes=600).windows())) == []


def test_reading_the_rows_again_gives_the_same_bytes(outage):
    again = judged(shop(OUTAGE).windows())
    assert [one.records() for one in again] == [one.records() for one in outage]


def test_a_copied_monitor_goes_on_like_the_first():
    windows = list(shop(OUTAGE).windows())
    first = Monitor()
    for window in windows[:100]:
        first.observe(window)
    second = copy.deepcopy(first)
    assert [first.observe(one) for one in windows[100:]] == [second.observe(one) for one in windows[100:]]


def test_revisions_cohorts_of_no_horizon_and_old_windows_are_not_judged():
    windows = list(shop(minutes=5).windows())
    monitor = Monitor()
    assert monitor.observe(windows[1]).verdicts
    assert monitor.observe(windows[2]._replace(judge=False)) == Judgement()
    assert monitor.observe(windows[2]._replace(kind="cohort", horizon_ms=1)) == Judgement()
    assert monitor.observe(windows[0]) == Judgement()
    assert monitor.observe(windows[1]) == Judgement()
    assert monitor.observe(windows[2]).verdicts


def test_with_a_partition_missing_volumes_wait_and_ratios_do_not():
    windows = list(shop(minutes=WARM + 1).windows())
    told = judged([*windows[:-1], windows[-1]._replace(missing=(2,))])[-1]
    states = {one.kpi: one.state for one in told.verdicts if not one.segment}
    assert states["sessions"] == "waiting"
    assert states["payment_success_ratio"] == "calm"


def test_a_gap_of_hours_gives_no_alert():
    windows = list(shop(minutes=500, sessions=100).windows())
    told = judged(windows[:200] + windows[440:])
    assert incidents(told) == []


def test_no_payments_is_a_stop_and_no_events_is_silence():
    stop = incidents(judged(shop(Drop("payment", WARM, WARM + 20, 1.0)).windows()))
    silence = incidents(judged(shop(Drop("silence", WARM, WARM + 20, 1.0)).windows()))
    assert stop[0][1].kind == "stop"
    assert silence[0][1].kind == "silence"
    assert silence[0][1].summary.startswith("no events arrive")


def test_a_ratio_without_trials_has_no_value_and_no_verdict():
    windows = list(shop(minutes=3).windows())
    told = judged([one._replace(rows={WHOLE: one.rows[WHOLE]._replace(counters={})}) for one in windows])[-1]
    ratio = next(one for one in told.verdicts if one.kpi == "checkout_ratio")
    assert (ratio.value, ratio.expected, ratio.score) == (None, None, 0.0)


@pytest.mark.parametrize(("step", "size"), [("payment", 0.3), ("checkout", 0.25)])
def test_an_endless_change_is_accepted_as_the_new_normal_with_all_that_hangs_on_it(step: Kind, size: float):
    spec = MonitorSpec(timeout_ms=40 * MINUTE_MS, segment_kpis=())
    told = judged(shop(Drop(step, WARM, WARM + 400, size), minutes=WARM + 400, sessions=600).windows(), spec)
    ended = next(minute for minute, one in incidents(told) if one.state == "recovered" and one.kind == "drift")
    assert WARM + 40 <= ended <= WARM + 80
    later = [one for judgement in told[ended + 1 :] for one in judgement.verdicts if not one.segment]
    assert not any(one.active for one in later)


def test_an_outage_of_hours_that_hits_many_kpis_leaves_no_expectation_far_below_what_was_seen():
    told = judged(shop(Drop("payment", WARM, WARM + 270, 0.95), minutes=WARM + 420, sessions=1000).windows())
    verdicts = [one for judgement in told for one in judgement.verdicts if not one.segment]
    expected = [one.expected for one in verdicts if one.kpi == "payment_success_ratio" and one.expected is not None]
    assert 0.02 < min(expected) < 0.2
    assert expected[-1] > 0.9


def test_other_shoppers_are_told_from_shoppers_who_do_otherwise():
    rng = np.random.default_rng(6)
    told: list[Judgement] = []
    monitor = Monitor(MonitorSpec(segment_kpis=("payment_success_ratio",)))
    for minute in range(WARM + 3):
        rows, whole = {}, {"sessions": 900, "payments_succeeded": 0, "payments_declined_hard": 0}
        shares = {"card": 100, "transfer": 300} if minute >= WARM else {"card": 300, "transfer": 100}
        for method, attempts in shares.items():
            paid = int(rng.binomial(attempts, {"card": 0.95, "transfer": 0.5}[method]))
            counters = {"payments_succeeded": paid, "payments_declined_hard": attempts - paid}
            segment = (("payment_method", method),)
            start = START_MS + minute * MINUTE_MS
            rows[segment] = Row("window", start, start + MINUTE_MS, segment, None, counters, "f")
            whole = {name: whole[name] + counters.get(name, 0) for name in whole}
        rows[WHOLE] = Row("window", start, start + MINUTE_MS, WHOLE, None, whole, "f")
        told.append(monitor.observe(MergedWindow(start, start + MINUTE_MS, rows)))
    verdict = next(one for one in told[-1].verdicts if one.kpi == "payment_success_ratio" and not one.segment)
    assert verdict.active
    assert verdict.explanation.endswith("the mix of payment_method changed, not the rates in it")


def test_a_larger_budget_of_false_pages_lowers_the_border():
    scores = {}
    for budget in (0.1, 10.0):
        spec = MonitorSpec(false_pages_per_week=budget)
        told = judged(shop(OUTAGE, minutes=WARM + 2).windows(), spec)[-1]
        scores[budget] = next(one.score for one in told.verdicts if one.kpi == "payment_success_ratio")
    assert scores[10.0] > 1.2 * scores[0.1]


def test_records_of_the_anomaly_topic_are_read_back(outage):
    for judgement in outage[WARM : WARM + 5]:
        for verdict in judgement.verdicts:
            assert decode_verdict(encode_verdict(verdict)[1]) == verdict
        for incident in judgement.incidents:
            assert decode_incident(encode_incident(incident)[1]) == incident
            assert decode_anomaly(encode_incident(incident)[1]) == incident


def test_keys_tell_the_window_of_a_verdict_and_the_name_of_an_incident(outage):
    keys = [key for judgement in outage for key, _ in judgement.records()]
    verdicts = [key for key in keys if key.startswith(b"verdict|")]
    assert len(verdicts) == len(set(verdicts))
    assert len({key for key in keys if key.startswith(b"incident|")}) == 1


def test_a_detector_by_name_judges_its_kpi_in_place_of_the_scan():
    spec = MonitorSpec(detectors=(("payment_success_ratio", "river.gaussian"),))
    told = judged(shop(OUTAGE).windows(), spec)
    verdicts = [one for one in told[WARM + 1].verdicts if one.kpi == "payment_success_ratio" and not one.segment]
    assert [one.state for one in verdicts] == ["alert"]
    assert incidents(told)[0][0] <= WARM + 2
    assert incidents(told)[-1][1].state == "recovered"


@pytest.mark.parametrize("data", [b"", b"[]", b'{"record":"row"}', b'{"record":"verdict"}', b'{"record":"incident"}'])
def test_what_is_no_record_is_refused(data: bytes):
    with pytest.raises(InputError, match="anomaly"):
        decode_anomaly(data)


@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("zone", {"zone": "Mars/Olympus"}),
        ("false_pages_per_week", {"false_pages_per_week": 0}),
        ("persistence", {"persistence": (3, 2)}),
        ("detectors", {"detectors": (("orders", "crystal_ball"),)}),
        ("detectors", {"detectors": (("ordres", "river.gaussian"),)}),
    ],
)
def test_settings_that_make_no_sense_are_refused(key: str, settings: dict):
    with pytest.raises(ConfigError, match=key):
        MonitorSpec(**settings)


def with_endings(windows: Iterable[MergedWindow], seed: int) -> Iterable[MergedWindow]:
    """Sessions end after half an hour of silence: the short ones are the first to be counted."""
    rng = np.random.default_rng(seed)
    for minute, window in enumerate(windows):
        long = min(1.0, (minute - 30) / 12)
        if long > 0:
            ended = int(rng.poisson(66))
            bounced = int(rng.binomial(ended, 1 - 0.6 * long))
            dwell = 55_000 * long * ended * max(0.1, rng.normal(1, 0.17))
            told = {"sessions_ended": ended, "bounces": bounced, "ended_dwell_ms": int(dwell)}
            told["ended_page_views"] = ended + int(rng.poisson(1.4 * long * ended))
            window.rows[WHOLE].counters.update(told)
        yield window


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_ends_after_a_silence_is_not_learnt_from_those_who_left_first(seed: int):
    told = judged(with_endings(shop(minutes=300).windows(), seed))
    delayed = {"dwell_seconds", "bounce_ratio", "browse_depth"}
    assert incidents(told) == []
    assert not [one for judgement in told[:44] for one in judgement.verdicts if one.kpi in delayed]
    last = {one.kpi: one for one in told[-1].verdicts if one.kpi in delayed}
    assert {one.state for one in last.values()} == {"calm"}
    assert last["bounce_ratio"].expected == pytest.approx(0.4, abs=0.05)
    assert last["dwell_seconds"].expected == pytest.approx(55, rel=0.1)
    assert last["dwell_seconds"].lower < 55 - 2 * 0.17 * 55
