from __future__ import annotations

import numpy as np
import pytest

from detectors.base import Blame
from detectors.leaves import REST, Leaves, locate
from tests.support.cubes import CAUSES, draw_cube, leaves_of

DEVICES, METHODS = ("ios", "android", "web"), ("alipay", "wechat", "card", REST)
IOS, CARD, WEB = (("device", "ios"),), (("method", "card"),), (("device", "web"),)


def payments(success=0.93, tries=200.0, **hurt) -> Leaves:
    """Three devices by four methods; ``hurt`` gives "device_method" another rate, or "device" in all methods."""
    codes = np.array([[device, method] for device in range(3) for method in range(4)]).T
    rates = np.full(12, success)
    for name, rate in hurt.items():
        device, _, method = name.partition("_")
        inside = codes[0] == DEVICES.index(device) if device else np.ones(12, dtype=bool)
        rates[inside & (codes[1] == METHODS.index(method)) if method else inside] = rate
    trials = np.full(12, tries)
    return Leaves(
        ("device", "method"), (DEVICES, METHODS), codes, np.round(trials * rates), np.full(12, success), trials, trials
    )


def test_a_value_that_broke_everywhere_is_told_alone_and_not_with_its_pairs():
    assert locate(payments(ios=0.3), 0.93) == (Blame(IOS, pytest.approx(1.0, abs=0.01), "rate"),)


def test_two_values_that_break_only_together_are_told_as_a_pair():
    told = locate(payments(android_card=0.2), 0.93)
    assert [blame.segment for blame in told] == [(("device", "android"), ("method", "card"))]


def test_of_two_causes_each_is_told_with_its_share():
    told = locate(payments(ios_alipay=0.3, web_card=0.6), 0.93)
    assert [blame.segment for blame in told] == [
        (("device", "ios"), ("method", "alipay")),
        (("device", "web"), ("method", "card")),
    ]
    assert told[0].share == pytest.approx(63 / 96, abs=0.02)
    assert told[1].share == pytest.approx(33 / 96, abs=0.02)


def test_a_fall_that_is_everywhere_is_put_on_nobody():
    assert locate(payments(ios=0.5, android=0.5, web=0.5), 0.93) == ()


def test_a_ratio_that_is_as_expected_or_better_has_no_cause():
    assert locate(payments(), 0.93) == ()
    assert locate(payments(ios=0.99), 0.93) == ()


def test_what_was_folded_into_the_rest_is_never_named():
    codes = payments().codes
    hurt = payments()._replace(successes=np.where(codes[1] == 3, 40.0, 186.0))
    assert all(REST not in dict(blame.segment).values() for blame in locate(hurt, 0.93))


def test_a_level_that_is_lower_for_all_by_the_hour_is_no_loss():
    at_night = payments(ios=0.8, android=0.8, web=0.8)
    assert locate(at_night, expected=0.8) == ()


def test_a_rise_hurts_where_a_rise_is_the_loss():
    bounces = payments(success=0.3, tries=400.0, web=0.6)
    assert [blame.segment for blame in locate(bounces, 0.3, hurts=1)] == [WEB]
    assert locate(bounces, 0.3, hurts=-1) == ()


def test_more_of_a_weak_segment_is_told_as_mix_with_the_loss_that_it_makes():
    calm = payments(success=0.5, tries=1000.0)
    usual = np.where(calm.codes[0] == 2, 0.1, 0.6)
    trials = np.where(calm.codes[0] == 2, 4000.0, 1000.0)
    mixed = calm._replace(successes=trials * usual, usual=usual, trials=trials)
    (told,) = locate(mixed, float(usual.mean()))
    assert (told.segment, told.kind) == (WEB, "mix")
    assert told.share == pytest.approx(1.0, abs=0.01)


def test_a_count_is_located_by_its_usual_shares():
    codes = payments().codes
    visits = Leaves(
        ("device", "method"), (DEVICES, METHODS), codes, np.where(codes[0] == 0, 5.0, 100.0), np.full(12, 7.0)
    )
    (told,) = locate(visits, expected=1200.0)
    assert (told.segment, told.kind) == (IOS, "volume")
    assert told.share == pytest.approx(380 / 395, abs=0.05)


def test_few_trials_say_nothing():
    assert locate(payments(success=0.6, tries=3.0, ios_card=0.0), 0.6) == ()


def test_the_same_leaves_in_another_order_give_the_same_answer():
    leaves = payments(ios_alipay=0.3, web=0.7)
    order = np.random.default_rng(7).permutation(12)
    turned = leaves._replace(
        codes=leaves.codes[:, order],
        successes=leaves.successes[order],
        usual=leaves.usual[order],
        trials=leaves.trials[order],
        usual_trials=leaves.usual_trials[order],
    )
    assert locate(turned, 0.93) == locate(leaves, 0.93)


def test_on_busy_cubes_nine_of_ten_causes_are_named_and_nine_of_ten_named_are_causes():
    right = named = wanted = 0
    for cause in CAUSES:
        for seed in range(500_000, 500_010):
            cube, truth = draw_cube(seed, "busy", cause)
            told = {blame.segment for blame in locate(leaves_of(cube), cube.expected)}
            right, named, wanted = right + len(told & truth), named + len(told), wanted + len(truth)
    assert right >= 0.9 * named
    assert right >= 0.9 * wanted


def test_mix_and_rate_are_told_apart_on_drawn_cubes():
    for cause, kind in (("mix", "mix"), ("pair", "rate")):
        for seed in range(600_000, 600_005):
            cube, truth = draw_cube(seed, "busy", cause)
            told = {blame.kind for blame in locate(leaves_of(cube), cube.expected) if blame.segment in truth}
            assert told == {kind}
