from __future__ import annotations

import pytest

from detectors.base import Incident
from streams.monitor import Monitor, MonitorSpec
from tests.detection.library import Drop, Shop

AT = 300


def first(drop: Drop, sessions: float = 500, minutes: int = 12) -> Incident | None:
    monitor = Monitor(MonitorSpec())
    shop = Shop(sessions, AT + minutes, seed=9, drops=(drop,), start_minute=500)
    told = [one for window in shop.windows() for one in monitor.observe(window).incidents]
    return told[-1] if told else None


@pytest.mark.parametrize("step", ["cart", "checkout", "ordered"])
def test_a_lost_event_type_is_told_as_tracking(step: str):
    incident = first(Drop("tracking", AT, AT + 60, 1.0, segment=step))
    assert incident is not None
    assert incident.kind == "tracking"
    assert incident.summary.startswith("tracking loss: ")


def test_shoppers_who_do_not_get_on_are_no_lost_tracking():
    incident = first(Drop("checkout", AT, AT + 60, 0.8))
    assert incident is not None
    assert incident.kind in {"drop", "stop"}


def test_sessions_that_never_buy_are_told_as_bots():
    incident = first(Drop("bots", AT, AT + 60, 1.5), minutes=20)
    assert incident is not None
    assert incident.kind == "bots"


def test_the_provider_that_fails_is_named_in_the_incident_of_the_whole():
    incident = first(Drop("provider", AT, AT + 60, 1.0, segment="psp-1"), sessions=2000)
    assert incident is not None
    assert incident.attribution[0][0] == (("payment_provider", "psp-1"),)
    assert "% of the loss is payment_provider=psp-1 (rate)" in incident.summary
