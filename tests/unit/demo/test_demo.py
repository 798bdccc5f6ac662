"""The demonstration's parts: what it reads, what it shows, what it tells at the end."""

from __future__ import annotations

import dataclasses
import io
import socket
from pathlib import Path

import pytest
from rich.console import Console

from detectors.base import Blame, Incident
from streams.config import load_config
from streams.demo.display import Lines
from streams.demo.live_shop import LiveShop
from streams.demo.options import DemoOptions, Pace, pace_of, shop_of, worker_config
from streams.demo.report import Left, lines_of, summary
from streams.demo.run import own_directory, usable_port
from streams.demo.screen import Screen
from streams.demo.state import Delivery, Picture, read_samples
from streams.errors import InputError
from streams.simulate import IncidentSpec, Shop, ShopSpec

NOON_MS = 1_772_337_600_000
LEFT = Left(Path("events.jsonl.zst"), Path("events.labels.json"), Path("shop.toml"), Path("logs"))


def page(end_ms: int, paid: int = 7, **kpis: str) -> str:
    lines = [
        "# HELP funnel_records_total Records.",
        "funnel_records_total 5120.0",
        'funnel_rejected_records_total{reason="not_json"} 3.0',
        'funnel_rejected_records_total{reason="future"} 0.0',
        'funnel_lag_records{topic="clickstream",partition="0"} 11.0',
        'funnel_lag_records{topic="orders",partition="1"} 2.0',
        f"funnel_window_end_timestamp_seconds {end_ms / 1000}",
        'funnel_stage_sessions{stage="visit",reach="observed"} 101.0',
        f'funnel_stage_sessions{{stage="paid",reach="observed"}} {paid}.0',
        'funnel_stage_sessions{stage="paid",reach="implied"} 1.0',
        'funnel_kpi_info{kpi="payment_success_ratio",unit="ratio",hurts="down"} 1.0',
        'funnel_kpi_value{kpi="payment_success_ratio",dimension="device",value="ios"} 0.5',
    ]
    whole = 'dimension="all",value="all"'
    facts = {"value": "0.931", "successes": "27.0", "lower": "0.88", "upper": "0.97", "score": "0.21"}
    for part, value in facts.items():
        lines.append(f'funnel_kpi_{part}{{kpi="payment_success_ratio",{whole}}} {kpis.get(part, value)}')
    lines.append(
        f'funnel_kpi_active{{kpi="payment_success_ratio",{whole},direction="below"}} {kpis.get("active", "0")}'
    )
    return "\n".join(lines)


def incident(detected_ms: int, state: str = "open") -> Incident:
    return Incident(
        id=f"i-{detected_ms}",
        state=state,
        kind="drop",
        kpis=("payment_success_ratio", "orders"),
        segments=((),),
        onset_ms=detected_ms - 10_000,
        detected_ms=detected_ms,
        updated_ms=detected_ms,
        ended_ms=None,
        summary="payments succeed in 3 of 61 instead of 93 %",
    )


@pytest.fixture
def picture() -> Picture:
    picture = Picture(started_ms=NOON_MS, phase="calm")
    picture.scraped(read_samples(page(NOON_MS + 10_000)), NOON_MS + 10_000)
    return picture


def test_the_whole_is_read_and_segments_are_passed_over(picture):
    line = picture.kpi("payment_success_ratio")
    assert (line.value, line.lower, line.upper, line.score, line.active) == (0.931, 0.88, 0.97, 0.21, False)
    assert line.unit == "ratio"
    assert picture.total("funnel_lag_records") == 13
    assert picture.by_label("funnel_rejected_records_total", "reason") == {"not_json": 3}


def test_the_funnel_adds_up_the_windows_of_a_minute_and_no_more(picture):
    for n in range(2, 12):
        picture.scraped(read_samples(page(NOON_MS + n * 10_000)), NOON_MS + n * 10_000)
        picture.scraped(read_samples(page(NOON_MS + n * 10_000)), NOON_MS + n * 10_000)
    stages = {line.stage: line for line in picture.funnel()}
    assert stages["visit"].observed == 6 * 101
    assert (stages["paid"].observed, stages["paid"].implied) == (42, 6)


def test_the_outage_is_caught_by_a_payment_incident_found_after_it_began(picture):
    picture.outage_ms = NOON_MS + 30_000
    picture.incident(incident(NOON_MS + 20_000), NOON_MS + 21_000)
    assert picture.caught() is None
    picture.incident(incident(NOON_MS + 50_000), NOON_MS + 51_000)
    assert picture.caught().detected_ms == NOON_MS + 50_000


def test_an_incident_that_was_open_before_may_take_in_the_outage(picture):
    picture.outage_ms = NOON_MS + 30_000
    before = dataclasses.replace(incident(NOON_MS + 20_000), kpis=("sessions",))
    picture.incident(before, NOON_MS + 21_000)
    picture.incident(
        dataclasses.replace(before, kpis=("orders", "sessions"), updated_ms=NOON_MS + 50_000), NOON_MS + 52_000
    )
    assert picture.caught().id == before.id
    assert picture.caught_ms() == NOON_MS + 52_000


@pytest.mark.parametrize(("width", "height"), [(100, 30), (140, 45)])
def test_the_table_fills_a_terminal_and_not_more(picture, width, height):
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, record=True)
    picture.scraped(read_samples(page(NOON_MS + 20_000, score="4.20", active="1")), NOON_MS + 20_000)
    picture.incident(incident(NOON_MS + 20_000), NOON_MS + 21_000)
    picture.deliveries.append(Delivery(NOON_MS, "firing", "FunnelKpiBelowRange", "orders", "fell"))
    console.print(Screen(picture, NOON_MS + 25_000, [("replay it", "funnelwatch replay events.jsonl")]))
    shown = console.export_text()
    assert len(shown.rstrip("\n").splitlines()) <= height
    for word in ("payment_success_ratio", "93.1%", "88.0% … 97.0%", "4.20", "● alert", "3 of 61", "not_json 3"):
        assert word in shown
    for word in ("filled a cart", "1, last FunnelKpiBelowRange", "funnelwatch replay events.jsonl", "0:25"):
        assert word in shown


def located(detected_ms: int) -> Incident:
    where = Blame((("payment_method", "alipay"), ("payment_provider", "psp-1")), 0.87)
    return dataclasses.replace(
        incident(detected_ms),
        summary="payment success 93.1 % → 71.4 % since 20:00; 87 % of the loss is …; about 31 orders, 6,200 CNY lost",
        attribution=(where, Blame((("device", "web"),), 0.1, "mix")),
        orders_lost=31.2,
        orders_lost_low=26,
        orders_lost_high=36,
        money_lost_minor=620_040,
        currency="CNY",
    )


@pytest.mark.parametrize(("width", "height"), [(100, 30), (140, 45)])
def test_an_incident_is_shown_with_where_its_loss_sits_and_what_it_costs(picture, width, height):
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, record=True)
    picture.incident(located(NOON_MS + 20_000), NOON_MS + 21_000)
    picture.incident(located(NOON_MS + 19_000), NOON_MS + 21_000)
    console.print(Screen(picture, NOON_MS + 25_000, [("replay it", "funnelwatch replay events.jsonl")]))
    shown = console.export_text()
    assert len(shown.rstrip("\n").splitlines()) <= height
    assert "payment success 93.1 % → 71.4 %" in shown
    assert "87% of the loss  payment_method=alipay × payment_provider=psp-1  converts worse" in shown
    assert "31 orders, 6,200 CNY (26 to 36)" in shown


def test_the_end_tells_where_the_outage_sat(picture):
    picture.outage_ms = NOON_MS + 30_000
    picture.incident(located(NOON_MS + 50_000), NOON_MS + 54_500)
    told = summary(picture, LEFT, NOON_MS + 90_000, [])
    assert told["outage"]["located"] == "payment_method=alipay × payment_provider=psp-1"
    assert told["outage"]["located_share"] == 0.87
    assert told["incidents"][0]["attribution"][1] == {"segment": {"device": "web"}, "share": 0.1, "kind": "mix"}
    assert told["incidents"][0]["money_lost_minor"] == 620_040
    assert "87% of its loss was put on payment_method=alipay × payment_provider=psp-1" in " ".join(
        lines_of(picture, LEFT)
    )


def test_a_table_without_any_figure_yet_is_shown_too():
    console = Console(width=100, height=30, file=io.StringIO(), record=True)
    console.print(Screen(Picture(started_ms=NOON_MS, phase="starting"), NOON_MS, []))
    assert "none yet" in console.export_text()


def test_lines_are_written_when_the_phase_changes_or_some_seconds_have_passed(picture):
    stream = io.StringIO()
    lines = Lines(stream)
    for after_ms, phase in (
        (0, "calm: 1"),
        (1_000, "calm: 2"),
        (2_000, "outage"),
        (3_000, "outage"),
        (8_000, "outage"),
    ):
        picture.phase = phase
        lines.show(picture, NOON_MS + after_ms, [])
    told = stream.getvalue().splitlines()
    assert [line[:9] for line in told] == ["[   0 s] ", "[   2 s] ", "[   8 s] "]
    assert "payment success 93%" in told[0]


def test_the_summary_tells_the_outage_the_incidents_and_the_deliveries(picture):
    picture.outage_ms, picture.written = NOON_MS + 30_000, 6_001
    picture.incident(incident(NOON_MS + 50_000), NOON_MS + 54_500)
    picture.deliveries.append(Delivery(NOON_MS + 58_000, "firing", "FunnelKpiBelowRange", "orders", "fell"))
    told = summary(picture, LEFT, NOON_MS + 90_000, [])
    assert told["events_in"] == 6_001
    assert told["records_absorbed"] == 5_120
    assert told["rejected"] == {"not_json": 3}
    assert told["outage"]["found_after_seconds"] == 24.5
    assert told["outage"]["alert_after_seconds"] == 28.0
    assert [one["is_the_outage"] for one in told["incidents"]] == [True]
    assert told["alerts_delivered"] == 1
    assert "24 s after" in " ".join(lines_of(picture, LEFT))


def test_an_alert_that_a_notification_repeats_is_delivered_once_until_it_is_resolved(picture):
    firing = Delivery(NOON_MS, "firing", "FunnelKpiBelowRange", "orders", "fell")
    for one in (firing, firing, firing._replace(segment="device=ios"), firing._replace(status="resolved"), firing):
        picture.delivered(one)
    assert [(one.status, one.segment) for one in picture.deliveries] == [
        ("firing", ""),
        ("firing", "device=ios"),
        ("resolved", ""),
        ("firing", ""),
    ]
    assert len(picture.fired()) == 3


def test_a_calm_summary_has_no_outage(picture):
    assert summary(picture, LEFT, NOON_MS, [])["outage"] is None


def test_the_workers_configuration_is_one_that_the_worker_takes(tmp_path):
    pace = Pace()
    (tmp_path / "shop.toml").write_text(worker_config("127.0.0.1:19092", 9_999, pace, "mine."), encoding="utf-8")
    config = load_config(tmp_path / "shop.toml")
    spec = config.engine_spec()
    assert (spec.window_ms, spec.grace_ms, spec.max_out_of_orderness_ms) == (10_000, 3_000, 2_000)
    shop = shop_of(DemoOptions(), pace, "mine.")
    assert [source.topic for source in spec.sources] == [shop.click_topic, shop.orders_topic]
    assert shop.disorder_ms < spec.max_out_of_orderness_ms
    assert config.metrics.port == 9_999


def test_an_unattended_run_injects_early_enough_to_tell_about_it():
    assert pace_of(DemoOptions(for_seconds=90)).calm_ms <= 5_000
    assert pace_of(DemoOptions()).calm_ms == 60_000


def test_a_short_run_loses_a_whole_provider_and_a_long_one_a_method_of_it():
    assert [len(pace_of(DemoOptions(for_seconds=seconds)).cause) for seconds in (90, 239, 240, None)] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("change", "word"), [({"for_seconds": 20}, "--for"), ({"metrics_port": 70_000}, "--metrics-port")]
)
def test_an_option_that_makes_no_sense_is_named(change, word):
    with pytest.raises(InputError, match=word):
        DemoOptions(**change)


def test_a_shop_struck_while_it_runs_tells_what_one_struck_from_the_start_would():
    spec = ShopSpec(seed=3, sessions_per_minute=60)
    incident = IncidentSpec("payment_outage", NOON_MS + 61_000, NOON_MS + 200_000)
    live, told = LiveShop(spec), []
    told += live.events(NOON_MS, NOON_MS + 30_000)
    live.strike(incident)
    for start_ms in range(NOON_MS + 30_000, NOON_MS + 300_000, 7_500):
        told += live.events(start_ms, start_ms + 7_500)
    assert told == list(Shop(spec).with_incident(incident).events(NOON_MS, NOON_MS + 300_000))
    assert live.spec.incidents == (incident,)


def test_a_strike_holds_although_the_shop_went_on_meanwhile():
    spec = ShopSpec(seed=3, sessions_per_minute=60)
    incident = IncidentSpec("bots", NOON_MS + 61_000, NOON_MS + 200_000)
    live, told = LiveShop(spec), []
    told += live.events(NOON_MS, NOON_MS + 20_000)
    going_on = live.events(NOON_MS + 20_000, NOON_MS + 40_000)
    told.append(next(going_on))
    live.strike(incident)
    told += going_on
    told += live.events(NOON_MS + 40_000, NOON_MS + 120_000)
    assert told == list(Shop(spec).with_incident(incident).events(NOON_MS, NOON_MS + 120_000))


def test_a_taken_port_is_named_with_the_way_out():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--metrics-port = {port}.*0 for a free one"):
            usable_port(port)
    assert usable_port(port) == port
    assert usable_port(0) > 0


def test_two_demonstrations_do_not_share_a_directory(tmp_path):
    first, second = own_directory(tmp_path / "demo"), own_directory(tmp_path / "demo")
    with first, pytest.raises(InputError, match="another demonstration"):
        second.__enter__()
    with own_directory(tmp_path / "demo") as left:
        assert left.logs.is_dir()
