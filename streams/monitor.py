"""Merged windows in, verdicts and incidents out: a fold, so reading the rows again gives the same state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from detectors.bank import NEAR, Bank, Judged, Series, freeze_from
from detectors.base import Incident, Observation, SegmentKey, Verdict, VerdictKind
from detectors.border import Border
from detectors.fusion import fuse_into
from detectors.incidents import Alert, IncidentBook
from detectors.named import NamedJudge
from detectors.policy import PolicySpec
from detectors.scan import LAG
from detectors.seasonal import rate_basis, volume_basis
from detectors.shares import only_fewer
from detectors.surge import NOW, Surge
from detectors.verdicts import alerts_of, verdicts_of
from streams.anomalies import decode_incident, decode_verdict, encode_incident, encode_verdict
from streams.calendar import Label
from streams.engine.rows import WHOLE, Row
from streams.engine.spec import DAY_MS
from streams.kpis import Kpi, counters_of, minor_exponent
from streams.merge import MergedWindow
from streams.monitor_cohorts import CohortJudge
from streams.monitor_group import Group
from streams.monitor_labels import Labels
from streams.monitor_long import LongJudge
from streams.monitor_series import PAIRS, rank_of, series_of
from streams.monitor_spec import SEGMENT_KPIS, MonitorSpec, Note
from streams.monitor_where import Where
from streams.monitor_worth import Worth

__all__ = [
    "SEGMENT_KPIS",
    "Judgement",
    "Monitor",
    "MonitorSpec",
    "Note",
    "decode_incident",
    "decode_verdict",
    "encode_incident",
    "encode_verdict",
]

RENAMED_WITHIN = 15
"""Windows of an alert in which its cause may still turn out to be another."""

FULL_SEGMENT = 0.9
"""Share of the whole from which a segment says nothing of its own."""

LONG_VISIT_MS = 15 * 60_000
"""Time in which nearly all visits are over. What ends after a silence shows its short cases first: the first sessions
that end are bounces, and the first carts that are decided were paid."""

CROWD_DOUBT = 0.5
"""Standard deviation of the logarithm of expected sessions from which nobody can say whether a crowd has left."""

ADMIT_TRIALS = 20


class Judgement(NamedTuple):
    """What a window gave: a verdict for each series, and the incidents that changed."""

    verdicts: tuple[Verdict, ...] = ()
    incidents: tuple[Incident, ...] = ()

    def records(self) -> list[tuple[bytes, bytes]]:
        """Key and value of what the anomaly topic is told: the whole's verdicts, loud segments, incidents."""
        told = [
            encode_verdict(one)
            for one in self.verdicts
            if not one.segment or one.active or one.state in {"suspect", "unsure"}
        ]
        return told + [encode_incident(one) for one in self.incidents]


class Monitor:
    """Judges merged windows in order; pure: no clock, no randomness, nothing but what it was shown.

    Examples
    --------
    >>> monitor = Monitor(MonitorSpec())
    >>> row = Row("window", 0, 60_000, (), None, {"sessions": 12, "reached.product": 9, "reached.cart": 3}, "f")
    >>> judgement = monitor.observe(MergedWindow(0, 60_000, {(): row}))
    >>> [(one.kpi, one.state) for one in judgement.verdicts if one.kpi == "add_to_cart_ratio"]
    [('add_to_cart_ratio', 'warming_up')]
    """

    def __init__(self, spec: MonitorSpec | None = None) -> None:
        self.spec = spec = spec or MonitorSpec()
        zone = ZoneInfo(spec.zone)
        needed, among = spec.persistence
        timeout = max(1, spec.timeout_ms // spec.window_ms)
        policy = PolicySpec(needed, among, timeout=timeout, breaker_windows=max(60, DAY_MS // spec.window_ms))
        warm_up = spec.warm_up_ms // spec.window_ms
        self._rates = Group(
            Bank(rate_basis(zone, spec.notes), spec.window_ms, warm_up, policy),
            Border(spec.false_pages_per_week),
            trials=[],
        )
        self._volumes = Group(
            Bank(volume_basis(zone, spec.notes), spec.window_ms, warm_up, policy), Border(spec.false_pages_per_week)
        )
        self._book = IncidentBook(zone, spec.currency, minor_digits=minor_exponent(spec.currency or ""))
        self._judged = spec.judged()
        hurts = {kpi.name: kpi.hurts or "down" for kpi in spec.kpis}
        self._named = {kpi: NamedJudge(name, hurts[kpi], warm_up, policy) for kpi, name in spec.detectors}
        self._watched = tuple(kpi for kpi in self._judged if kpi.name not in self._named)
        self._segment_kpis = tuple(kpi for kpi in self._judged if kpi.name in spec.segment_kpis)
        self._by_name = {kpi.name: kpi for kpi in self._judged}
        self._units = {kpi.name: "count" if kpi.unit == "count" else kpi.unit for kpi in self._judged}
        self._dimensions = dict(spec.dimension_kinds)
        self._surge = Surge()
        self._segments: dict[SegmentKey, list[tuple[int, Kpi]]] = {}
        """Numbers and KPIs of the series of each segment."""
        self._waiting: dict[SegmentKey, list[Kpi]] = {}
        """KPIs of each segment that may be watched and are not yet."""
        self._pending: dict[tuple[str, SegmentKey], float] = {}
        self._amounts: dict[str, tuple[float, float]] = {}
        self._wholes: dict[str, float] = {}
        """What each count of the whole counted in this window: the segments of it are judged as shares."""
        self._worth_of = Worth(self._judged, spec)
        self._labels = Labels()
        self._long = LongJudge(spec)
        horizons = sorted({kpi.horizon_ms for kpi in spec.judged_cohorts() if kpi.horizon_ms is not None})
        self._cohorts = {horizon_ms: CohortJudge(spec, horizon_ms, policy) for horizon_ms in horizons}
        self._where = Where(self._judged, self._dimensions, spec.window_ms)
        self._first_start: int | None = None
        self._last_end = -1

    @property
    def last_end_ms(self) -> int:
        """End of the last window that was judged; -1 before any."""
        return self._last_end

    def announce(self, notes: Sequence[Note], labels: Sequence[Label] = ()) -> None:
        """Put these notes and labels in place of those known so far.

        What was judged stays as it was: where they concern it, the rows have to be judged anew by a fresh monitor.
        """
        for group in (self._rates, self._volumes):
            group.bank.announce(tuple(notes))
        for cohorts in self._cohorts.values():
            cohorts.announce(notes)
        self._labels.put(labels)

    def observe(self, window: MergedWindow, *, told: bool = True) -> Judgement:
        """Judge a window; revisions and windows that are not newer than the last judged give nothing.

        Incidents follow with the windows: what cohorts tell goes into them with the next window. Where the verdicts are
        not ``told``, those of its minute are not put into words: who reads the past does not need them.
        """
        if window.judge and window.kind == "cohort" and window.horizon_ms in self._cohorts:
            cohorts = self._cohorts[window.horizon_ms]
            return Judgement(tuple(cohorts.observe(window, self._watching(), self._labels)))
        whole = window.rows.get(WHOLE)
        if not window.judge or window.kind != "window" or whole is None or window.end_ms <= self._last_end:
            return Judgement()
        self._last_end = window.end_ms
        if self._first_start is None:
            self._first_start = window.start_ms
        step = window.end_ms // self.spec.window_ms
        counters = counters_of(whole, window.rows, self.spec.paid_channels)
        self._worth_of.learn(counters)
        self._read_whole(counters, step)
        self._read_segments(window.rows, step)
        watched = self._watching()
        groups = (self._rates, self._volumes)
        looks = [group.look(step, watched, self._told(window)) for group in groups]
        rates, volumes = ((group.bank, *each) for group, each in zip(groups, looks, strict=True))
        only_fewer(rates, volumes)
        named = fuse_into(PAIRS, rates, volumes, self._rates.border.base(watched))
        for group in groups:
            self._labels.rule(group.bank, window.end_ms)
        judged = [group.bank.stand(*each) for group, each in zip(groups, looks, strict=True)]
        kinds = [self._kinds(self._rates, judged[0], named), self._kinds(self._volumes, judged[1], {})]
        standing = [one for each in judged for one in each.standings.values() if one.active]
        self._where.take(window.cube, [one.since_ms or 0 for one in standing])
        verdicts: list[Verdict] = []
        alerts = []
        for group, each, kind in zip(groups, judged, kinds, strict=True):
            verdicts += verdicts_of(group.bank, each, group.counted(), window.end_ms, kind) if told else ()
            if each.standings:
                orders_per = self._worth_of.orders_per()
                alerts += alerts_of(group.bank, each, kind, self._units, orders_per, self._where)
        for kpi, judge in self._named.items():
            verdict, alert = self._ask(kpi, judge, counters, window)
            verdicts.append(verdict)
            alerts += [] if alert is None else [alert]
        verdicts += self._long.observe(window.start_ms, counters, self._labels)
        alerts += [*self._long.alerts, *(one for judge in self._cohorts.values() for one in judge.alerts)]
        self._learn(judged, step, partial=bool(window.missing))
        self._feel_crowds(judged[1], step)
        incidents = map(self._labels.name, self._book.update(window.end_ms, alerts, self._worth_of.order_value()))
        return Judgement(tuple(verdicts), tuple(incidents))

    def _watching(self) -> int:
        """Series that share the budget of false pages."""
        told = self._rates.watched + self._volumes.watched
        return told + self._long.size + sum(one.watched for one in self._cohorts.values())

    def _read_whole(self, counters: dict[str, float], step: int) -> None:
        for place, kpi in enumerate(self._watched):
            successes, trials = kpi.counts(counters)
            group = self._volumes if trials is None else self._rates
            number = group.bank.index.get((kpi.name, WHOLE))
            if number is None:
                if self._censored(kpi):
                    continue
                weight = self._weight(kpi, counters)
                if weight is None:
                    continue
                number = group.admit(series_of(kpi, WHOLE, weight), step, place)
            group.give(number, successes, trials)
            self._wholes[kpi.name] = successes

    def _read_segments(self, rows: dict[SegmentKey, Row], step: int) -> None:
        group = self._rates
        for segment, watched in self._segments.items():
            row = rows.get(segment)
            # A value that was seen before and has no row now counted nothing.
            counters = {} if row is None else row.counters
            for number, kpi in watched:
                group.give(number, *self._shared(kpi, counters))
        room = self.spec.max_segment_series - sum(map(len, self._segments.values()))
        if room <= 0:
            return
        waiting = {one: told for one in rows if len(one) == 1 and (told := self._waiting_of(one))}
        for segment in sorted(waiting):
            row, told = rows[segment], waiting[segment]
            for kpi in tuple(told):
                if room > 0 and self._worth(kpi, segment, row, rows):
                    number = group.admit(series_of(kpi, segment, 1.0), step)
                    group.give(number, *self._shared(kpi, row.counters))
                    self._segments.setdefault(segment, []).append((number, kpi))
                    told.remove(kpi)
                    room -= 1

    def _waiting_of(self, segment: SegmentKey) -> list[Kpi]:
        if not self._wanted(segment[0][0]):
            return []
        if segment not in self._waiting:
            self._waiting[segment] = [kpi for kpi in self._segment_kpis if kpi.may_split(segment, self._dimensions)]
        return self._waiting[segment]

    def _shared(self, kpi: Kpi, counters: Mapping[str, float]) -> tuple[float, float]:
        """Successes and trials of a segment; those of a count are the whole's."""
        successes, trials = kpi.counts(counters)
        return successes, self._wholes.get(kpi.name, 0.0) if trials is None else trials

    def _worth(self, kpi: Kpi, segment: SegmentKey, row: Row, rows: dict[SegmentKey, Row]) -> bool:
        """Whether a segment has counted enough to be watched, and is not nearly the whole."""
        if not any((kpi.name, WHOLE) in group.bank.index for group in (self._rates, self._volumes)):
            return False
        trials = _base(kpi, row)
        key = (kpi.name, segment)
        seen = self._pending[key] = self._pending.get(key, 0.0) + trials
        if seen < ADMIT_TRIALS:
            return False
        if trials >= FULL_SEGMENT * _base(kpi, rows[WHOLE]):
            return False
        del self._pending[key]
        return True

    def _wanted(self, dimension: str) -> bool:
        chosen = self.spec.segment_dimensions
        return dimension in chosen if chosen is not None else self._dimensions.get(dimension) != "product"

    def _censored(self, kpi: Kpi) -> bool:
        """Whether a delayed KPI still counts only those whom it took little time."""
        watched = self._last_end - (self._first_start or 0)
        return kpi.delay_ms > 0 and watched < kpi.delay_ms + LONG_VISIT_MS

    def _weight(self, kpi: Kpi, counters: dict[str, float]) -> float | None:
        """The size of one event in a sum of money, pages or time; None while too little was counted."""
        if kpi.unit in {"ratio", "count"}:
            return 1.0
        successes, trials = kpi.counts(counters)
        if trials is None and kpi.currency is not None:
            trials = counters.get(f"orders_valued.{kpi.currency}", 0)
        before = self._amounts.get(kpi.name, (0.0, 0.0))
        successes, trials = self._amounts[kpi.name] = (before[0] + successes, before[1] + (trials or 0.0))
        return successes / trials if trials >= ADMIT_TRIALS and successes > 0 else None

    def _told(self, window: MergedWindow) -> float:
        """The share of the partitions that have told their rows."""
        return max(0.0, 1 - len(window.missing) / max(self.spec.partitions, len(window.missing) + 1))

    def _kinds(self, group: Group, judged: Judged, named: dict[int, VerdictKind]) -> dict[int, VerdictKind]:
        """What each loud series' finding is."""
        bank, reading = group.bank, judged.reading
        told: dict[int, VerdictKind] = {}
        parents = bank.scan.model.parent
        # What the whole is named, its segments are.
        wholes = {n: int(parents[n]) if parents[n] >= 0 else n for n in judged.standings}
        named = {n: named[up] for n, up in wholes.items() if up in named}
        for number, standing in judged.standings.items():
            if standing.state == "calm" and not standing.ended:
                continue
            series, loss = bank.series[number], bank.losses.get(number)
            if loss is not None and loss.kind is not None:
                # An outage that proves to be lost tracking is told so; the other way round nothing is taken back.
                fresh = judged.look.step - bank.policies[number].began_at <= RENAMED_WITHIN
                loss.kind = named.get(number, loss.kind) if fresh and loss.kind in {"drop", "stop"} else loss.kind
                told[number] = loss.kind
                continue
            if number in named:
                told[number] = named[number]
            elif series.hurts > 0:
                told[number] = "rise"
            elif float(judged.look.counts[number]) > 0 or (float(reading.observed[number]) > 0 and not self._dark()):
                told[number] = "drop"
            else:
                told[number] = self._zero_kind(series)
            if loss is not None:
                loss.kind = told[number]
        return told

    def _dark(self) -> bool:
        """Whether this window has no event of any kind."""
        return not any(successes > 0 for successes in self._volumes.successes)

    def _zero_kind(self, series: Series) -> VerdictKind:
        """Nothing at all: of everything (silence), of one kind of event (tracking), or of successes (stop)."""
        if self._dark():
            return "silence"
        if not series.volume or series.kpi == "orders" or series.kpi.startswith("revenue"):
            return "stop"
        return "tracking"

    def _learn(self, judged: list[Judged], step: int, *, partial: bool) -> None:
        """Ratios hang together, so an alert freezes all of them; a volume is kept from learning by its own alerts."""
        rates, volumes = judged
        if lasting := [*self._rates.bank.lasting, *self._volumes.bank.lasting]:
            self._rates.bank.follow(lasting, rates)
            self._volumes.bank.follow(lasting, volumes)
        partial = partial or self._labels.frozen(step * self.spec.window_ms)
        since = [(one.since_ms or 0) // self.spec.window_ms for one in rates.standings.values() if one.began]
        standing = any(one.active for one in rates.standings.values())
        self._rates.bank.learn(rates, frozen=standing or partial)
        self._volumes.bank.learn(volumes, frozen=partial)
        for group, each in ((self._rates, rates), (self._volumes, volumes)):
            group.border.learn(step * self.spec.window_ms // DAY_MS, each.reading.loudest)
        if since:
            self._rates.bank.freeze(freeze_from(min(since), step), step)

    def _ask(
        self, name: str, judge: NamedJudge, counters: dict[str, float], window: MergedWindow
    ) -> tuple[Verdict, Alert | None]:
        """What the detector says that the configuration names for a KPI."""
        kpi = self._by_name[name]
        told = Observation(name, WHOLE, window.start_ms, window.end_ms, kpi.value(counters), *kpi.counts(counters))
        ruling = self._labels.ruling(name, window.end_ms, judge.policy.since_ms)
        return judge.observe(told, self._units[name], rank_of(name), ruling)

    def _feel_crowds(self, volumes: Judged, step: int) -> None:
        """While a crowd is there volumes are not learnt, and rates may move: its shoppers are other shoppers."""
        number = self._volumes.bank.index.get(("sessions", WHOLE))
        if number is None:
            return
        look, reading = volumes.look, volumes.reading
        expected = float(reading.expected_now[number]) if reading.ready[number] else None
        sure, risen = bool(look.doubt[number, 0] < CROWD_DOUBT**2), bool(reading.other[number] >= NEAR)
        felt = self._surge.learn(float(look.counts[number]), expected, sure=sure, risen=risen)
        if self._surge.settled:
            self._volumes.bank.settle(look)
        if self._surge.active:
            end = step * self.spec.window_ms
            self._rates.bank.scan.events.crowd(end - NOW * self.spec.window_ms, end)
        if felt:
            self._volumes.bank.freeze(step - LAG, step)


def _base(kpi: Kpi, row: Row) -> float:
    """What a KPI of a segment is judged by: its trials; of a count, itself."""
    successes, trials = kpi.counts(row.counters)
    return successes if trials is None else trials
