"""The short form of the soak: one round of faults that overlap, and nothing lost, doubled, misjudged or paged."""

import pytest

from tests.faults.soak import run
from tests.support.brokers import BROKERS, missing
from tests.support.kafka.native import why_unavailable

FAULTS = ("kill during a checkpoint", "silent partition", "freeze past the session", "connections hang", "kill -9")


@pytest.mark.parametrize("kind", BROKERS)
def test_workers_that_die_freeze_and_are_cut_off_change_no_row_no_letter_and_no_verdict(kind: str) -> None:
    if kind == "kafka" and (reason := why_unavailable()):
        missing(kind, reason)
    soak, _ = run(7, kind, [FAULTS])
    assert soak.findings == []
    assert soak.verdicts > 0
    assert soak.twins.rejected
