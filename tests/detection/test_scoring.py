"""Pages held against labels: what counts as found, as false, and as neither."""

from __future__ import annotations

from tests.detection.cases import DAY, Case
from tests.detection.labels import Label
from tests.detection.scoring import ECHO, GRACE, LASTING, ONE_PAGE, Page, Run, score

OUTAGE = Label("payment", 1000, 1060, 0.9)


def held(*minutes: int, labels: tuple[Label, ...] = (OUTAGE,), standing: tuple[tuple[int, int], ...] = ()):
    """The score of a run of three days, judged from minute 500 on, that paged at these minutes."""
    case = Case("notes", "small", 1, 3, 500, labels)
    return score([Run(case, [Page(minute, "drop", (), "") for minute in minutes], list(standing))])


def test_the_window_of_the_onset_is_the_first_that_finds_an_incident():
    assert (held(1001).recall, held(1001).delays) == (1.0, [1])
    assert held(1000).recall == 0.0


def test_an_incident_is_found_until_its_shoppers_have_passed():
    assert held(1060 + GRACE).recall == 1.0
    assert held(1060 + GRACE + 1).recall == 0.0


def test_an_echo_is_neither_found_nor_false():
    told = held(1060 + ECHO)
    assert (told.echoes, told.false, told.recall) == (1, [], 0.0)
    assert len(held(1060 + ECHO + 1).false) == 1


def test_pages_within_a_quarter_of_an_hour_are_one():
    assert len(held(2000, 2000 + ONE_PAGE).false) == 1
    assert len(held(2000, 2000 + ONE_PAGE + 1).false) == 2


def test_a_false_page_just_before_an_incident_does_not_hide_the_find():
    told = held(999, 1003)
    assert (told.recall, told.delays, len(told.false), told.precision) == (1.0, [3], 1, 0.5)


def test_nothing_is_counted_before_the_history_is_over():
    assert held(500).false == []
    assert len(held(501).false) == 1


def test_a_crowd_that_nobody_announced_makes_a_page_false():
    told = held(2030, labels=(Label("surge", 2000, 2060, 1.0),))
    assert (len(told.false), told.crowd, told.there) == (1, 1, 0)


def test_a_lasting_fall_may_page_once_and_a_lasting_rise_may_not():
    fall, rise = Label("level", 2000, 3 * DAY, 0.15), Label("level", 2000, 3 * DAY, -0.15)
    assert held(2000 + LASTING, labels=(fall,)).false == []
    assert len(held(2100, 2200, labels=(fall,)).false) == 1
    assert len(held(2000 + LASTING + 1, labels=(fall,)).false) == 1
    assert len(held(2100, labels=(rise,)).false) == 1


def test_quiet_time_is_what_no_incident_covers_and_loud_is_what_of_it_an_alert_does():
    told = held(labels=(OUTAGE,), standing=((990, 1200),))
    assert told.quiet == 3 * DAY - 500 - (60 + ECHO)
    assert told.loud == 10 + 1200 - (1060 + ECHO)
