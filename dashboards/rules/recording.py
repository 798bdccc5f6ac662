"""Recording rules: what several alerts and panels read, without the worker that exported it."""

from __future__ import annotations

from dashboards.queries import Recording, each, series

__all__ = ["RECORDINGS"]

_KPI = ("kpi", "dimension", "value")

RECORDINGS: tuple[Recording, ...] = (
    *(
        Recording(f"kpi:funnel_kpi_{part}:max", each(f"funnel_kpi_{part}"), _KPI)
        for part in (
            "value",
            "successes",
            "trials",
            "expected",
            "lower",
            "upper",
            "score",
            "smallest_visible_drop_ratio",
        )
    ),
    Recording(
        "kpi:funnel_kpi_active:max",
        f"max by (kpi, dimension, value, direction) ({series('funnel_kpi_active')})",
        (*_KPI, "direction"),
    ),
    Recording(
        # The inner max: while a partition moves, two workers may both export it for one scrape.
        "topic:funnel_lag_records:sum",
        f"sum by (topic) (max by (topic, partition) ({series('funnel_lag_records')}))",
        ("topic",),
    ),
    Recording("job:funnel_records:rate5m", f"sum(rate({series('funnel_records_total')}[5m]))"),
    Recording("job:funnel_window_end_timestamp_seconds:max", f"max({series('funnel_window_end_timestamp_seconds')})"),
)
