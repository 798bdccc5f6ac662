from __future__ import annotations

import pytest

from detectors import registry
from detectors.guard import Guard
from detectors.stock import ThresholdDetector


def test_every_name_makes_a_guarded_detector():
    for name in registry.names():
        assert isinstance(registry.create(name), Guard)


def test_an_unknown_name_lists_those_that_exist():
    with pytest.raises(KeyError, match=r"river\.adwin"):
        registry.create("crystal_ball")


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="exists"):
        registry.register("scan.ratio", ThresholdDetector)


def test_settings_reach_the_detector():
    assert registry.create("threshold", limit=0.123).detector.limit == 0.123
