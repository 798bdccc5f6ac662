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
    kpis = [*_traffic(spec), *_FUNNEL, *_carts(spec)]
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


def _ratio(name: str, top: str, base: str, word: str, told: str, **more: Any) -> Kpi:
    fields: dict[str, Any] = {"unit": "ratio", "hurts": "down", "word": word, "help": told, **more}
    return Kpi(name, tuple(top.split()), tuple(base.split()), **fields)


def _volume(name: str, counter: str, word: str, told: str) -> Kpi:
    return Kpi(name, (counter,), hurts="down", word=word, help=told)


def _traffic(spec: EngineSpec) -> list[Kpi]:
    gap = {"delay_ms": spec.session_gap_ms}
    dwell = "First to last act of a session."
    bounced = "Ended sessions that saw one page at most and did nothing else."
    distinct = "Distinct visitors, an estimate with a standard error of 2.3 %."
    return [
        _volume("sessions", "sessions", "会话数", "Sessions opened."),
        _volume("visitors", "visitors", "UV 独立访客数", distinct),
        _volume("page_views", "page_views", "PV 页面浏览量", "Pages seen."),
        _ratio(
            "browse_depth", "ended_page_views", "sessions_ended", "浏览深度", "Pages a session.", unit="pages", **gap
        ),
        _ratio(
            "dwell_seconds", "ended_dwell_ms", "sessions_ended", "停留时间", dwell, unit="seconds", scale=0.001, **gap
        ),
        _ratio("bounce_ratio", "bounces", "sessions_ended", "跳出率", bounced, hurts="up", **gap),
        _ratio(
            "paid_traffic_ratio", "sessions_paid", "sessions", "付费流量占比",
            "Sessions from bought channels among all sessions.", hurts=None,
        ),
    ]  # fmt: skip


_ANSWERED = "payments_succeeded payments_declined_soft payments_declined_hard"

_FUNNEL = (
    _ratio("product_view_ratio", "reached.product", "sessions", "商品浏览率",
           "Sessions that saw a product, per session."),
    _ratio("add_to_cart_ratio", "reached.cart", "reached.product", "加购率",
           "Sessions that put something into the cart, per session that saw a product."),
    _ratio("checkout_ratio", "reached.checkout", "reached.cart", "结算率",
           "Sessions that began the checkout, per session with a cart."),
    _ratio("order_placement_ratio", "reached.ordered", "reached.checkout", "提交订单率",
           "Sessions that ordered, per session that began the checkout."),
    _ratio("order_conversion_ratio", "reached.ordered", "sessions", "下单转化率",
           "Sessions that ordered, per session."),
    _ratio("payment_conversion_ratio", "reached.paid", "reached.ordered", "支付转化率",
           "Sessions that paid, per session that ordered."),
    _ratio("conversion_ratio", "reached.paid", "sessions", "CVR 转化率", "Sessions that paid, per session."),
    _ratio("payment_completion_ratio", "orders_paid", "orders_attempted", "支付完成率",
           "Orders paid, per order with an attempt to pay."),
    _ratio("payment_confirmation_ratio", "orders_attempted", "orders_placed", "支付确认率",
           "Orders with an attempt to pay, per order placed."),
    _ratio("payment_overall_ratio", "orders_paid", "orders_placed", "整体支付率", "Orders paid, per order placed."),
    _volume("cart_items", "cart_items", "加购件数", "Items put into carts."),
    _ratio("payment_success_ratio", "payments_succeeded", _ANSWERED, "支付成功率",
           "Payments that succeeded, per payment with an answer."),
    _ratio("payment_answer_ratio", _ANSWERED, "payment_attempts", "支付应答率",
           "Payments with an answer, per attempt: falls where a provider hangs."),
    _volume("orders", "orders_paid", "支付订单数", "Orders paid."),
    _ratio("refund_ratio", "orders_refunded", "orders_paid", "退货率",
           "Orders refunded, per order paid in the same window.", hurts="up", min_window_ms=DAY_MS),
)  # fmt: skip


def _carts(spec: EngineSpec) -> list[Kpi]:
    return [
        _ratio(
            "cart_abandonment_ratio", "carts_idle", "carts_idle carts_kept", "购物车放弃率",
            "Carts gone idle among those decided in the same time; provisional, a cart may still be recovered.",
            hurts="up", delay_ms=spec.abandonment_timeout_ms,
        ),
        _ratio(
            "cart_abandonment_settled_ratio", "carts_abandoned", "carts_abandoned carts_converted",
            "购物车放弃率（结算）",
            "Carts not paid within the conversion window, among those abandoned or paid in this window.",
            hurts="up", min_window_ms=HOUR_MS,
        ),
    ]  # fmt: skip


def _money(currency: str) -> list[Kpi]:
    counter = f"revenue_minor.{currency}"
    money: dict[str, Any] = {"unit": currency, "scale": 10.0 ** -minor_exponent(currency), "currency": currency}
    average = "Money a paid order with a known amount."
    return [
        Kpi(f"revenue.{currency}", (counter,), hurts="down", word="成交额", help="Money of orders paid.", **money),
        _ratio(f"average_order_value.{currency}", counter, f"orders_valued.{currency}", "客单价", average, **money),
    ]


def _cohorts(spec: EngineSpec) -> list[Kpi]:
    told = [(horizon, horizon_label(horizon), stage) for horizon in spec.cohort_horizons_ms for stage in STAGES]
    return [
        _ratio(
            f"cohort_{stage}_ratio@{label}", f"cohort.{stage}@{label}", f"cohort.sessions@{label}", "队列转化率",
            f"Sessions opened in the window that reached {stage} within {label}.",
            delay_ms=horizon, horizon_ms=horizon,
        )
        for horizon, label, stage in told
    ]  # fmt: skip


_HOURLY: dict[str, Any] = {"hurts": None, "min_window_ms": HOUR_MS}

PENDING: tuple[Kpi, ...] = (
    _ratio("repurchase_ratio", "orders_repeat", "orders_known_user", "复购率", "Orders of returning customers.",
           min_window_ms=HOUR_MS),
    _ratio("new_customer_ratio", "orders_new", "orders_known_user", "新客占比", "Orders of new customers.", **_HOURLY),
    _ratio("click_through_ratio", "ad_clicks", "ad_impressions", "CTR 点击率", "Clicks per impression.", **_HOURLY),
    _ratio("customer_acquisition_cost.CNY", "ad_spend_minor.CNY", "orders_new", "CAC 获客成本",
           "Spend per new customer.", unit="CNY", scale=0.01, currency="CNY", **_HOURLY),
    _ratio("return_on_investment.CNY", "revenue_minor.CNY -ad_spend_minor.CNY", "ad_spend_minor.CNY", "ROI",
           "Revenue beyond spend, per spend.", currency="CNY", **_HOURLY),
)  # fmt: skip
"""Declared so that their names are taken and their formulas known; their counters come from a customer topic and from
ad reports, and no row carries them."""

CATALOGUE: tuple[Kpi, ...] = catalogue()
"""The catalogue of a shop with default durations that sells in CNY."""
