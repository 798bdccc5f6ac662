"""Floors on labelled counts: what must be found, how soon, and how seldom a calm shop may page."""

from __future__ import annotations

import pytest

from streams.monitor import Monitor
from tests.detection.library import Drop, Shop

HISTORY = 300

FOUND = [
    (1000, Drop("payment", HISTORY, HISTORY + 40, 0.4), 3),
    (1000, Drop("checkout", HISTORY, HISTORY + 60, 0.4), 8),
    (1000, Drop("provider", HISTORY, HISTORY + 40, 0.7, segment="psp-2"), 3),
    (1000, Drop("silence", HISTORY, HISTORY + 20, 1.0), 1),
    (300, Drop("payment", HISTORY, HISTORY + 40, 0.8), 2),
    (300, Drop("cart", HISTORY, HISTORY + 60, 0.5), 10),
    (60, Drop("payment", HISTORY, HISTORY + 60, 0.9), 10),
]


def pages(shop: Shop) -> list[int]:
    """Minutes at which an incident opened."""
    monitor = Monitor()
    return [
        minute
        for minute, window in enumerate(shop.windows())
        for incident in monitor.observe(window).incidents
        if incident.state == "open"
    ]


@pytest.mark.parametrize(("sessions", "drop", "within"), FOUND, ids=lambda one: getattr(one, "kind", str(one)))
def test_an_incident_is_found_soon_after_five_hours_of_history(sessions: float, drop: Drop, within: int):
    found = pages(Shop(sessions, HISTORY + within + 1, seed=21, drops=(drop,), start_minute=540))
    assert found
    assert HISTORY <= found[0] <= HISTORY + within


@pytest.mark.parametrize("sessions", [20, 2000])
def test_a_calm_day_of_a_new_shop_does_not_page(sessions: float):
    assert pages(Shop(sessions, 900, seed=31, start_minute=480)) == []


def test_a_crowd_does_not_page_while_it_is_there_nor_when_it_leaves():
    drop = Drop("surge", HISTORY, HISTORY + 60, 1.0)
    assert pages(Shop(800, HISTORY + 160, seed=23, drops=(drop,), start_minute=540)) == []
