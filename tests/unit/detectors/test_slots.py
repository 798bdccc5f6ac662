from __future__ import annotations

import numpy as np
import pytest

from detectors.slots import SlotTable

LIVE = np.ones(1, dtype=bool)


def day(table: SlotTable, logs: dict[int, float], expected: float = 10_000.0) -> None:
    """A day in which some quarter-hours are off by these logarithms."""
    for slot in range(96):
        count = np.array([expected * np.exp(logs.get(slot, 0.0))])
        table.learn(slot, count, np.array([expected]), np.array([expected]), LIVE)


def table_of(*days: dict[int, float], expected: float = 10_000.0) -> SlotTable:
    table = SlotTable()
    table.add(0.03)
    for logs in (*days, {}):
        day(table, logs, expected)
    return table


def test_an_edge_of_most_days_is_believed():
    assert table_of({8: -0.2}, {8: -0.2}, {8: -0.2}).told(8)[0] == pytest.approx(-0.2, abs=0.02)


def test_an_incident_of_one_day_moves_nothing_but_leaves_a_doubt_for_a_while():
    calm, once = table_of({}), table_of({8: -1.5})
    assert once.told(8)[0] == 0.0
    assert once.doubt(8)[0] > calm.doubt(8)[0]
    assert table_of({8: -1.5}, {}, {}, {}).doubt(8)[0] == pytest.approx(calm.doubt(8)[0], rel=0.6)


def test_days_of_two_kinds_are_in_doubt():
    alike, apart = table_of(*[{8: -0.2}] * 6), table_of(*[{8: -0.4}, {}] * 3)
    assert alike.var[1, 8] < 0.02**2
    assert apart.var[1, 8] > 0.1**2


def test_what_was_never_seen_is_doubted_most():
    table = SlotTable()
    table.add(0.03)
    assert table.doubt(8)[0] > 2 * table_of({}, {}, {}).doubt(8)[0]


def test_chance_in_few_counts_is_no_edge():
    assert abs(table_of({8: -0.2}, {8: -0.2}, {8: -0.2}, expected=4.0).told(8)[0]) < 0.02


def test_beside_a_sharp_edge_there_is_doubt():
    table = table_of({8: -0.2}, {8: -0.2}, {8: -0.2})
    assert table.doubt(9)[0] > 5 * table.doubt(20)[0]


def test_a_segment_has_no_table_of_its_own():
    table = SlotTable()
    table.add(0.0)
    day(table, {8: -0.5})
    day(table, {8: -0.5})
    assert [table.told(slot)[0] for slot in range(96)] == [0.0] * 96
