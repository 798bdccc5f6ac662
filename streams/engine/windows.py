"""Windows: where a moment is counted, when a window closes, and the rows that it leaves behind."""

from __future__ import annotations

from typing import Final

from streams.engine.counters import CounterNames, Tally
from streams.engine.cube import Cube
from streams.engine.cubing import CubeMaker
from streams.engine.rollup import Rolled, RollUp
from streams.engine.rows import WHOLE, Row, RowKind
from streams.engine.spec import EngineSpec
from streams.errors import ConfigError
from streams.events import STAGES

__all__ = ["MOST_EMPTY", "NEVER", "NO_HORIZON", "Ledger", "Present", "horizon_label"]

UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))
Place = tuple[int, int]
"""Start of a window, and the horizon of its cohort row; no horizon (a window row) is -1."""

NO_HORIZON: Final = -1
MOST_HORIZONS: Final = 10
"""A session keeps six bits of 63 for each."""

MOST_EMPTY: Final = 600_000
"""Windows without an event that still have their rows of zeros: more than a year of minutes."""


def horizon_label(horizon_ms: int) -> str:
    """A horizon in the largest unit that divides it.

    >>> horizon_label(900_000), horizon_label(90_000), horizon_label(86_400_000)
    ('15m', '90s', '1d')
    """
    for unit, size in UNITS:
        if horizon_ms % size == 0:
            return f"{horizon_ms // size}{unit}"
    return f"{horizon_ms}ms"


class Ledger:
    """The open windows and cohorts of a partition, the corrections to closed ones, and the rows of what closes.

    ``first_ms`` is the window of the first accepted record: from it on, each window has a row of the whole.
    ``next_ms`` is the window that closes next.
    """

    def __init__(self, spec: EngineSpec, partition: int, names: CounterNames, rollup: RollUp) -> None:
        self._spec, self._partition, self._rollup = spec, partition, rollup
        self._fingerprint = spec.fingerprint
        self._window, self._grace = spec.window_ms, spec.grace_ms
        horizons = spec.cohort_horizons_ms
        if len(horizons) > MOST_HORIZONS or len(set(horizons)) < len(horizons):
            raise ConfigError(
                f"not up to {MOST_HORIZONS} different horizons",
                key="cohort_horizons",
                value=horizons,
                way_out="list each once, and fewer",
            )
        self.cohort_counters = tuple(
            tuple(names.id(f"cohort.{what}@{horizon_label(horizon)}") for what in ("sessions", *STAGES))
            for horizon in spec.cohort_horizons_ms
        )
        self.first_ms: int | None = None
        self.next_ms = 0
        self.open: dict[int, Tally] = {}
        self.cohorts: dict[Place, Tally] = {}
        self.corrections: dict[Place, Tally] = {}
        self.cube_maker: CubeMaker | None = None
        self.cubes: list[Cube] = []
        """Of the windows that closed since they were last taken."""
        self.numbers: dict[Place, dict[str, int]] = {}
        """Corrections sent so far, by window and segment (as text)."""
        self.touched: dict[Place, dict[str, int] | None] = {}
        """Those of ``numbers`` that changed since the last checkpoint; None where forgotten."""
        self.tallies_made = 0

    def begin(self, event_ms: int) -> None:
        """Note the first accepted record; earlier windows that are still open then close without a row where empty."""
        self.first_ms = event_ms - event_ms % self._window
        closed_ms = event_ms - self._spec.max_out_of_orderness_ms - self._grace - self._window
        self.next_ms = closed_ms - closed_ms % self._window + self._window

    def tally(self, moment_ms: int, position_ms: int) -> Tally:
        """The tally of the window of a moment: its correction where it is closed at that position of the watermark."""
        start = moment_ms - moment_ms % self._window
        if start + self._window + self._grace <= position_ms:
            return self._correction((start, NO_HORIZON))
        tally = self.open.get(start)
        if tally is None:
            tally = self.open[start] = self._tally()
        return tally

    def cohort(self, opened_ms: int, horizon_ms: int, position_ms: int) -> Tally:
        """The tally of the cohort of the window of an opening."""
        start = opened_ms - opened_ms % self._window
        place = (start, horizon_ms)
        if start + self._window + horizon_ms + self._grace <= position_ms:
            return self._correction(place)
        tally = self.cohorts.get(place)
        if tally is None:
            tally = self.cohorts[place] = self._tally()
        return tally

    def is_closed(self, moment_ms: int, position_ms: int) -> bool:
        """Whether the window of a moment is closed at that position of the watermark."""
        return moment_ms - moment_ms % self._window + self._window + self._grace <= position_ms

    def leap(self, next_ms: int, stream_ms: int) -> None:
        """Leave out the rows of zeros of an absurd silence: a single wrong event time would fill the memory.

        ``next_ms`` is the earliest moment at which anything may yet be counted.
        """
        next_ms = min(next_ms, stream_ms, *self.open)
        if self.first_ms is not None and next_ms - self.next_ms > MOST_EMPTY * self._window:
            self.next_ms = next_ms - next_ms % self._window

    def closes_window(self, position_ms: int) -> bool:
        """Whether a window closes at this position (and not only a cohort)."""
        return (position_ms - self._grace) % self._window == 0

    def next_close(self, stream_ms: int) -> int | None:
        """The next position at which a window or a cohort closes; no empty windows beyond that of ``stream_ms``."""
        after = self._window + self._grace
        positions = [start + horizon + after for start, horizon in self.cohorts]
        if self.next_ms <= stream_ms and self.first_ms is not None:
            positions.append(self.next_ms + after)
        elif self.open:
            positions.append(min(self.open) + after)
        return min(positions) if positions else None

    def close(self, position_ms: int, stream_ms: int) -> list[Row]:
        """The rows of what closes at this position: the window, corrections gathered since, cohorts."""
        rows: list[Row] = []
        start = position_ms - self._grace - self._window
        if self.closes_window(position_ms):
            rows += self._close_window(start, stream_ms)
            rows += self.correct()
            self._forget(position_ms)
        for place in sorted(place for place in self.cohorts if sum(place) == start):
            rows += self._rows("cohort", place, self._rollup.roll(self.cohorts.pop(place)))
        return rows

    def correct(self) -> list[Row]:
        """The rows of the corrections gathered so far."""
        rows: list[Row] = []
        for place in sorted(self.corrections):
            rows += self._rows("correction", place, self._rollup.roll(self.corrections[place]))
        self.corrections.clear()
        return rows

    def tallies(self) -> list[Tally]:
        """All tallies that hold leaves."""
        return [*self.open.values(), *self.cohorts.values(), *self.corrections.values()]

    def _tally(self) -> Tally:
        self.tallies_made += 1
        return Tally(self.tallies_made)

    def _correction(self, place: Place) -> Tally:
        tally = self.corrections.get(place)
        if tally is None:
            tally = self.corrections[place] = self._tally()
        return tally

    def _close_window(self, start: int, stream_ms: int) -> list[Row]:
        if start == self.next_ms:
            self.next_ms += self._window
        tally = self.open.pop(start, None)
        owed = self.first_ms is not None and self.first_ms <= start <= stream_ms
        if tally is None and not owed:
            return []
        rolled = self._rollup.roll(tally) if tally is not None else {}
        if tally is not None and self.cube_maker is not None:
            sessions, orders = self.cube_maker.make(tally)
            if sessions.counters or orders.counters:
                end = start + self._window
                self.cubes.append(Cube(start, end, self._partition, sessions, orders, self._fingerprint))
        if owed:
            rolled.setdefault(WHOLE, ({}, None))
        return self._rows("window", (start, NO_HORIZON), rolled)

    def _rows(self, kind: RowKind, place: Place, rolled: Rolled) -> list[Row]:
        """One row a segment, the whole's last: it says that the partition has told all."""
        start, horizon = place
        rows = []
        for segment in sorted(rolled, key=lambda segment: (not segment, len(segment), segment)):
            counters, sketch = rolled[segment]
            rows.append(
                Row(
                    kind=kind,
                    start_ms=start,
                    end_ms=start + self._window,
                    segment=segment,
                    partition=self._partition,
                    counters=dict(sorted(counters.items())),
                    spec=self._fingerprint,
                    horizon_ms=None if horizon == NO_HORIZON else horizon,
                    correction=self._number(place, str(segment)) if kind == "correction" else 0,
                    sketch=sketch,
                )
            )
        return rows

    def _number(self, place: Place, segment: str) -> int:
        numbers = self.touched[place] = self.numbers.setdefault(place, {})
        numbers[segment] = number = numbers.get(segment, 0) + 1
        return number

    def _forget(self, position_ms: int) -> None:
        """Forget the numbers of corrections to windows that nothing can correct any more."""
        if not self.numbers:
            return
        spec = self._spec
        reach = spec.max_lateness_ms + max(spec.cohort_horizons_ms, default=0) + spec.max_out_of_orderness_ms
        oldest = position_ms - 2 * (reach + self._window + self._grace)
        for place in [place for place in self.numbers if place[0] < oldest]:
            del self.numbers[place]
            self.touched[place] = None


NEVER: Final = -(1 << 62)
"""Before any event."""


class Present:
    """The window of the events that come in time, in their order: its tally, and whom each session was last noted with.

    ``noted`` holds by session key who was noted in that window under the session's leaf as it is; whoever changes that
    leaf, or ends the session, takes the entry out. Where there are checkpoints, its sessions are among those touched
    since the last one: it is cleared when they are.
    """

    def __init__(self, ledger: Ledger, window_ms: int) -> None:
        self._ledger, self._window = ledger, window_ms
        self.start_ms = self.end_ms = NEVER
        self.tally = Tally()
        self.noted: dict[str, str] = {}

    def turn(self, event_ms: int) -> Tally:
        """Move on to the window of an event that is in time."""
        self.start_ms = event_ms - event_ms % self._window
        self.end_ms = self.start_ms + self._window
        self.tally = self._ledger.tally(event_ms, event_ms)
        self.noted.clear()
        return self.tally
