"""The catalogue of KPIs: what is computed from the counters, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streams.engine.spec import DAY_MS, HOUR_MS, EngineSpec
from streams.errors import ConfigError
from streams.kpi import (
    PAID_CHANNELS,
    STAGES,
    Kpi,
    counter_kinds,
    counters_of,
    dimension_kinds,
    horizon_label,
    minor_exponent,
)
from streams.kpi_config import checked_currency, kpi_from_table

__all__ = [
    "CATALOGUE",
    "PAID_CHANNELS",
    "PENDING",
    "STAGES",
    "Kpi",
    "catalogue",
    "counter_kinds",
    "counters_of",
    "dimension_kinds",
    "horizon_label",
    "minor_exponent",
]


def catalogue(
    extra: Iterable[Mapping[str, Any]] = (),
    *,
    spec: EngineSpec | None = None,
    currencies: Sequence[str] = ("CNY",),
) -> tuple[Kpi, ...]:
    """Every KPI, those of the configuration (``extra``) last.

    Parameters
    ----------
    extra
        Tables with ``name``, ``numerator`` and optionally ``denominator``, ``unit``, ``hurts``, ``delay``,
        ``min_window`` and ``help``. A sum is text (``"a + b - c"``) or a list of counters; a duration is text
        (``"30m"``) or a number of seconds.
    spec
        The engine's durations, which become delays and cohort horizons.
    currencies
        ISO codes for which revenue and average order value are formed.

    Raises
    ------
    ConfigError
        Where a table is not a KPI: the key, what it holds, and the nearest counter that exists.

    Examples
    --------
    >>> [kpi.name for kpi in catalogue([{"name": "soft_share", "numerator": "payments_declined_soft",
    ...     "denominator": "payments_declined_soft + payments_declined_hard", "hurts": "up"}])][-1]
    'soft_share'
    """
    spec = spec or EngineSpec()
    kpis = [*_traffic(spec), *_funnel(), *_carts(spec)]
    for currency in currencies:
        kpis += _money(checked_currency(currency))
    kpis += _cohorts(spec)
    names = {kpi.name for kpi in kpis} | {kpi.name for kpi in PENDING}
    for table in extra:
        kpi = kpi_from_table(table, spec)
        if kpi.name in names:
            raise ConfigError("two KPIs have this name", key="kpi.name", value=kpi.name, way_out="choose another name")
        names.add(kpi.name)
        kpis.append(kpi)
    return tuple(kpis)


def _traffic(spec: EngineSpec) -> list[Kpi]:
    gap = spec.session_gap_ms
    ended = ("sessions_ended",)
    return [
        Kpi("sessions", ("sessions",), hurts="down", word="会话数", help="Sessions opened."),
        Kpi(
            "visitors",
            ("visitors",),
            hurts="down",
            word="UV 独立访客数",
            help="Distinct visitors, an estimate with a standard error of 2.3 %.",
        ),
        Kpi("page_views", ("page_views",), hurts="down", word="PV 页面浏览量", help="Pages seen."),
        Kpi(
            "browse_depth", ("ended_page_views",), ended, "pages", "down", gap, word="浏览深度", help="Pages a session."
        ),
        Kpi(
            "dwell_seconds",
            ("ended_dwell_ms",),
            ended,
            "seconds",
            "down",
            gap,
            scale=0.001,
            word="停留时间",
            help="First to last act of a session.",
        ),
        Kpi(
            "bounce_ratio",
            ("bounces",),
            ended,
            "ratio",
            "up",
            gap,
            word="跳出率",
            help="Ended sessions that saw one page at most and did nothing else.",
        ),
        Kpi(
            "paid_traffic_ratio",
            ("sessions_paid",),
            ("sessions",),
            "ratio",
            word="付费流量占比",
            help="Sessions from bought channels among all sessions.",
        ),
    ]


def _funnel() -> list[Kpi]:
    answered = ("payments_succeeded", "payments_declined_soft", "payments_declined_hard")
    steps = (
        (
            "add_to_cart_ratio",
            "reached.cart",
            "reached.product",
            "加购率",
            "Sessions that put something into the cart, per session that saw a product.",
        ),
        (
            "checkout_ratio",
            "reached.checkout",
            "reached.cart",
            "结算率",
            "Sessions that began the checkout, per session with a cart.",
        ),
        ("order_conversion_ratio", "reached.ordered", "sessions", "下单转化率", "Sessions that ordered, per session."),
        (
            "payment_conversion_ratio",
            "reached.paid",
            "reached.ordered",
            "支付转化率",
            "Sessions that paid, per session that ordered.",
        ),
        ("conversion_ratio", "reached.paid", "sessions", "CVR 转化率", "Sessions that paid, per session."),
        (
            "payment_completion_ratio",
            "orders_paid",
            "orders_attempted",
            "支付完成率",
            "Orders paid, per order with an attempt to pay.",
        ),
        (
            "payment_confirmation_ratio",
            "orders_attempted",
            "orders_placed",
            "支付确认率",
            "Orders with an attempt to pay, per order placed.",
        ),
        ("payment_overall_ratio", "orders_paid", "orders_placed", "整体支付率", "Orders paid, per order placed."),
    )
    return [
        *(Kpi(name, (top,), (base,), "ratio", "down", word=word, help=text) for name, top, base, word, text in steps),
        Kpi("cart_items", ("cart_items",), hurts="down", word="加购件数", help="Items put into carts."),
        Kpi(
            "payment_success_ratio",
            ("payments_succeeded",),
            answered,
            "ratio",
            "down",
            word="支付成功率",
            help="Payments that succeeded, per payment with an answer.",
        ),
        Kpi(
            "payment_answer_ratio",
            answered,
            ("payment_attempts",),
            "ratio",
            "down",
            word="支付应答率",
            help="Payments with an answer, per attempt: falls where a provider hangs.",
        ),
        Kpi("orders", ("orders_paid",), hurts="down", word="支付订单数", help="Orders paid."),
        Kpi(
            "refund_ratio",
            ("orders_refunded",),
            ("orders_paid",),
            "ratio",
            "up",
            min_window_ms=DAY_MS,
            word="退货率",
            help="Orders refunded, per order paid in the same window.",
        ),
    ]


def _carts(spec: EngineSpec) -> list[Kpi]:
    return [
        Kpi(
            "cart_abandonment_ratio",
            ("carts_idle",),
            ("carts_idle", "carts_kept"),
            "ratio",
            "up",
            spec.abandonment_timeout_ms,
            word="购物车放弃率",
            help="Carts gone idle among those decided in the same time; provisional, a cart may still be recovered.",
        ),
        Kpi(
            "cart_abandonment_settled_ratio",
            ("carts_abandoned",),
            ("carts_abandoned", "carts_converted"),
            "ratio",
            "up",
            min_window_ms=HOUR_MS,
            word="购物车放弃率（结算）",
            help="Carts not paid within the conversion window, among those abandoned or paid in this window.",
        ),
    ]


def _money(currency: str) -> list[Kpi]:
    revenue, scale = (f"revenue_minor.{currency}",), 10.0 ** -minor_exponent(currency)
    return [
        Kpi(
            f"revenue.{currency}",
            revenue,
            None,
            currency,
            "down",
            scale=scale,
            word="成交额",
            help="Money of orders paid.",
            currency=currency,
        ),
        Kpi(
            f"average_order_value.{currency}",
            revenue,
            (f"orders_valued.{currency}",),
            currency,
            "down",
            scale=scale,
            word="客单价",
            help="Money a paid order with a known amount.",
            currency=currency,
        ),
    ]


def _cohorts(spec: EngineSpec) -> list[Kpi]:
    return [
        Kpi(
            f"cohort_{stage}_ratio@{label}",
            (f"cohort.{stage}@{label}",),
            (f"cohort.sessions@{label}",),
            "ratio",
            "down",
            horizon,
            horizon_ms=horizon,
            word="队列转化率",
            help=f"Sessions opened in the window that reached {stage} within {label}.",
        )
        for horizon in spec.cohort_horizons_ms
        for label in (horizon_label(horizon),)
        for stage in STAGES
    ]


def _pending() -> tuple[Kpi, ...]:
    """Defined, documented and not computed: their counters come from a customer topic and from ad reports."""
    known, spend = ("orders_known_user",), "ad_spend_minor.CNY"
    hourly: dict[str, Any] = {"min_window_ms": HOUR_MS}
    return (
        Kpi(
            "repurchase_ratio",
            ("orders_repeat",),
            known,
            "ratio",
            "down",
            word="复购率",
            help="Orders of returning customers.",
            **hourly,
        ),
        Kpi(
            "new_customer_ratio",
            ("orders_new",),
            known,
            "ratio",
            word="新客占比",
            help="Orders of new customers.",
            **hourly,
        ),
        Kpi(
            "click_through_ratio",
            ("ad_clicks",),
            ("ad_impressions",),
            "ratio",
            word="CTR 点击率",
            help="Clicks per impression.",
            **hourly,
        ),
        Kpi(
            "customer_acquisition_cost.CNY",
            (spend,),
            ("orders_new",),
            "CNY",
            word="CAC 获客成本",
            help="Spend per new customer.",
            scale=0.01,
            currency="CNY",
            **hourly,
        ),
        Kpi(
            "return_on_investment.CNY",
            ("revenue_minor.CNY", f"-{spend}"),
            (spend,),
            "ratio",
            word="ROI",
            help="Revenue beyond spend, per spend.",
            currency="CNY",
            **hourly,
        ),
    )


PENDING: tuple[Kpi, ...] = _pending()
"""Declared so that their names are taken and their formulas known; no row carries their counters."""

CATALOGUE: tuple[Kpi, ...] = catalogue()
"""The catalogue of a shop with default durations that sells in CNY."""
