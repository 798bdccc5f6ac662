"""KPIs: formulas, the catalogue, and tables of the configuration."""

from pathlib import Path

import pytest

from streams.engine.spec import EngineSpec
from streams.errors import ConfigError
from streams.kpis import CATALOGUE, PENDING, catalogue, counter_kinds, dimension_kinds

BY_NAME = {kpi.name: kpi for kpi in CATALOGUE}

COUNTERS = {
    "sessions": 200,
    "sessions_paid": 30,
    "visitors": 190.5,
    "page_views": 900,
    "sessions_ended": 160,
    "ended_page_views": 800,
    "ended_dwell_ms": 16_000_000,
    "bounces": 40,
    "reached.product": 150,
    "reached.cart": 60,
    "reached.checkout": 45,
    "reached.ordered": 36,
    "reached.paid": 27,
    "cart_items": 71,
    "orders_placed": 35,
    "orders_attempted": 28,
    "orders_paid": 21,
    "orders_refunded": 3,
    "payment_attempts": 40,
    "payments_succeeded": 24,
    "payments_declined_soft": 5,
    "payments_declined_hard": 3,
    "carts_idle": 18,
    "carts_kept": 6,
    "carts_abandoned": 12,
    "carts_converted": 20,
    "revenue_minor.CNY": 840_000,
    "orders_valued.CNY": 20,
    "cohort.sessions@15m": 50,
    "cohort.paid@15m": 4,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sessions", 200),
        ("visitors", 190.5),
        ("page_views", 900),
        ("browse_depth", 5.0),
        ("dwell_seconds", 100.0),
        ("bounce_ratio", 0.25),
        ("paid_traffic_ratio", 0.15),
        ("product_view_ratio", 0.75),
        ("add_to_cart_ratio", 0.4),
        ("cart_items", 71),
        ("checkout_ratio", 0.75),
        ("order_placement_ratio", 0.8),
        ("order_conversion_ratio", 0.18),
        ("payment_conversion_ratio", 0.75),
        ("conversion_ratio", 0.135),
        ("payment_success_ratio", 0.75),
        ("payment_answer_ratio", 0.8),
        ("payment_completion_ratio", 0.75),
        ("payment_confirmation_ratio", 0.8),
        ("payment_overall_ratio", 0.6),
        ("cart_abandonment_ratio", 0.75),
        ("cart_abandonment_settled_ratio", 0.375),
        ("orders", 21),
        ("revenue.CNY", 8400.0),
        ("average_order_value.CNY", 420.0),
        ("refund_ratio", 1 / 7),
        ("cohort_paid_ratio@15m", 0.08),
    ],
)
def test_each_kpi_is_its_formula(name: str, value: float) -> None:
    assert BY_NAME[name].value(COUNTERS) == pytest.approx(value)


def test_a_zero_denominator_gives_no_value_and_a_volume_of_nothing_is_zero() -> None:
    for kpi in CATALOGUE:
        assert kpi.value({}) == (0 if kpi.denominator is None else None), kpi.name


def test_a_numerator_may_exceed_its_denominator() -> None:
    assert BY_NAME["checkout_ratio"].value({"reached.checkout": 3, "reached.cart": 2}) == 1.5


def test_counts_are_not_scaled() -> None:
    assert BY_NAME["revenue.CNY"].counts(COUNTERS) == (840_000, None)
    assert BY_NAME["average_order_value.CNY"].counts(COUNTERS) == (840_000, 20)


def test_every_counter_of_every_kpi_exists() -> None:
    for kpi in (*CATALOGUE, *PENDING):
        for term in (*kpi.numerator, *(kpi.denominator or ())):
            assert counter_kinds(term.removeprefix("-")) is not None, (kpi.name, term)


def test_every_kpi_has_a_sentence_of_help_and_a_word() -> None:
    assert all(kpi.help.endswith(".") and kpi.word for kpi in (*CATALOGUE, *PENDING))


def test_minor_units_follow_the_currency() -> None:
    yen = {kpi.name: kpi for kpi in catalogue(currencies=("JPY", "KWD"))}
    assert yen["revenue.JPY"].value({"revenue_minor.JPY": 1234}) == 1234
    assert yen["revenue.KWD"].value({"revenue_minor.KWD": 1234}) == pytest.approx(1.234)


def test_delays_are_the_durations_of_the_engine() -> None:
    spec = EngineSpec(session_gap_ms=7_000, abandonment_timeout_ms=11_000, cohort_horizons_ms=(13_000, 3_600_000))
    delays = {kpi.name: kpi.delay_ms for kpi in catalogue(spec=spec)}
    assert delays["bounce_ratio"] == delays["dwell_seconds"] == delays["browse_depth"] == 7_000
    assert delays["cart_abandonment_ratio"] == 11_000
    assert delays["cohort_paid_ratio@13s"] == 13_000
    assert delays["cohort_cart_ratio@1h"] == 3_600_000
    assert delays["conversion_ratio"] == 0


def test_no_ratio_of_placed_orders_is_formed_by_payment_dimensions() -> None:
    kinds = dimension_kinds(EngineSpec())
    by_provider, by_device = (("payment_provider", "psp-1"),), (("device", "ios"),)
    assert BY_NAME["payment_success_ratio"].may_split(by_provider, kinds)
    for name in ("payment_confirmation_ratio", "payment_overall_ratio", "conversion_ratio", "sessions"):
        assert not BY_NAME[name].may_split(by_provider, kinds)
        assert BY_NAME[name].may_split(by_device, kinds)


def test_only_items_are_formed_by_product_dimensions() -> None:
    kinds = dimension_kinds(EngineSpec())
    allowed = [kpi.name for kpi in CATALOGUE if kpi.may_split((("category", "shoes"),), kinds)]
    assert allowed == ["cart_items"]


def test_the_share_of_bought_traffic_is_formed_for_the_whole_only() -> None:
    kinds = dimension_kinds(EngineSpec())
    assert BY_NAME["paid_traffic_ratio"].may_split((), kinds)
    assert not BY_NAME["paid_traffic_ratio"].may_split((("device", "ios"),), kinds)


def test_a_table_of_the_configuration_is_a_kpi() -> None:
    table = {
        "name": "soft_share",
        "numerator": ["payments_declined_soft"],
        "denominator": "payments_declined_soft + payments_declined_hard",
        "hurts": "up",
        "delay": "90s",
        "help": "Soft declines among declines.",
    }
    kpi = catalogue([table])[-1]
    assert kpi.value(COUNTERS) == 5 / 8
    assert (kpi.hurts, kpi.delay_ms, kpi.unit) == ("up", 90_000, "ratio")
    assert kpi.formula == "payments_declined_soft / (payments_declined_soft + payments_declined_hard)"


def test_a_table_may_subtract_and_use_a_cohort() -> None:
    lost = {"name": "lost", "numerator": "orders_placed - orders_paid", "hurts": "none"}
    early = {"name": "early", "numerator": "cohort.cart@15m", "denominator": "cohort.sessions@15m", "delay": 7}
    first, second = catalogue([lost, early])[-2:]
    assert (first.value(COUNTERS), first.hurts) == (14, None)
    assert (second.horizon_ms, second.delay_ms) == (900_000, 7)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"name": "x", "numerator": "payment_succeeded"}, "did you mean payments_succeeded?"),
        ({"name": "x", "numerator": "reached.payed"}, "did you mean reached.paid?"),
        ({"name": "x", "numerator": "sessions", "denominater": "visitors"}, "did you mean denominator?"),
        ({"name": "orders", "numerator": "orders_paid"}, "two KPIs have this name"),
        ({"name": "repurchase_ratio", "numerator": "orders_paid"}, "two KPIs have this name"),
        ({"name": "X y", "numerator": "orders_paid"}, "use lower case"),
        ({"numerator": "orders_paid"}, "not a name"),
        ({"name": "x"}, "name at least one counter"),
        ({"name": "x", "numerator": "sessions * 2"}, "no such counter"),
        ({"name": "x", "numerator": "sessions +"}, "not a sum"),
        ({"name": "x", "numerator": 3}, "write a list"),
        ({"name": "x", "numerator": "sessions", "hurts": "left"}, "use down, up or none"),
        ({"name": "x", "numerator": "sessions", "delay": "soon"}, "no duration"),
        ({"name": "x", "numerator": "sessions", "delay": -1}, "not a duration"),
        ({"name": "x", "numerator": "cohort.paid@2h"}, "cohort_horizons are 15m"),
        ({"name": "x", "numerator": "cohort.paid@15m", "denominator": "sessions"}, "counters of one horizon"),
    ],
)
def test_a_bad_table_is_refused_with_the_way_out(table: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        catalogue([table])
    assert told in str(caught.value)


def test_a_currency_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="ISO 4217"):
        catalogue(currencies=("yuan",))


def test_the_page_on_kpis_has_each_with_its_formula() -> None:
    page = (Path(__file__).parents[2] / "docs" / "kpis.md").read_text(encoding="utf-8")
    for kpi in (*CATALOGUE, *PENDING):
        assert f"| `{kpi.name}` | {kpi.word} | `{kpi.formula}` |" in page, kpi.name
    for kpi in CATALOGUE:
        segments = ", ".join(sorted(kpi.kinds)) or "whole only"
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{kpi.name}` ")]
        assert line.endswith(f"| {segments} |"), kpi.name
