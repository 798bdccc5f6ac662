"""The report of a replay: one HTML page that needs nothing else, for the person on call and the review afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.metadata import version
from importlib.resources import files
from zoneinfo import ZoneInfo

from detectors.base import Incident
from streams.durations import format_duration
from streams.engine.spec import MINUTE_MS
from streams.kpis import Kpi, minor_exponent
from streams.replay.accounting import accounting, reproduce
from streams.replay.before import compared_with
from streams.replay.options import show_moment
from streams.replay.plots import Shade, band_chart, funnel_chart, show_count, show_value
from streams.replay.review import Point, Replayed, SeriesKey, funnel_of, worst
from streams.replay.words import badge, causes_first, name_segment, said, share_of_cost, show_cost, show_span, table

__all__ = ["headline", "render"]

STAGE_NAMES = {
    "sessions": "Sessions",
    "product": "Saw a product",
    "cart": "Cart",
    "checkout": "Checkout",
    "ordered": "Ordered",
    "paid": "Paid",
}
# Charts of an incident begin and end this far around it.
AROUND_MS = 60 * 60_000
SHOWN_INCIDENTS = 6
HOW = {
    "rate": "it converts worse (rate)",
    "mix": "it came more or less often (mix)",
    "volume": "less of it was counted (volume)",
}
NAMED_SEGMENTS = 6


def render(replayed: Replayed) -> str:
    """The page, complete: style sheet and pictures inside, no script, no request."""
    style = files("streams.replay").joinpath("report.css").read_text(encoding="utf-8")
    title, lead = headline(replayed)
    sections = [
        _head(replayed, title, lead),
        *_notes(replayed),
        _incidents(replayed),
        _funnel(replayed),
        _kpis(replayed),
        _then(replayed),
        compared_with(replayed.kpis, replayed.totals, dict(replayed.before)),
        accounting(replayed),
        reproduce(replayed),
    ]
    body = "\n".join(section for section in sections if section)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n"
        f'<p class="soft">Written by funnelwatch {escape(version("funnelwatch"))}.</p>\n</main>\n</body>\n</html>\n'
    )


def headline(replayed: Replayed) -> tuple[str, str]:
    """What happened, in one line, and what it means, in a sentence or two."""
    zone = replayed.time_zone
    if not replayed.windows:
        return "Nothing to see: no window lies in the range", "No event was counted there."
    if replayed.incidents:
        first = worst(replayed.incidents)
        assert first is not None
        more = len(replayed.incidents) - 1
        others = f" {more} more incident{'s' if more > 1 else ''} in the range." if more else ""
        cost = show_cost(first)
        told = f"It cost {cost}." if cost else "Its cost is not known."
        return said(first), f"{show_span(first, zone)}. {told}{others}"
    judged = sum(count for state, count in replayed.states.items() if state not in {"warming_up", "unjudged"})
    if not judged:
        return (
            "Nothing was judged",
            "The detectors had seen too little to know what to expect. The figures below are as counted.",
        )
    return "Nothing fired", f"{judged:,} verdicts, none of which became an incident."


def _head(replayed: Replayed, title: str, lead: str) -> str:
    zone = replayed.time_zone
    span = ""
    if replayed.since_ms is not None and replayed.until_ms is not None:
        same_day = show_moment(replayed.since_ms, zone)[:10] == show_moment(replayed.until_ms, zone)[:10]
        until = show_moment(replayed.until_ms, zone, date=not same_day)
        span = f"{show_moment(replayed.since_ms, zone)} to {until} ({zone})"
    counters = replayed.totals.counters if replayed.totals else {}
    facts = [
        ("incidents", f"{len(replayed.incidents):,}"),
        ("sessions", show_count(counters.get("sessions", 0))),
        ("orders paid", show_count(counters.get("orders_paid", 0))),
        *(
            (f"revenue, {name[-3:]}", show_count(count / 10 ** minor_exponent(name[-3:])))
            for name, count in sorted(counters.items())
            if name.startswith("revenue_minor.")
        ),
        ("windows", f"{replayed.windows:,}"),
        ("records", show_count(replayed.accounting.records)),
    ]
    items = "".join(f"<li><b>{escape(told)}</b><span>{escape(name)}</span></li>" for name, told in facts)
    return (
        f'<header>\n<p class="eyebrow">Replay of {escape(replayed.source)} · {escape(span)}</p>\n'
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n<ul class="facts">{items}</ul>\n</header>'
    )


def _notes(replayed: Replayed) -> Iterable[str]:
    notes = list(replayed.notes)
    if replayed.missing_ms:
        notes.append(
            f"The log begins {format_duration(replayed.missing_ms // 60_000 * 60_000)} later than carts and sessions "
            "of the range need: carts opened before are not known."
        )
    warming = replayed.states.get("warming_up", 0)
    if warming and warming >= 0.5 * sum(replayed.states.values()):
        notes.append(
            f"{warming:,} of {sum(replayed.states.values()):,} verdicts are of detectors still warming up: "
            "replay a longer stretch before the incident, or a range of topics with the rows of the live run."
        )
    return [f'<p class="note">{escape(note)}</p>' for note in notes]


def _incidents(replayed: Replayed) -> str:
    if not replayed.incidents:
        return ""
    ranked = sorted(
        replayed.incidents,
        key=lambda each: (-(each.money_lost_minor or 0), -(each.orders_lost or 0), each.onset_ms, each.id),
    )
    told = [_incident(replayed, each) for each in ranked[:SHOWN_INCIDENTS]]
    rest = ""
    if len(ranked) > SHOWN_INCIDENTS:
        rows = [
            [said(each), show_span(each, replayed.time_zone), show_cost(each) or "–"]
            for each in ranked[SHOWN_INCIDENTS:]
        ]
        rest = "<h3>The others</h3>" + table(["incident", "when", "cost"], rows)
    return "<h2>What happened</h2>\n" + _LEGEND + "\n".join(told) + rest


def _incident(replayed: Replayed, incident: Incident) -> str:
    zone = replayed.time_zone
    state = {"open": "bad", "ongoing": "bad", "recovered": "good"}[incident.state]
    after = format_duration(max(0, incident.detected_ms - incident.onset_ms))
    facts = [
        ("when", show_span(incident, zone)),
        ("found", f"{show_moment(incident.detected_ms, zone, date=False)}, {after} after it began"),
        ("KPIs", ", ".join(causes_first(incident.kpis))),
        ("cost", show_cost(incident) or "not known"),
    ]
    where = [f"{name_segment(one.segment)} ({one.share:.0%} of the loss)" for one in incident.attribution[:1]]
    if not where:
        where = [name_segment(segment) for segment in incident.segments] or [name_segment(())]
    if len(where) > NAMED_SEGMENTS:
        where = [f"{len(where)} segments, that is most of the shop"]
    facts.insert(3, ("where", ", ".join(where)))
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(told)}</dd>" for name, told in facts)
    return (
        f'<article class="incident {incident.state}">\n<h3>{escape(said(incident))} '
        f"{badge(incident.state, state)}</h3>\n<dl>{rows}</dl>\n{_attribution(incident)}"
        f"{_incident_charts(replayed, incident)}\n</article>"
    )


def _attribution(incident: Incident) -> str:
    """Where the loss sits, a line a segment, with its part of the orders and the money."""
    if not incident.attribution:
        return ""
    rows = [
        [name_segment(one.segment), HOW[one.kind], f"{one.share:.0%}", *share_of_cost(incident, one.share)]
        for one in incident.attribution
    ]
    heads = ["where the loss sits", "how", "share of the loss", "orders", "money"]
    return f"{table(heads, rows, numbers=3)}\n"


def _incident_charts(replayed: Replayed, incident: Incident) -> str:
    by_name = {kpi.name: kpi for kpi in replayed.kpis}
    kpis = causes_first(incident.kpis)
    loud = [segment for segment in incident.segments if segment]
    wanted: list[SeriesKey] = [(name, ()) for name in kpis[:2]]
    if len(loud) == 1:
        # A single segment's fall is seen in its own series, and hardly in that of the whole.
        wanted.insert(0, (kpis[0], loud[0]))
    end = incident.ended_ms or incident.updated_ms
    told = []
    for name, segment in wanted:
        points = [
            point
            for point in replayed.series.get((name, segment), ())
            if incident.onset_ms - AROUND_MS <= point.start_ms and point.end_ms <= end + AROUND_MS
        ]
        if name in by_name and points:
            told.append(_figure(replayed, by_name[name], points, name_segment(segment) if segment else ""))
    return f'<div class="grid">{"".join(told[:2])}</div>' if told else ""


def _funnel(replayed: Replayed) -> str:
    if replayed.totals is None:
        return ""
    stages = funnel_of(replayed.totals)
    implied = any(guessed for _, _, guessed in stages)
    hint = " The hatched part was not seen itself: a later stage of the same session was." if implied else ""
    return (
        "<h2>The funnel</h2>\n"
        f'<p class="soft">Sessions that reached each stage; rates are of what was observed.{hint}</p>\n'
        f"<figure>{funnel_chart(stages, STAGE_NAMES)}</figure>"
    )


def _kpis(replayed: Replayed) -> str:
    loud = {name for incident in replayed.incidents for name in incident.kpis}
    shown = [kpi for kpi in replayed.kpis if replayed.series.get((kpi.name, ()))]
    told = [point for kpi in shown for point in [replayed.series[kpi.name, ()]]]
    if not told:
        return ""
    first = causes_first(tuple(loud))
    ordered = sorted(shown, key=lambda kpi: first.index(kpi.name) if kpi.name in loud else len(first))
    flow = [kpi for kpi in ordered if kpi.horizon_ms is None]
    cohorts = [kpi for kpi in ordered if kpi.horizon_ms is not None]
    figures = "".join(_figure(replayed, kpi, replayed.series[kpi.name, ()]) for kpi in flow)
    late = "".join(_figure(replayed, kpi, replayed.series[kpi.name, ()]) for kpi in cohorts)
    more = (
        f'<details><summary>By cohort of the opening window ({len(cohorts)})</summary><div class="grid">{late}</div>'
        "</details>"
        if cohorts
        else ""
    )
    return f'<h2>Every KPI</h2>\n{_LEGEND}<div class="grid">{figures}</div>\n{more}'


def _figure(replayed: Replayed, kpi: Kpi, points: Sequence[Point], segment: str = "") -> str:
    zone = replayed.time_zone
    shades = [
        Shade(each.onset_ms, each.ended_ms or each.updated_ms, f"{each.summary}; {show_span(each, zone)}")
        for each in replayed.incidents
        if kpi.name in each.kpis
    ]
    chart = band_chart(kpi, points, shades, ZoneInfo(zone))
    over = f'<span class="now">{escape(_over_all(replayed, kpi, points))}</span>'
    where = f" · {segment}" if segment else ""
    where += f" · by {format_duration(kpi.min_window_ms)}" if kpi.min_window_ms > MINUTE_MS else ""
    return (
        f'<figure><span class="figures">{over}</span><h3>{escape(kpi.name)}{escape(where)}</h3>{chart}'
        f"<figcaption>{escape(kpi.word)}{' · ' if kpi.word else ''}{escape(kpi.help)} "
        f"<code>{escape(kpi.formula)}</code></figcaption></figure>"
    )


def _over_all(replayed: Replayed, kpi: Kpi, points: Sequence[Point]) -> str:
    """The figure over all points that are shown; of visitors, who are not to be added, over the whole range."""
    if "visitors" in kpi.numerator:
        return show_value(replayed.over_all(kpi), kpi.unit)
    successes = sum(point.successes for point in points)
    if kpi.denominator is None:
        return show_value(successes * kpi.scale, kpi.unit)
    trials = sum(point.trials or 0 for point in points)
    return show_value(successes / trials * kpi.scale if trials else None, kpi.unit)


def _then(replayed: Replayed) -> str:
    """What this replay says fired beside what fired at the time."""
    past = replayed.past
    heading = "<h2>Now and at the time</h2>\n"
    if not past.rows and not past.incidents and not past.alerts:
        return heading + '<p class="soft">No record of a live run was given to compare with.</p>'
    matched = {each.id for each in past.incidents}
    rows = []
    for now in replayed.incidents:
        then = next((each for each in past.incidents if each.id == now.id or _alike(each, now)), None)
        matched -= {then.id} if then else set()
        rows.append([said(now), show_span(now, replayed.time_zone), _found(replayed, then), _same(now, then)])
    rows += [
        ["–", "–", f"{said(each)}, {show_span(each, replayed.time_zone)}", badge("only at the time", "bad")]
        for each in past.incidents
        if each.id in matched
    ]
    if not rows:
        return heading + "<p>Nothing fired, neither in this replay nor at the time.</p>"
    return heading + table(["this replay", "when", "at the time", ""], rows, marked=True)


def _found(replayed: Replayed, then: Incident | None) -> str:
    if then is None:
        return "nothing"
    return (
        f"{show_span(then, replayed.time_zone)}, found {show_moment(then.detected_ms, replayed.time_zone, date=False)}"
    )


def _same(now: Incident, then: Incident | None) -> str:
    if then is None:
        return badge("only in this replay", "bad")
    return badge("the same", "good") if then.id == now.id else badge("alike", "soft")


def _alike(one: Incident, other: Incident) -> bool:
    ends = [each.ended_ms or each.updated_ms for each in (one, other)]
    return bool(set(one.kpis) & set(other.kpis)) and one.onset_ms < ends[1] and other.onset_ms < ends[0]


_LEGEND = (
    '<ul class="legend"><li><i class="l-value"></i>observed</li><li><i class="l-expected"></i>expected</li>'
    '<li><i class="l-band"></i>expected range</li><li><i class="l-shade"></i>incident</li>'
    '<li><i class="l-alert"></i>alert stood</li></ul>\n'
)
