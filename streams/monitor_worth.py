"""What a success of a KPI is worth in orders, and an order in money: sums that fade over a day."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from streams.engine.spec import DAY_MS
from streams.kpis import Kpi
from streams.monitor_spec import MonitorSpec

__all__ = ["Worth"]


class Worth:
    """Turns missing successes into lost orders and money.

    Parameters
    ----------
    kpis
        Those that are judged.
    spec
        Tells the window and the currency.
    """

    def __init__(self, kpis: Sequence[Kpi], spec: MonitorSpec) -> None:
        self.currency = spec.currency
        self.counted = {kpi.name: kpi for kpi in kpis if kpi.unit in {"ratio", "count"}}
        self.hurting = [kpi.name for kpi in kpis if kpi.hurts == "down"]
        self.fade = math.exp(-spec.window_ms / DAY_MS)
        self.sums: dict[str, float] = {}

    def learn(self, counters: Mapping[str, float]) -> None:
        """Take the counters of a window in."""
        told = {name: kpi.counts(counters)[0] for name, kpi in self.counted.items()}
        told["orders"] = counters.get("orders_paid", 0)
        told["money"] = counters.get(f"revenue_minor.{self.currency}", 0)
        told["valued"] = counters.get(f"orders_valued.{self.currency}", 0)
        for name, count in told.items():
            self.sums[name] = self.sums.get(name, 0.0) * self.fade + count

    def orders_per(self) -> dict[str, float]:
        """Orders paid per success of each KPI that hurts when it falls; one at most."""
        orders = self.sums.get("orders", 0.0)
        return {name: min(1.0, orders / self.sums[name]) for name in self.hurting if self.sums.get(name, 0.0) > 0}

    def order_value(self) -> float | None:
        """Money of an order, in minor units; None before one with an amount was paid."""
        valued = self.sums.get("valued", 0.0)
        return self.sums["money"] / valued if valued > 0 else None
