"""What a look means: score against the border, where the evidence begins, and the interval of this window."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.scan import TRACKED, WINDOWS, Look, Scan
from detectors.visible import WITHIN, smallest_change

__all__ = ["Reading", "read"]

Floats = NDArray[np.float64]

LENGTHS = np.log(WINDOWS)[:, None]
SPREAD = 3.0
"""Standard deviations of the interval that is shown."""


NEAREST = TRACKED.index(8)
"""The window that is nearest to the stretch in which a change should be visible."""


class Reading(NamedTuple):
    """Arrays over series.

    ``score`` is for the side that hurts and ``other`` for the opposite one; ``since`` is the step before the best
    window and ``observed``, ``expected``, ``exposure`` its sums; ``..._now`` are of the present window. ``loudest`` is
    the most evidence on the side that hurts, as nats of a window of length one; ``visible`` is the least change that
    would be seen within ten windows, a share of what is expected.
    """

    score: Floats
    other: Floats
    best: NDArray[np.int64]
    since: NDArray[np.int64]
    observed: Floats
    expected: Floats
    exposure: Floats
    doubt: Floats
    expected_now: Floats
    lower_now: Floats
    upper_now: Floats
    ready: NDArray[np.bool_]
    loudest: Floats
    visible: Floats


def read(scan: Scan, look: Look, border: Floats, visible: Floats | None = None) -> Reading:
    """Lay the evidence of a look beside the border of each series.

    Parameters
    ----------
    border
        Nats needed by a window of length one; a longer window needs ``ln(length)`` less, since there are fewer.
    visible
        The least change that would be seen, where it is known already: it changes little from one window to the next.
    """
    if visible is None or len(visible) != len(border):
        visible = _visible(scan, look, border)
    # A row a window: that is how they lie in memory.
    evidence, side = look.evidence.T, look.side.T
    ratio = evidence / np.maximum(border - LENGTHS, 1.0)
    down = side == scan.hurts
    bad = np.where(down, ratio, 0.0)
    best = bad.argmax(axis=0)
    rows = np.arange(len(best))
    now, doubt = look.expected[:, 0], look.doubt[:, 0]
    width = SPREAD * np.sqrt(look.dispersion[:, 0] * now + doubt * now * now)
    return Reading(
        score=bad[best, rows],
        other=np.where(side == -scan.hurts, ratio, 0.0).max(axis=0, initial=0.0),
        best=best,
        since=np.maximum(look.step - WINDOWS[best], scan.since),
        observed=look.observed[rows, best],
        expected=look.expected[rows, best],
        exposure=look.exposures[rows, best],
        doubt=look.doubt[rows, best],
        expected_now=now,
        lower_now=np.maximum(now - width, 0.0),
        upper_now=now + width,
        ready=scan.ready.copy(),
        loudest=np.where(bad > 0, evidence + LENGTHS, 0.0).max(axis=0, initial=0.0),
        visible=visible,
    )


def _visible(scan: Scan, look: Look, border: Floats) -> Floats:
    """The last few windows tell what the next ones hold."""
    lengths = np.clip(look.step - scan.since, 1, TRACKED[NEAREST])
    expected = np.maximum(look.expected[:, NEAREST] * WITHIN / lengths, 1e-9)
    needed = np.maximum(border - np.log(WITHIN), 1.0)
    return smallest_change(expected, look.dispersion[:, NEAREST], look.doubt[:, NEAREST], needed, scan.hurts)
