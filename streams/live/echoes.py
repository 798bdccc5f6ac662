"""What a judge hears on the KPI topic of its own words, and of those of one that was frozen and is judge no more."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from detectors.base import Incident
from streams.engine.rows import Row, row_key
from streams.live.fold import Fold
from streams.live.logs import get_logger

__all__ = ["Correction", "Echoes"]

REST_MS = 5_000
"""Who has woken up is told within a heartbeat that it is judge no more; until then it may write on."""

logger = get_logger("watch")


class Correction(NamedTuple):
    """What has to be written once more."""

    rows: list[Row]
    incidents: list[Incident]


class Echoes:
    """Finds merged rows that somebody else wrote while this judge was live.

    A judge writes the same rows as any other from the same records, but one that was frozen may write those of an early
    revision over later ones, and an incident as it was over one that has ended.
    """

    def __init__(self) -> None:
        self._expected: Counter[bytes] = Counter()
        self._foreign: dict[bytes, Row] = {}
        self._heard_at_ms = 0

    def wrote(self, key: bytes) -> None:
        """A merged row is on its way under this key."""
        self._expected[key] += 1

    def hear(self, row: Row, now_ms: int) -> None:
        """A merged row has come in."""
        key = row_key(row)
        if self._expected[key] > 1:
            self._expected[key] -= 1
        elif not self._expected.pop(key, 0):
            self._foreign[key], self._heard_at_ms = row, now_ms

    def correction(self, fold: Fold, now_ms: int) -> Correction:
        """What puts right what was overwritten, once nothing foreign has come for a while.

        Parameters
        ----------
        fold
            What the judge knows.
        now_ms
            The clock.
        """
        if not self._foreign or now_ms - self._heard_at_ms < REST_MS:
            return Correction([], [])
        foreign, self._foreign = list(self._foreign.values()), {}
        rows = [known for row in foreign if (known := fold.published(row)) is not None and known != row]
        since_ms = min(row.end_ms for row in foreign)
        logger.warning("another_judge rows=%d outdated=%d since_ms=%d", len(foreign), len(rows), since_ms)
        return Correction(rows, [one for one in fold.incidents.values() if one.updated_ms >= since_ms])
