"""The report: complete in itself, says what happened, safe against what events hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from detectors.base import Blame, Incident
from streams.engine.rows import Row
from streams.kpis import CATALOGUE
from streams.replay.past import Past
from streams.replay.plots import Shade, band_chart, funnel_chart, thinned
from streams.replay.report import STAGE_NAMES, headline, render
from streams.replay.review import Accounting, Point, Replayed
from streams.replay.words import show_span

MINUTE = 60_000
START = 1_772_366_400_000
BY_NAME = {kpi.name: kpi for kpi in CATALOGUE}


def incident(**more: Any) -> Incident:
    fields: dict[str, Any] = {
        "id": "i-1",
        "state": "recovered",
        "kind": "drop",
        "kpis": ("conversion_ratio", "payment_success_ratio"),
        "segments": ((), (("device", "<script>"),)),
        "onset_ms": START + 10 * MINUTE,
        "detected_ms": START + 12 * MINUTE,
        "updated_ms": START + 30 * MINUTE,
        "ended_ms": START + 30 * MINUTE,
        "summary": "payment success 93 % → 16 % since 12:10",
        "orders_lost": 206.0,
        "money_lost_minor": 4_108_500,
        "currency": "CNY",
    }
    return Incident(**{**fields, **more})


def points(values: list[float | None]) -> list[Point]:
    return [
        Point(
            START + n * MINUTE,
            START + (n + 1) * MINUTE,
            value,
            9 * (value or 0),
            9,
            0.9,
            0.8,
            1.0,
            "calm",
            n in (11, 12),
        )
        for n, value in enumerate(values)
    ]


def replayed(**more: Any) -> Replayed:
    counters: Mapping[str, int] = {
        "sessions": 900, "reached.product": 700, "reached.cart": 300, "implied.cart": 41, "reached.paid": 60,
        "orders_paid": 61, "revenue_minor.CNY": 1_234_500,
    }  # fmt: skip
    fields: dict[str, Any] = {
        "source": "clicks & orders",
        "since_ms": START,
        "until_ms": START + 60 * MINUTE,
        "windows": 60,
        "totals": Row("window", START, START + 60 * MINUTE, (), None, counters, "f"),
        "series": {("payment_success_ratio", ()): points([0.9] * 10 + [0.1] * 20 + [None] + [0.9] * 29)},
        "incidents": (incident(),),
        "accounting": Accounting(
            4321,
            {"duplicates": 17, "rejected.not_json": 3, "late": 0, "counted": 4301},
            {"not_json": ["clicks[0]@7: <b>"]},
        ),
        "kpis": CATALOGUE,
        "states": {"calm": 100},
        "past": Past(),
        "rows": {},
        "spec": "0123456789abcdef",
        "time_zone": "Asia/Shanghai",
        "command": "funnelwatch replay day.jsonl --report 'a b.html'",
    }
    return Replayed(**{**fields, **more})


class Checker(HTMLParser):
    """Every tag is closed in order; what would be fetched is collected."""

    VOID = frozenset(("meta", "link", "br", "img", "hr"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S))


def test_the_page_is_well_formed_and_fetches_nothing() -> None:
    page = render(replayed())
    checker = checked(page)
    assert checker.fetched == []
    assert "script" not in checker.tags
    assert "url(" not in page.replace("url(#hatch)", "")
    assert "@import" not in page


def test_every_picture_is_well_formed_and_has_a_name() -> None:
    pictures = re.findall(r"<svg.*?</svg>", render(replayed()), flags=re.S)
    assert len(pictures) >= 3
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"]


def test_the_first_lines_say_what_happened_when_and_what_it_cost() -> None:
    title, lead = headline(replayed())
    assert title == "Payment success 93 % → 16 % since 12:10"
    assert lead == "2026-03-01 20:10 to 20:30 (20m). It cost about 206 orders, CNY 41,085."


def test_the_costliest_incident_comes_first_and_the_others_are_counted() -> None:
    cheap = incident(id="i-0", onset_ms=START, summary="cheap", money_lost_minor=5, orders_lost=1.0)
    title, lead = headline(replayed(incidents=(cheap, incident())))
    assert title.startswith("Payment success")
    assert lead.endswith("1 more incident in the range.")


@pytest.mark.parametrize(
    ("more", "title"),
    [
        ({"incidents": ()}, "Nothing fired"),
        ({"incidents": (), "states": {"warming_up": 7, "unjudged": 2}}, "Nothing was judged"),
        ({"incidents": (), "windows": 0, "totals": None, "series": {}}, "Nothing to see: no window lies in the range"),
    ],
)
def test_a_page_without_incidents_says_why(more: dict[str, Any], title: str) -> None:
    told = replayed(**more)
    assert headline(told)[0] == title
    checked(render(told))


def test_what_events_hold_is_text_and_never_markup() -> None:
    page = render(replayed(source="<img src=x>", incidents=(incident(summary="<b>bold</b>"),)))
    assert "<img" not in page
    assert "<b>bold" not in page
    assert "<script>" not in page
    assert "device &lt;script&gt;" in page
    assert "clicks[0]@7: &lt;b&gt;" in page


def test_records_are_accounted_for_by_reason() -> None:
    told = text_of(render(replayed()))
    assert "4,321" in told
    assert "rejected.not_json not a JSON object 3" in told
    assert "duplicates copies of an event that counted; ignored 17" in told


def test_how_to_get_it_again_is_on_the_page() -> None:
    told = text_of(render(replayed()))
    assert "0123456789abcdef" in told
    assert "funnelwatch replay day.jsonl --report" in told


def test_what_fired_now_stands_beside_what_fired_at_the_time() -> None:
    then = (
        incident(detected_ms=START + 14 * MINUTE),
        incident(id="i-9", summary="sessions fell", kpis=("sessions",), onset_ms=START, ended_ms=START + MINUTE),
    )
    other = incident(id="i-2", summary="only now", kpis=("bounce_ratio",), onset_ms=START + 50 * MINUTE, ended_ms=None)
    told = text_of(render(replayed(past=Past(incidents=then), incidents=(incident(), other))))
    assert "found 20:14 the same" in told
    assert "Only now since 2026-03-01 20:50, not over" in told
    assert "nothing only in this replay" in told
    assert "Sessions fell, 2026-03-01 20:00 to 20:01 (1m) only at the time" in told


def test_an_incident_of_another_name_at_the_same_time_is_called_alike() -> None:
    then = incident(id="other", kpis=("payment_success_ratio",), onset_ms=START + 29 * MINUTE)
    assert "alike" in text_of(render(replayed(past=Past(incidents=(then,)))))


def test_the_live_runs_own_counts_and_the_rows_that_differ_are_told() -> None:
    same, other = ("window", START, None, ()), ("window", START + MINUTE, None, (("device", "ios"),))
    rows = {same: {"sessions": 5}, other: {"sessions": 3}}
    live = {same: {"sessions": 5, "late": 2}, other: {"sessions": 2}}
    told = text_of(render(replayed(rows=rows, past=Past(rows=live))))
    assert "1 rows are the same as those of the live run, 1 differ" in told
    assert "late window already closed; counted in a correction of it 2 0" in told
    assert "2026-03-01 20:01 window device ios" in told


def test_a_log_that_begins_too_late_is_told() -> None:
    assert "begins 3h later than carts and sessions" in text_of(render(replayed(missing_ms=3 * 3_600_000 + 5)))


def test_many_points_are_added_up_and_a_ratio_stays_the_ratio_of_its_counts() -> None:
    many = [Point(n, n + 1, None, n % 7, 10 + n % 3, 0.5, 0.4, None, "calm", n == 3) for n in range(1000)]
    few = thinned(many, most=100)
    assert len(few) == 100
    assert sum(point.successes for point in few) == sum(point.successes for point in many)
    assert few[0].value == sum(n % 7 for n in range(10)) / sum(10 + n % 3 for n in range(10))
    assert (few[0].active, few[1].active, few[0].lower, few[0].upper) == (True, False, pytest.approx(0.4), None)


def test_a_chart_without_values_or_with_odd_ones_is_still_drawn() -> None:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("America/New_York")
    assert band_chart(BY_NAME["orders"], [], [], zone) == ""
    for values in ([None], [0.0], [float("inf"), 2.0], [1e9] * 3):
        chart = band_chart(BY_NAME["orders"], points(values), [Shade(START, START + 5 * MINUTE, "a<b")], zone)
        ElementTree.fromstring(chart)
        assert "nan" not in chart


def test_a_funnel_without_sessions_is_drawn() -> None:
    chart = funnel_chart([(stage, 0, 0) for stage in STAGE_NAMES], STAGE_NAMES)
    ElementTree.fromstring(chart)


def test_an_incident_that_is_not_over_says_so() -> None:
    assert show_span(incident(state="ongoing", ended_ms=None), "UTC") == "since 2026-03-01 12:10, not over (20m so far)"


def test_an_incident_says_where_its_loss_sits_and_what_each_part_cost():
    pair = (("device", "ios"), ("payment_method", "ali<pay"))
    told = incident(attribution=(Blame(pair, 0.88), Blame((("channel", "sem"),), 0.1, "mix")))
    page = render(replayed(incidents=(told,)))
    assert "device ios, payment_method ali&lt;pay (88% of the loss)" in page
    for cell in (
        "it converts worse (rate)",
        "88%",
        "181",
        "CNY 36,155",
        "it came more or less often (mix)",
        "CNY 4,108",
    ):
        assert f">{cell}</td>" in page
    assert "where the loss sits" not in render(replayed(incidents=(incident(),)))
