"""Where a loss sits: the cubes of windows, and what is asked of them when an alert stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from detectors.attribution import by_step
from detectors.bank import Loss, Series
from detectors.base import Blame, SegmentKey
from detectors.incidents import Step
from detectors.leaves import locate
from detectors.usual import Usual
from streams.engine.cube import Cube, Side, counters_of_side
from streams.kpis import Kpi

__all__ = ["Where"]

FUNNEL = {
    "sessions": "visit",
    "reached.product": "product",
    "reached.cart": "cart",
    "reached.checkout": "checkout",
    "reached.ordered": "order",
    "reached.paid": "payment",
}
"""Counters of the stages in their order, and what they are called in a sentence."""


class Where:
    """Keeps what is usual of the combinations of dimension values, and locates the losses of alerts among them.

    Parameters
    ----------
    kpis
        Those that may be asked for.
    dimension_kinds
        Kind of each dimension: ``session``, ``payment`` or ``product``.
    window_ms
        Length of a window.
    """

    def __init__(self, kpis: Iterable[Kpi], dimension_kinds: Mapping[str, str], window_ms: int) -> None:
        self._kpis = {kpi.name: kpi for kpi in kpis}
        self._kinds, self._window_ms = dict(dimension_kinds), window_ms
        self._sides: dict[str, Usual] = {}

    def take(self, cube: Cube | None, onsets_ms: Collection[int] = ()) -> None:
        """Take the cube of a window; what came since the onsets of alerts that stand is not usual."""
        if cube is not None:
            self._take("sessions", cube.sessions, cube.end_ms)
            self._take("orders", cube.orders, cube.end_ms)
        if onsets_ms:
            for usual in self._sides.values():
                usual.mask(min(onsets_ms))

    def blame(self, series: Series, loss: Loss, since_ms: int, end_ms: int) -> tuple[Blame, ...] | None:
        """The values and pairs in which a loss sits; None where the cubes cannot tell.

        Parameters
        ----------
        since_ms, end_ms
            From where the loss is counted, and the end of the latest window.
        """
        kpi = self._kpis.get(series.kpi)
        if kpi is None or kpi.unit not in {"ratio", "count"}:
            return None
        terms = {term.removeprefix("-") for term in (*kpi.numerator, *(kpi.denominator or ()))}
        name = next((name for name in self._sides if terms <= set(counters_of_side(name))), None)
        if name is None:
            return None
        usual = self._sides[name]
        dimensions = [one for one in usual.dimensions if kpi.may_split(((one, ""),), self._kinds)]
        if not all(one in dimensions for one, _ in series.segment):
            return None
        leaves = usual.leaves(since_ms, kpi.numerator, kpi.denominator, dimensions, series.segment)
        windows = min(usual.windows(since_ms), max(1, (end_ms - since_ms) // self._window_ms))
        per = loss.windows if leaves is not None and leaves.trials is None else loss.exposure
        if leaves is None or per <= 0 or not leaves.dimensions:
            return None
        expected = loss.expected / per * (windows if leaves.trials is None else 1)
        told = locate(leaves, expected, series.hurts, loss.dispersion)
        return tuple(one._replace(segment=_joined(one.segment, series.segment)) for one in told)

    def step(self, series: Series, since_ms: int) -> Step | None:
        """The step of the funnel at which most of a ratio over several steps was lost since a moment; else None."""
        kpi, usual = self._kpis.get(series.kpi), self._sides.get("sessions")
        terms = () if kpi is None or kpi.denominator is None else (*kpi.denominator, *kpi.numerator)
        if usual is None or len(terms) != 2 or not set(terms) <= set(FUNNEL):
            return None
        first, last = (list(FUNNEL).index(term) for term in terms)
        stages = list(FUNNEL)[first : last + 1]
        if len(stages) < 3:
            return None
        now, before = usual.totals(since_ms)
        shares = by_step([now[stage] for stage in stages], [before[stage] for stage in stages])
        if not shares:
            return None
        most = shares.index(max(shares))
        return Step(FUNNEL[stages[most]], FUNNEL[stages[most + 1]], shares[most])

    def _take(self, name: str, side: Side, end_ms: int) -> None:
        usual = self._sides.get(name)
        if usual is None or usual.dimensions != side.dimensions:
            # Other dimensions were configured: what was usual of the old ones says nothing of these.
            usual = self._sides[name] = Usual(side.dimensions, counters_of_side(name), self._window_ms)
        usual.take(end_ms, side.leaves(), side.counters)


def _joined(one: SegmentKey, other: SegmentKey) -> SegmentKey:
    return tuple(sorted((*one, *other)))
