"""How the report and the terminal say things: spans, costs, segments, tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from detectors.base import Incident
from streams.durations import format_duration
from streams.engine.rows import Segment
from streams.kpis import minor_exponent
from streams.monitor_series import RANKS
from streams.replay.options import show_moment

__all__ = ["badge", "causes_first", "name_segment", "said", "share_of_cost", "show_cost", "show_span", "table"]


def show_span(incident: Incident, time_zone: str) -> str:
    """From when to when, and for how long.

    >>> show_span(Incident("i", "recovered", "drop", ("orders",), ((),), 0, 60_000, 1_800_000, 1_800_000, "s"), "UTC")
    '1970-01-01 00:00 to 00:30 (30m)'
    """
    start = show_moment(incident.onset_ms, time_zone)
    end_ms = incident.ended_ms
    if end_ms is None:
        so_far = format_duration(max(0, incident.updated_ms - incident.onset_ms))
        return f"since {start}, not over ({so_far} so far)"
    same_day = start[:10] == show_moment(end_ms, time_zone)[:10]
    length = format_duration(end_ms - incident.onset_ms)
    return f"{start} to {show_moment(end_ms, time_zone, date=not same_day)} ({length})"


def said(incident: Incident) -> str:
    """The incident's summary as a sentence begins."""
    return incident.summary[:1].upper() + incident.summary[1:]


def causes_first(kpis: Sequence[str]) -> list[str]:
    """KPIs with those first that explain the others.

    >>> causes_first(["conversion_ratio", "orders", "payment_success_ratio"])
    ['payment_success_ratio', 'conversion_ratio', 'orders']
    """
    return sorted(kpis, key=lambda name: (RANKS.index(name) if name in RANKS else len(RANKS), name))


def show_cost(incident: Incident) -> str:
    """Orders and money lost, with the range where it is known; empty where neither is.

    >>> incident = Incident("i", "open", "drop", ("orders",), ((),), 0, 0, 0, None, "s", 211.6, 4_130_000, "CNY")
    >>> show_cost(incident)
    'about 212 orders, CNY 41,300'
    """
    parts = []
    if incident.orders_lost is not None:
        text = f"about {incident.orders_lost:,.0f} orders"
        if incident.orders_lost_low is not None and incident.orders_lost_high is not None:
            text += f" ({incident.orders_lost_low:,.0f} to {incident.orders_lost_high:,.0f})"
        parts.append(text)
    if incident.money_lost_minor is not None and incident.currency:
        parts.append(f"{incident.currency} {incident.money_lost_minor / 10 ** minor_exponent(incident.currency):,.0f}")
    return ", ".join(parts)


def share_of_cost(incident: Incident, share: float) -> tuple[str, str]:
    """A segment's part of the lost orders, and of the lost money; a dash where that is not known.

    >>> incident = Incident("i", "open", "drop", ("orders",), ((),), 0, 0, 0, None, "s", 211.6, 4_130_000, "CNY")
    >>> share_of_cost(incident, 0.5)
    ('106', 'CNY 20,650')
    """
    orders = "–" if incident.orders_lost is None else f"{incident.orders_lost * share:,.0f}"
    if incident.money_lost_minor is None or not incident.currency:
        return orders, "–"
    amount = incident.money_lost_minor * share / 10 ** minor_exponent(incident.currency)
    return orders, f"{incident.currency} {amount:,.0f}"


def name_segment(segment: Segment) -> str:
    """A segment in words.

    >>> name_segment(()), name_segment((("channel", "sem"), ("device", "ios")))
    ('the whole shop', 'channel sem, device ios')
    """
    return ", ".join(f"{dimension} {value}" for dimension, value in segment) or "the whole shop"


def badge(text: str, look: str) -> str:
    """A word in a frame; ``look`` is ``good``, ``bad`` or ``soft``."""
    return f'<span class="badge {look}">{escape(text)}</span>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int = 0, marked: bool = False) -> str:
    """A table; the last ``numbers`` columns are right-aligned, with ``marked`` the last cell is markup already."""
    first_number = len(heads) - numbers

    def cell(tag: str, column: int, text: str) -> str:
        look = ' class="number"' if column >= first_number else ""
        told = text if marked and tag == "td" and column == len(heads) - 1 else escape(text)
        return f"<{tag}{look}>{told}</{tag}>"

    head = "".join(cell("th", column, text) for column, text in enumerate(heads))
    body = "".join(
        "<tr>" + "".join(cell("td", column, text) for column, text in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
