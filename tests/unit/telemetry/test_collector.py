"""What a scrape says: every series declared, closed label sets, a cap that is told."""

import re

from prometheus_client.parser import text_string_to_metric_families

from detectors.base import Blame
from detectors.seasonal import Note
from streams import events
from streams.telemetry import names
from streams.telemetry.collector import registry_of
from streams.telemetry.view import View
from tests.support.prometheus import KPIS, Told, busy_view, incident, verdict, window

Key = tuple[str, frozenset[tuple[str, str]]]


def scrape(view: View, max_series: int = 20_000) -> dict[Key, float]:
    from prometheus_client import generate_latest

    told: dict[Key, float] = {}
    for family in text_string_to_metric_families(generate_latest(registry_of(view, max_series=max_series)).decode()):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in told, f"{key} is told twice"
            told[key] = sample.value
    return told


def value(told: dict[Key, float], name: str, **labels: str) -> float | None:
    return told.get((name, frozenset(labels.items())))


def test_every_series_of_the_catalogue_is_exported_and_no_other() -> None:
    told = scrape(busy_view())
    ours = {name for name, _ in told if name.startswith("funnel_")}
    assert ours == {metric.name for metric in names.CATALOGUE}
    for name, labels in told:
        if name in ours:
            assert {label for label, _ in labels} == set(names.metric(name).labels), name


def test_names_follow_the_conventions() -> None:
    for metric in names.CATALOGUE:
        assert re.fullmatch(r"funnel_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert not metric.name.endswith("_created")
        assert metric.help.endswith("."), metric.name


def test_the_reasons_of_the_engine_are_all_exported_from_the_start() -> None:
    told = scrape(View())
    for reason in events.REASONS:
        assert value(told, "funnel_rejected_records_total", reason=reason) == 0


def test_the_stages_are_those_of_the_engine() -> None:
    assert ("visit", *events.STAGES) == names.STAGES


def test_a_worker_that_judges_nothing_exports_no_kpi() -> None:
    view = busy_view()
    view.drop_judge()
    exported = {name for name, _ in scrape(view)}
    assert not [name for name in exported if name.startswith(("funnel_kpi", "funnel_open_incident", "funnel_window_"))]
    assert "funnel_records_total" in exported


def test_a_judge_that_reads_its_past_exports_nothing_of_it() -> None:
    view = View()
    view.judge_rebuilding()
    view.kpis(KPIS)
    view.window(window(60_000))
    view.judged(Told((verdict(active=True, kind="drop"),), (incident(),)))
    assert value(scrape(view), "funnel_window_end_timestamp_seconds") is None
    view.judge_live()
    assert value(scrape(view), "funnel_window_end_timestamp_seconds") == 60.0


def test_zero_is_exported_and_no_value_is_not() -> None:
    view = View()
    view.judged(Told((verdict(value=0.0, successes=0), verdict("bounce_ratio", value=None, successes=0, trials=0))))
    view.judge_live()
    told, whole = scrape(view), {"dimension": "all", "value": "all"}
    assert value(told, "funnel_kpi_value", kpi="conversion_ratio", **whole) == 0
    assert value(told, "funnel_kpi_value", kpi="bounce_ratio", **whole) is None
    assert value(told, "funnel_kpi_trials", kpi="bounce_ratio", **whole) == 0


def test_an_active_verdict_says_on_which_side_it_stands() -> None:
    view = View()
    drop = verdict("orders", value=9.0, expected=8.0, active=True, kind="drop")
    rise = verdict("bounce_ratio", value=0.1, expected=0.2, active=True, kind="rise")
    drift = verdict("conversion_ratio", value=0.5, expected=0.2, active=True, kind="drift")
    view.judged(Told((drop, rise, drift, verdict("new_customer_ratio"))))
    view.judge_live()
    told = scrape(view)
    sides = {
        kpi: tuple(
            value(told, "funnel_kpi_active", kpi=kpi, dimension="all", value="all", direction=side)
            for side in names.DIRECTIONS
        )
        for kpi in ("orders", "bounce_ratio", "conversion_ratio", "new_customer_ratio")
    }
    assert sides == {"orders": (1, 0), "bounce_ratio": (0, 1), "conversion_ratio": (0, 1), "new_customer_ratio": (0, 0)}


def test_the_cap_keeps_the_whole_then_what_is_active_then_what_is_large() -> None:
    view = View()
    small = verdict(segment=(("device", "tv"),), trials=3, active=True, kind="drop")
    large = verdict(segment=(("device", "ios"),), trials=500)
    medium = verdict(segment=(("device", "web"),), trials=50)
    view.judged(Told((medium, large, small, verdict())))
    view.judge_live()
    per_series = sum(1 for name, labels in scrape(view) if ("value", "ios") in labels)
    told = scrape(view, max_series=3 * per_series)
    shown = {dict(labels)["value"] for name, labels in told if name == "funnel_kpi_value"}
    assert shown == {"all", "tv", "ios"}
    assert value(told, "funnel_dropped_series") == per_series
    assert value(scrape(view, max_series=4 * per_series), "funnel_dropped_series") == 0


def test_values_that_are_equal_once_cut_do_not_fail_the_scrape() -> None:
    view = View()
    long = "x" * 64
    view.judged(Told((verdict(segment=(("channel", long + "a"),)), verdict(segment=(("channel", long + "b"),)))))
    view.judge_live()
    told = scrape(view)
    assert value(told, "funnel_kpi_value", kpi="conversion_ratio", dimension="channel", value=long) == 0.031
    assert (value(told, "funnel_dropped_series") or 0) > 0


def test_text_of_the_shop_cannot_break_the_page() -> None:
    view = View()
    odd = 'a"b\\c\nd\ud800'
    view.judged(Told((verdict(segment=(("channel", odd),)),)))
    view.judge_live()
    assert any(dict(labels).get("value") == 'a"b\\c\nd?' for _, labels in scrape(view))


def test_an_unknown_reason_or_an_odd_field_becomes_other() -> None:
    view = View()
    view.rejected("somebody@shop.example", 3)
    view.partition(0, counts={"field_defects.Ann Smith": 2}, watermark_ms=None, lag_records={})
    told = scrape(view)
    assert value(told, "funnel_rejected_records_total", reason="other") == 3
    assert value(told, "funnel_field_defects_total", field="other") == 2


def test_moments_are_seconds_and_absent_until_known() -> None:
    view = View()
    view.assigned((4,), 8)
    assert value(scrape(view), "funnel_watermark_timestamp_seconds", partition="4") is None
    view.partition(4, counts={}, watermark_ms=1_760_000_000_250, lag_records={"orders": 6})
    told = scrape(view)
    assert value(told, "funnel_watermark_timestamp_seconds", partition="4") == 1_760_000_000.25
    assert value(told, "funnel_lag_records", partition="4", topic="orders") == 6


def test_losses_of_the_open_incidents_add_up_by_currency() -> None:
    view = View()
    euro = incident("stop", currency="EUR", money_lost_minor=5.0, orders_lost=2.0)
    unknown = incident("rise", currency=None, money_lost_minor=None, orders_lost=None)
    view.judged(Told(incidents=(incident("drop"), euro, unknown)))
    view.judge_live()
    told = scrape(view)
    assert value(told, "funnel_lost_orders") == 15.0
    assert value(told, "funnel_lost_money_minor", currency="EUR") == 5.0
    assert value(told, "funnel_lost_money_minor", currency="CNY") == 170_900.0


def test_where_a_loss_sits_is_told_by_kpi_largest_share_first_and_three_segments_at_most() -> None:
    view = View()
    pair = (("device", "ios"), ("payment_method", "alipay"))
    parts = [Blame(pair, 0.62), *(Blame((("channel", name),), 0.1, "mix") for name in ("sem", "seo", "mail"))]
    smaller = incident("stop", attribution=(Blame(pair, 0.2),))
    view.judged(Told(incidents=(incident("drop", attribution=tuple(parts)), smaller)))
    view.judge_live()
    shares = {
        (labels["dimension"], labels["value"], labels["part"]): share
        for (name, held), share in scrape(view).items()
        for labels in (dict(held),)
        if name == "funnel_open_incident_loss_ratio" and labels["kpi"] == "conversion_ratio"
    }
    assert shares == {
        ("device,payment_method", "ios,alipay", "rate"): 0.62,
        ("channel", "sem", "mix"): 0.1,
        ("channel", "seo", "mix"): 0.1,
    }


def test_every_kind_of_trouble_counts_from_zero_and_its_moment_is_exported_once_there_is_one() -> None:
    view = View()
    told = scrape(view)
    for kind in names.TROUBLES:
        assert value(told, "funnel_source_troubles_total", kind=kind) == 0
    assert not [name for name, _ in told if name == "funnel_source_trouble_timestamp_seconds"]
    view.trouble("records_lost", "orders", 3, moment_ms=5_000, lost=7)
    view.trouble("records_lost", "orders", 3, moment_ms=9_000, lost=4)
    told = scrape(view)
    assert value(told, "funnel_source_troubles_total", kind="records_lost") == 2
    assert value(told, "funnel_lost_records_total") == 11
    place = {"kind": "records_lost", "topic": "orders", "partition": "3"}
    assert value(told, "funnel_source_trouble_timestamp_seconds", **place) == 9.0


def test_the_last_record_of_a_partition_survives_what_else_is_told_of_it_and_goes_with_it() -> None:
    view = View()
    view.assigned((3,), 4)
    view.heard(3, 7_000)
    view.snapshot_saved(3, moment_ms=5_000, size_bytes=11)
    view.partition(3, counts={"records": 1}, watermark_ms=1_000, lag_records={})
    assert value(scrape(view), "funnel_last_record_timestamp_seconds", partition="3") == 7.0
    view.assigned((), 4)
    assert value(scrape(view), "funnel_last_record_timestamp_seconds", partition="3") is None


def test_notes_in_force_are_told_by_kind_and_labels_by_name() -> None:
    view = busy_view()
    end_ms = view.snapshot().window.end_ms  # type: ignore[union-attr]
    hour = 3_600_000
    around = Note("campaign", end_ms - hour, end_ms + hour, "sale", (("channel", "sem"),))
    view.calendar([around, around._replace(start_ms=end_ms), around._replace(kind="holiday")], ["expected", "expected"])
    told = scrape(view)
    assert value(told, "funnel_calendar_notes", kind="campaign") == 1
    assert value(told, "funnel_calendar_notes", kind="holiday") == 1
    assert value(told, "funnel_calendar_labels", label="expected") == 2
    assert value(told, "funnel_calendar_labels", label="new-normal") == 0


def test_judging_anew_puts_its_judgement_in_place_of_the_old_one() -> None:
    view = View()
    view.judge_live()
    view.judged(Told((verdict("orders", active=True, kind="drop"),), (incident("drop"),)))
    view.judged_anew(Told((verdict("orders"),), ()))
    view.count_anew()
    told = scrape(view)
    assert value(told, "funnel_open_incidents", kind="drop") == 0
    assert value(told, "funnel_kpi_active", kpi="orders", dimension="all", value="all", direction="below") == 0
    assert value(told, "funnel_judged_anew_total") == 1
