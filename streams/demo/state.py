"""What the demonstration knows of the worker: figures of its metrics page, incidents, deliveries, and the phase."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from detectors.base import Blame, Incident
from streams.telemetry.names import ALL, STAGES

__all__ = ["Delivery", "KpiLine", "Picture", "Samples", "StageLine", "read_samples"]

Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
"""Values by metric name and sorted labels."""

SAMPLE = re.compile(r"^([a-z_:]+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
WINDOWS_SHOWN_MS = 60_000
RECENT_MS = 60_000
CURVE = 60


class StageLine(NamedTuple):
    """Sessions that reached a stage in the last minute, and those that must have."""

    stage: str
    observed: int
    implied: int


class KpiLine(NamedTuple):
    """One KPI of the whole in its latest window."""

    name: str
    unit: str
    value: float | None
    trials: float | None
    lower: float | None
    upper: float | None
    score: float | None
    active: bool


class Delivery(NamedTuple):
    """An alert that reached the webhook; ``segment`` is empty for the whole."""

    at_ms: int
    status: str
    alert: str
    kpi: str
    summary: str
    segment: str = ""


def read_samples(page: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The samples of a metrics page, those of segments left out: the table shows the whole.

    >>> read_samples('funnel_kpi_value{kpi="orders",dimension="all",value="all"} 7.0')
    {('funnel_kpi_value', (('dimension', 'all'), ('kpi', 'orders'), ('value', 'all'))): 7.0}
    """
    found = {}
    for line in page.splitlines():
        if line.startswith("#") or ('dimension="' in line and f'dimension="{ALL}"' not in line):
            continue
        if matched := SAMPLE.match(line):
            name, labels, value = matched.groups()
            found[name, tuple(sorted(LABEL.findall(labels or "")))] = float(value)
    return found


@dataclass(slots=True)
class Picture:
    """Everything the table and the summary tell; filled by those who read, never by itself.

    ``phase`` is one sentence of what goes on. ``written`` counts records sent by the shop; ``outage_ms`` is when
    the payment outage begins, None while none is planned. ``told_ms`` is when an incident was first heard of,
    ``about_payment`` up to which window and when it was first heard to be about payments: an incident that is open
    already may take in an outage.
    """

    started_ms: int
    phase: str = "starting"
    broker: str = ""
    metrics_url: str = ""
    prometheus_url: str = ""
    written: int = 0
    written_to_ms: int = 0
    outage_ms: int | None = None
    outage_end_ms: int | None = None
    samples: Samples = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    told_ms: dict[str, int] = field(default_factory=dict)
    about_payment: dict[str, tuple[int, int]] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stages: deque[tuple[int, Mapping[tuple[str, str], int]]] = field(default_factory=deque)
    curve: deque[tuple[int, float | None]] = field(default_factory=lambda: deque(maxlen=CURVE))

    @property
    def judging(self) -> bool:
        """Whether any series has come to a verdict."""
        return any(self.value("funnel_verdict_series", state=state) for state in ("calm", "suspect", "alert"))

    def scraped(self, samples: Samples, now_ms: int) -> None:
        """Take a metrics page; a new window is added to the minute that the funnel shows, and to the curve."""
        self.samples = samples
        end = self.value("funnel_window_end_timestamp_seconds")
        if end is None:
            return
        end_ms = round(end * 1000)
        if not self.stages or end_ms > self.stages[-1][0]:
            window = {
                (dict(labels)["stage"], dict(labels)["reach"]): int(value)
                for (name, labels), value in samples.items()
                if name == "funnel_stage_sessions"
            }
            self.stages.append((end_ms, window))
            if now_ms - end_ms < RECENT_MS:
                self.curve.append((end_ms, self.value("funnel_kpi_value", kpi="payment_success_ratio")))
        while self.stages[0][0] <= end_ms - WINDOWS_SHOWN_MS:
            self.stages.popleft()

    def incident(self, incident: Incident, now_ms: int) -> None:
        """Take the latest state of an incident."""
        self.incidents[incident.id] = incident
        self.told_ms.setdefault(incident.id, now_ms)
        if any(kpi.startswith("payment") or kpi == "orders" for kpi in incident.kpis):
            self.about_payment.setdefault(incident.id, (incident.updated_ms, now_ms))

    def delivered(self, one: Delivery) -> None:
        """Take an alert of a notification; a notification repeats those of its group that it told before."""
        series = (one.alert, one.kpi, one.segment)
        before = [past for past in self.deliveries if (past.alert, past.kpi, past.segment) == series]
        if not before or before[-1].status != one.status:
            self.deliveries.append(one)

    def fired(self) -> list[Delivery]:
        """The alerts that were delivered, each once for each time it fired."""
        return [one for one in self.deliveries if one.status == "firing"]

    def value(self, name: str, **labels: str) -> float | None:
        """A sample by name and labels; series of KPIs are those of the whole."""
        if name.startswith("funnel_kpi_") and name != "funnel_kpi_info":
            labels = {"dimension": ALL, "value": ALL, **labels}
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def total(self, name: str) -> float:
        """The sum of all series of a metric."""
        return sum(value for (metric, _), value in self.samples.items() if metric == name)

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """Values of a metric by one of its labels, those above zero."""
        return {
            dict(labels)[label]: value
            for (metric, labels), value in self.samples.items()
            if metric == name and value > 0
        }

    def funnel(self) -> list[StageLine]:
        """The stages of the last minute of closed windows."""
        return [
            StageLine(
                stage,
                sum(window.get((stage, "observed"), 0) for _, window in self.stages),
                sum(window.get((stage, "implied"), 0) for _, window in self.stages),
            )
            for stage in STAGES
        ]

    def kpi(self, name: str) -> KpiLine:
        """The line of a KPI; empty where the worker tells nothing of it."""
        unit = next(
            (dict(labels)["unit"] for (metric, labels) in self.samples if metric == "funnel_kpi_info"
             and dict(labels)["kpi"] == name), "",
        )  # fmt: skip
        told = {
            part: self.value(f"funnel_kpi_{part}", kpi=name) for part in ("value", "trials", "lower", "upper", "score")
        }
        sides = (self.value("funnel_kpi_active", kpi=name, direction=side) for side in ("below", "above"))
        return KpiLine(name=name, unit=unit, active=any(side == 1 for side in sides), **told)

    def kpi_names(self) -> list[str]:
        """KPIs with a value, in the order of the page."""
        names: Iterable[str] = (
            dict(labels)["kpi"] for (metric, labels) in self.samples if metric == "funnel_kpi_successes"
        )
        return list(dict.fromkeys(names))

    def freshness_ms(self, now_ms: int) -> int | None:
        """How old the latest closed window is."""
        end = self.value("funnel_window_end_timestamp_seconds")
        return None if end is None else now_ms - round(end * 1000)

    def open_incidents(self) -> list[Incident]:
        """Those that are not over, the latest first."""
        found = [one for one in self.incidents.values() if one.state != "recovered"]
        return sorted(found, key=lambda one: -one.onset_ms)

    def caught(self) -> Incident | None:
        """The first incident that was found to be about payments after the outage began."""
        if self.outage_ms is None:
            return None
        found = [(at_ms, one) for one, (at_ms, _) in self.about_payment.items() if at_ms > self.outage_ms]
        return self.incidents[min(found)[1]] if found else None

    def located(self) -> Blame | None:
        """The largest part of the outage's loss, as it was found; None before."""
        caught = self.caught()
        return caught.attribution[0] if caught is not None and caught.attribution else None

    def caught_ms(self) -> int | None:
        """When that was heard of."""
        caught = self.caught()
        return None if caught is None else self.about_payment[caught.id][1]
