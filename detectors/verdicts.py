"""From a bank's arrays to verdicts and alerts that people and topics can read."""

from __future__ import annotations

from itertools import repeat
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.attribution import Cell, attribute, mix_and_rate
from detectors.bank import Bank, Counted, Judged, Loss, Series
from detectors.base import Blame, Verdict, VerdictKind, VerdictState
from detectors.incidents import Alert, Step, figure

__all__ = ["alerts_of", "verdicts_of"]

COVERED = 0.9
"""Share of the whole that the watched values of a dimension have to hold before its mix is told."""

UNHURT = frozenset({"tracking", "bots"})
"""Kinds of findings in which no order is lost: events are, or there are more visits than shoppers."""


class Locator(Protocol):
    """Knows the combinations that windows counted; None is "cannot be told"."""

    def blame(self, series: Series, loss: Loss, since_ms: int, end_ms: int) -> tuple[Blame, ...] | None:
        """In which segments a loss sits that is counted from one moment to the other."""

    def step(self, series: Series, since_ms: int) -> Step | None:
        """At which step of the funnel most of a ratio over several steps was lost."""


class Nowhere:
    """For banks whose windows bring no cube."""

    def blame(self, series: Series, loss: Loss, since_ms: int, end_ms: int) -> None:
        """It cannot be told."""

    def step(self, series: Series, since_ms: int) -> None:
        """It cannot be told."""


NOWHERE = Nowhere()


def verdicts_of(
    bank: Bank, judged: Judged, counted: Counted, end_ms: int, kinds: dict[int, VerdictKind]
) -> list[Verdict]:
    """Verdicts on what series ``counted`` in this window, in the order that is asked for."""
    look, reading = judged.look, judged.reading
    size, (successes, trials, order) = len(bank.series), counted
    ready, seen = bank.warm(look.step), look.seen
    told = ready & seen
    base = np.ones(size) if trials is None else np.where(bank.shares, 1.0, np.array(trials, dtype=float))
    bases: list[float | None] = [None] * size if trials is None else list(trials)
    for i in np.flatnonzero(bank.shares).tolist():
        # It is judged as a share, and told as the count that it is.
        bases[i] = None
    valued = base != 0
    factor = bank.weights * bank.scales / np.where(valued, base, 1.0)
    shown = bank.scan.ready & valued
    upper = reading.upper_now * factor
    states: list[VerdictState] = ["calm"] * size
    for i in np.flatnonzero(~told).tolist():
        states[i] = "warming_up" if seen[i] else "waiting"
    verdicts = list(
        map(
            Verdict._make,
            zip(
                [one.kpi for one in bank.series],
                [one.segment for one in bank.series],
                repeat(end_ms - bank.window_ms),
                repeat(end_ms),
                states,
                _where(valued, np.array(successes, dtype=float) * factor / bank.weights),
                successes,
                bases,
                _where(shown, reading.expected_now * factor),
                _where(shown, reading.lower_now * factor),
                # A share of its own trials cannot pass one.
                _where(shown, np.where(bank.binomial, np.minimum(upper, 1.0), upper)),
                np.where(told, reading.score, 0.0).tolist(),
                repeat(False),
                repeat(None),
                repeat(None),
                repeat(""),
                _where(told, reading.visible),
                strict=False,
            ),
        )
    )
    for i in judged.standings:
        verdicts[i] = _worded(bank, i, judged, verdicts[i], kinds.get(i))
    return [verdicts[i] for i in order]


def alerts_of(
    bank: Bank,
    judged: Judged,
    kinds: dict[int, VerdictKind],
    units: dict[str, str],
    orders_per: dict[str, float],
    where: Locator = NOWHERE,
) -> list[Alert]:
    """The alerts that stand or ended with this window.

    Parameters
    ----------
    orders_per
        Turns lost successes of a KPI into lost orders.
    where
        Says in which combinations a loss sits; where it cannot tell, single values that are judged are asked.
    """
    told = []
    for i, standing in judged.standings.items():
        loss = bank.losses.get(i)
        if loss is None or not (standing.active or standing.ended):
            continue
        series = bank.series[i]
        base = float(loss.windows) if series.share else loss.exposure if loss.exposure > 0 else None
        scale = series.weight * series.scale
        kind: VerdictKind = "drift" if standing.timed_out else kinds.get(i, "drop")
        told.append(
            Alert(
                kpi=series.kpi,
                segment=series.segment,
                kind=kind,
                onset_ms=(standing.since_ms or 0) - series.delay_ms,
                delay_ms=series.delay_ms,
                active=standing.active,
                score=loss.score,
                expected=loss.expected / base * scale if base else None,
                observed=loss.observed / base * scale if base else None,
                unit=units.get(series.kpi, "count"),
                rank=series.rank,
                orders_lost=None if kind in UNHURT else _orders(bank, i, orders_per),
                attribution=_attribution(bank, i, judged, where) if standing.active else (),
                step=where.step(series, standing.since_ms or 0) if standing.active and not series.segment else None,
            )
        )
        if standing.ended:
            del bank.losses[i]
    return told


def _attribution(bank: Bank, i: int, judged: Judged, where: Locator) -> tuple[Blame, ...]:
    """Where the loss sits: since the onset in combinations, else over the stretch that tells most in single values."""
    end_ms = judged.look.step * bank.window_ms
    told = where.blame(bank.series[i], bank.losses[i], judged.standings[i].since_ms or 0, end_ms)
    if segment := bank.series[i].segment:
        # Nothing narrower was found: the segment itself is the place.
        return told or (Blame(segment, 1.0),)
    if told is not None:
        return told
    window, look = int(judged.reading.best[i]), judged.look
    children = np.flatnonzero((bank.scan.model.parent == i) & bank.scan.ready)
    cells = [
        Cell(bank.series[child].segment, float(look.observed[child, window]), float(look.expected[child, window]))
        for child in children.tolist()
    ]
    whole = Cell((), float(look.observed[i, window]), float(look.expected[i, window]))
    return attribute(whole, cells)


def _where(known: NDArray[np.bool_], values: NDArray[np.float64]) -> list[float | None]:
    """The values, and None where nothing is known."""
    told: list[float | None] = values.tolist()
    for i in np.flatnonzero(~known).tolist():
        told[i] = None
    return told


def _worded(bank: Bank, i: int, judged: Judged, verdict: Verdict, kind: VerdictKind | None) -> Verdict:
    """The verdict on a series that is not simply calm."""
    standing = judged.standings[i]
    state = standing.state if verdict.state == "calm" else verdict.state
    since_ms = standing.since_ms if standing.active else None
    return verdict._replace(
        state=state,
        active=standing.active,
        since_ms=None if since_ms is None else since_ms - bank.series[i].delay_ms,
        kind=kind if state in {"alert", "suspect", "unsure"} else None,
        explanation=_explain(bank, i, judged) if state in {"alert", "suspect"} else "",
    )


def _orders(bank: Bank, i: int, orders_per: dict[str, float]) -> tuple[float, float, float] | None:
    series: Series = bank.series[i]
    factor = orders_per.get(series.kpi)
    if factor is None or series.hurts > 0:
        return None
    loss = bank.losses[i]
    spread = 2 * loss.deviation
    return tuple(max(0.0, each * factor) for each in (loss.missing, loss.missing - spread, loss.missing + spread))  # type: ignore[return-value]


def _explain(bank: Bank, i: int, judged: Judged) -> str:
    """Observed and expected counts of the stretch that tells most."""
    series, reading = bank.series[i], judged.reading
    windows = judged.look.step - int(reading.since[i])
    observed, expected = float(reading.observed[i]), float(reading.expected[i])
    change = observed / expected - 1 if expected > 0 else 0.0
    text = f"{observed:.0f} where {expected:.0f} were expected in {windows} windows ({100 * change:+.0f} %)"
    if not (series.volume or series.share) and reading.exposure[i] > 0:
        base = float(reading.exposure[i]) / (series.scale * series.weight)
        unit = "ratio" if series.scale == 1.0 and series.weight == 1.0 else ""
        text += f": {figure(observed / base, unit)} against {figure(expected / base, unit)}"
    return text + _mixed(bank, i, judged)


def _mixed(bank: Bank, i: int, judged: Judged) -> str:
    """Says so where a ratio moved because other shoppers came, and not because any of them did otherwise."""
    look, scan, window = judged.look, bank.scan, int(judged.reading.best[i])
    by_dimension: dict[str, list[int]] = {}
    for child in np.flatnonzero((scan.model.parent == i) & scan.ready).tolist():
        by_dimension.setdefault(bank.series[child].segment[0][0], []).append(child)
    for dimension, children in by_dimension.items():
        trials = [float(look.exposures[child, window]) for child in children]
        if min(trials) <= 0 or sum(trials) < COVERED * float(look.exposures[i, window]):
            continue
        cells = [
            Cell(bank.series[child].segment, float(look.observed[child, window]), 0.0, n, float(scan.total[1, child]))
            for child, n in zip(children, trials, strict=True)
        ]
        rates = {
            bank.series[child].segment: float(look.expected[child, window]) / n
            for child, n in zip(children, trials, strict=True)
        }
        split = mix_and_rate(cells, rates)
        if split.mix * bank.scan.specs[i].hurts > 2 * abs(split.rate):
            return f"; the mix of {dimension} changed, not the rates in it"
    return ""
