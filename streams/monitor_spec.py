"""What is judged and how readily: the frozen settings of the monitor."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from detectors import registry
from detectors.seasonal import Note
from streams.engine.spec import EngineSpec
from streams.errors import ConfigError
from streams.kpis import CATALOGUE, PAID_CHANNELS, Kpi, dimension_kinds

__all__ = ["SEGMENT_KPIS", "MonitorSpec", "Note"]

SEGMENT_KPIS = (
    "sessions",
    "add_to_cart_ratio",
    "checkout_ratio",
    "order_conversion_ratio",
    "payment_success_ratio",
    "payment_answer_ratio",
)


@dataclass(frozen=True, slots=True)
class MonitorSpec:
    """What is judged, and how readily; one setting serves shops of every size.

    Parameters
    ----------
    kpis
        The catalogue; those with a side that hurts are judged, down to the window's length.
    segment_kpis, segment_dimensions
        Ratios, and counts as shares of the whole's, that are judged by segment as well, and by which dimensions (None:
        all of session and payment).
    max_segment_series
        Most series of segments; those that come first with enough trials are taken.
    detectors
        KPIs of the whole that a detector of the registry judges in place of the scan: pairs of KPI and name. Their
        segments are not judged.
    false_pages_per_week
        The one knob: the budget of false pages of all series together.
    warm_up_ms
        Time before the first verdict of a series. The day's and week's shape is learnt for two weeks; until it is
        known, its doubt widens what is expected.
    persistence
        An alert stands after (n, m): n of the last m windows over the border. The evidence itself adds up over
        windows of one minute to four hours, so 1 of 1 is meant.
    partitions
        Of the source topics; windows are judged when all have told them.
    zone, currency
        Of the shop: the day follows the zone, losses are told in the currency.
    notes
        Announced campaigns and holidays.
    """

    kpis: tuple[Kpi, ...] = CATALOGUE
    segment_kpis: tuple[str, ...] = SEGMENT_KPIS
    segment_dimensions: tuple[str, ...] | None = None
    dimension_kinds: tuple[tuple[str, str], ...] = tuple(sorted(dimension_kinds(EngineSpec()).items()))
    max_segment_series: int = 200
    detectors: tuple[tuple[str, str], ...] = ()
    false_pages_per_week: float = 1.0
    warm_up_ms: int = 2 * 3_600_000
    persistence: tuple[int, int] = (1, 1)
    partitions: int = 1
    zone: str = "UTC"
    currency: str = "CNY"
    window_ms: int = 60_000
    timeout_ms: int = 4 * 3_600_000
    notes: tuple[Note, ...] = ()
    paid_channels: tuple[str, ...] = PAID_CHANNELS

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError(
                "is no time zone", key="zone", value=self.zone, way_out="use a name such as Asia/Shanghai"
            ) from error
        if not 0 < self.false_pages_per_week <= 1000:
            raise ConfigError(
                "is no budget", key="false_pages_per_week", value=self.false_pages_per_week, way_out="use 0.1 to 10"
            )
        judged = [kpi.name for kpi in self.judged()]
        for kpi, name in self.detectors:
            if name not in registry.names() or kpi not in judged or dict(self.detectors)[kpi] != name:
                way_out = f"one of {', '.join(registry.names())} for each of {', '.join(judged)}"
                raise ConfigError("no such pair", key="detection.detectors", value=(kpi, name), way_out=way_out)
        needed, among = self.persistence
        if not 1 <= needed <= among:
            raise ConfigError("is not n of m", key="persistence", value=self.persistence, way_out="use such as (2, 3)")

    def judged_long(self) -> tuple[Kpi, ...]:
        """KPIs with a side that hurts that mean something in an hour or a day only."""
        return tuple(
            kpi
            for kpi in self.kpis
            if kpi.hurts is not None
            and kpi.min_window_ms > self.window_ms
            and kpi.horizon_ms is None
            and kpi.unit in {"ratio", "count"}
        )

    def judged_cohorts(self) -> tuple[Kpi, ...]:
        """KPIs with a side that hurts that are formed over cohorts, and mean something in those of a window."""
        return tuple(
            kpi
            for kpi in self.kpis
            if kpi.hurts is not None
            and kpi.horizon_ms is not None
            and kpi.denominator
            and kpi.min_window_ms <= self.window_ms
        )

    def judged(self) -> tuple[Kpi, ...]:
        """KPIs with a side that hurts that mean something in a window and are known at its end."""
        return tuple(
            kpi
            for kpi in self.kpis
            if kpi.hurts is not None and kpi.min_window_ms <= self.window_ms and kpi.horizon_ms is None
        )
