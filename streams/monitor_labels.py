"""What operators said of incidents, put to work: alerts that are held, accepted or pardoned, and times not learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from detectors.bank import Bank
from detectors.base import Incident
from streams.calendar import Label, LabelName

__all__ = ["Labels", "Ruling", "labelled"]

Ruling = Literal["held", "accepted", "pardoned"]
"""What a label does to an alert: it is no lasting change, it is one, or it is no alert."""

ACCEPT_AFTER_MS = 30 * 60_000
"""A new level is measured for this long before it is taken: less would take a part of the change for all of it."""

RULINGS: dict[LabelName, Ruling] = {"incident": "held", "new-normal": "accepted", "expected": "pardoned"}


class Labels:
    """Applies labels window by window; a function of the labels and of what it was asked, in order.

    * ``incident``: all of its extent is kept out of learning, and its alerts are never taken for a lasting change.
    * ``expected``: its KPIs do not alert in its extent, which is learnt like any other time.
    * ``new-normal``: its alerts are taken for a lasting change half an hour after the onset.

    Parameters
    ----------
    told
        The labels.
    """

    def __init__(self, told: Sequence[Label] = ()) -> None:
        self.told = tuple(told)
        self._names: dict[str, str] = {}
        """Name that an incident was labelled by, by the name that this fold gives it."""

    def put(self, told: Sequence[Label]) -> None:
        """Take these labels in place of those known so far."""
        self.told = tuple(told)

    def rule(self, bank: Bank, end_ms: int) -> None:
        """Tell a bank what holds for its series in the window that ends at ``end_ms``."""
        if not self.told and not (bank.held or bank.accepted or bank.pardoned):
            return
        ruled: dict[Ruling, set[int]] = {"held": set(), "accepted": set(), "pardoned": set()}
        for i, series in enumerate(bank.series):
            since = bank.policies[i].since_ms if i in bank.losses else None
            ruling = self.ruling(series.kpi, end_ms - series.delay_ms, None if since is None else since)
            if ruling is not None:
                ruled[ruling].add(i)
        bank.held, bank.accepted = frozenset(ruled["held"]), frozenset(ruled["accepted"])
        bank.pardoned = frozenset(ruled["pardoned"])

    def ruling(self, kpi: str, moment_ms: int, since_ms: int | None) -> Ruling | None:
        """What holds for a KPI at a moment.

        Parameters
        ----------
        kpi
            Its name.
        moment_ms
            When what the window tells happened: its end less the KPI's delay.
        since_ms
            Onset of the alert that stands; None where none does.
        """
        for label in self.told:
            if label.label == "expected":
                if label.covers(kpi, moment_ms):
                    return "pardoned"
            elif since_ms is not None and self._stands(label, kpi, moment_ms, since_ms):
                return RULINGS[label.label]
        return None

    def frozen(self, end_ms: int) -> bool:
        """Whether the window that ends here is known to belong to an incident, and is not learnt."""
        return any(label.label == "incident" and label.since_ms <= end_ms <= _known_until(label) for label in self.told)

    def name(self, incident: Incident) -> Incident:
        """The incident with its label, under the name by which an operator knows it.

        A label changes what was learnt before the incident was found, and so may move its onset by a little.
        """
        for label in self.told:
            if label.incident in {incident.id, self._names.get(incident.id)} or self._same(label, incident):
                if label.incident != incident.id:
                    self._names[incident.id] = label.incident
                return labelled(replace(incident, id=label.incident), label.label)
        return incident

    def _same(self, label: Label, incident: Incident) -> bool:
        if label.label == "expected" or label.incident in self._names.values():
            return False
        shared = set(label.kpis) & set(incident.kpis)
        return bool(shared) and label.since_ms <= incident.onset_ms <= _known_until(label)

    def _stands(self, label: Label, kpi: str, moment_ms: int, since_ms: int) -> bool:
        if kpi not in label.kpis or not since_ms <= label.until_ms or moment_ms < label.since_ms:
            return False
        return label.label == "incident" or moment_ms >= label.onset_ms + ACCEPT_AFTER_MS


def labelled(incident: Incident, label: str) -> Incident:
    """The incident with what was said of it, in its summary too; what was said before goes.

    >>> told = Incident("a1", "open", "drop", ("orders",), (), 0, 0, 0, None, "orders 9 → 3 since 14:02")
    >>> labelled(labelled(told, "incident"), "expected").summary
    'orders 9 → 3 since 14:02; labelled expected'
    """
    said = "withdrawn" if label == "withdrawn" else f"labelled {label}"
    before = incident.summary.removesuffix(f"; labelled {incident.label}").removesuffix("; withdrawn")
    return replace(incident, label=label, summary=f"{before}; {said}")


def _known_until(label: Label) -> int:
    """An incident that stood when it was labelled ends with its alerts, which keep their time from being learnt."""
    return label.ended_ms if label.ended_ms is not None else label.written_ms
