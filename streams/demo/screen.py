"""The table of the demonstration: a picture in, something to look at out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from detectors.base import Blame, Incident
from streams.demo.state import KpiLine, Picture
from streams.kpis import minor_exponent

__all__ = ["Screen", "line_of", "name_segment"]

FIRST_KPIS = (
    "sessions",
    "add_to_cart_ratio",
    "checkout_ratio",
    "order_conversion_ratio",
    "payment_success_ratio",
    "payment_answer_ratio",
    "conversion_ratio",
    "orders",
    "revenue.CNY",
    "average_order_value.CNY",
)
STAGE_NAMES = {
    "visit": "visited",
    "product": "saw a product",
    "cart": "filled a cart",
    "checkout": "began checkout",
    "ordered": "ordered",
    "paid": "paid",
}
BAR = 18
HOW = {"rate": "converts worse", "mix": "came more or less often", "volume": "counted less"}
BLOCKS = "▁▂▃▄▅▆▇█"
NARROW_ROWS = 36
BLAMED = 2
"""Segments of an incident that are shown."""

LINES = 2
"""Lines that each incident has on average: the latest takes what those before it leave."""

ZONE = ZoneInfo("Asia/Shanghai")


class Screen:
    """One look at a picture; rich asks it for its size, so it fills small and large terminals.

    Parameters
    ----------
    picture
        What is known.
    now_ms
        The moment of this look.
    commands
        What to try next: explanation and command.
    """

    def __init__(self, picture: Picture, now_ms: int, commands: Sequence[tuple[str, str]]) -> None:
        self._picture, self._now_ms, self._commands = picture, now_ms, commands

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = options.max_height
        tall = rows >= NARROW_ROWS
        # Six lines frame the rest; the KPIs get what the funnel, the incidents and the commands leave.
        kpis = max(4, min(len(self._picture.kpi_names()), rows - (30 if tall else 24)))
        top = Table.grid(expand=True)
        top.add_column(ratio=11)
        top.add_column(ratio=10)
        top.add_row(self._funnel(), self._pipeline())
        yield Group(self._title(), top, self._kpis(kpis), self._incidents(4 if tall else 2), self._next(tall))

    def _title(self) -> RenderableType:
        seconds = max(0, (self._now_ms - self._picture.started_ms) // 1000)
        line = Table.grid(expand=True)
        line.add_column()
        line.add_column(justify="right")
        line.add_row(
            Text.assemble(("funnelwatch demo ", "bold cyan"), (self._picture.phase, "bold")),
            Text(f"{seconds // 60}:{seconds % 60:02d}", style="dim"),
        )
        return line

    def _funnel(self) -> RenderableType:
        table = Table(box=None, expand=True, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("stage", header_style="dim", min_width=14)
        for name in ("seen", "implied", "share"):
            table.add_column(name, justify="right", header_style="dim", min_width=len(name) + 1)
        table.add_column("", ratio=1, no_wrap=True, overflow="crop")
        lines = self._picture.funnel()
        visits = lines[0].observed
        for line in lines:
            share = line.observed / visits if visits else 0.0
            table.add_row(
                STAGE_NAMES[line.stage],
                f"{line.observed:,}",
                f"{line.implied:,}" if line.implied else "·",
                f"{share:.1%}" if visits else "-",
                Text("█" * max(1 if line.observed else 0, round(min(share, 1) * BAR)), style="cyan"),
            )
        return Panel(table, title="funnel, last minute of closed windows", title_align="left", box=box.ROUNDED)

    def _pipeline(self) -> RenderableType:
        picture, table = self._picture, Table.grid(padding=(0, 1, 0, 0))
        table.add_column(style="dim", no_wrap=True, min_width=13)
        table.add_column(no_wrap=True, overflow="ellipsis")
        age = picture.freshness_ms(self._now_ms)
        rejected = picture.by_label("funnel_rejected_records_total", "reason")
        late, behind = (picture.value(f"funnel_{name}_records_total") or 0 for name in ("late", "behind_watermark"))
        copies = picture.value("funnel_duplicate_records_total") or 0
        worst = ", ".join(
            f"{reason} {count:.0f}" for reason, count in sorted(rejected.items(), key=lambda x: -x[1])[:2]
        )
        table.add_row("records", f"{picture.written:,} sent, lag {picture.total('funnel_lag_records'):,.0f}")
        table.add_row("latest window", "none yet" if age is None else f"closed, ended {max(0, age) / 1000:.0f} s ago")
        table.add_row("late / behind", f"{late:,.0f} / {behind:,.0f}, {copies:,.0f} duplicates")
        table.add_row("rejected", f"{sum(rejected.values()):,.0f}" + (f" ({worst})" if worst else ""))
        table.add_row("metrics", picture.metrics_url.removeprefix("http://") or "-")
        table.add_row("Prometheus", picture.prometheus_url.removeprefix("http://") or "-")
        fired = picture.fired()
        told = f"{len(fired)}" + (f", last {fired[-1].alert}" if fired else "")
        table.add_row("alerts sent", Text(told, style="bold red" if fired else ""))
        return Panel(table, title="pipeline", title_align="left", box=box.ROUNDED)

    def _kpis(self, count: int) -> RenderableType:
        table = Table(box=None, expand=True, padding=(0, 1, 0, 0), pad_edge=False)
        for name, right in (("KPI", False), ("now", True), ("expected", True), ("score", True), ("", False)):
            table.add_column(name, justify="right" if right else "left", header_style="dim", no_wrap=True)
        known = self._picture.kpi_names()
        names = [name for name in FIRST_KPIS if name in known]
        names += [name for name in known if name not in names]
        for name in names[:count]:
            line = self._picture.kpi(name)
            table.add_row(Text(name, style="bold red" if line.active else ""), *_figures(line), _mark(line))
        for _ in range(count - len(names)):
            table.add_row("", "", "", "", "")
        curve = spark([value for _, value in self._picture.curve])
        title = "KPIs, latest window" + (f"   payment success {curve}" if curve else "")
        return Panel(table, title=title, title_align="left", box=box.ROUNDED)

    def _incidents(self, count: int) -> RenderableType:
        found = sorted(self._picture.incidents.values(), key=lambda one: (one.state == "recovered", -one.onset_ms))
        lines: list[RenderableType] = []
        for one in found[:count]:
            lines += [_incident(one), *map(_blame, one.attribution[:BLAMED])]
            if (cost := _cost(one)) is not None:
                lines.append(cost)
        del lines[count * LINES :]
        if not lines and self._picture.judging:
            lines = [Text("none: every judged KPI is inside its range", style="green")]
        elif not lines:
            lines = [Text("the judge still learns what is usual", style="dim")]
        return Panel(Group(*lines), title="incidents", title_align="left", box=box.ROUNDED)

    def _next(self, tall: bool) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 1))
        for told, command in self._commands[: 4 if tall else 2]:
            table.add_row(Text(told, style="dim"), Text(command, style="cyan", overflow="fold"))
        return table


def name_segment(segment: Sequence[tuple[str, str]]) -> str:
    """A segment as the alerts write it.

    >>> name_segment((("device", "ios"), ("payment_method", "alipay")))
    'device=ios × payment_method=alipay'
    """
    return " × ".join(f"{dimension}={value}" for dimension, value in segment)


def line_of(picture: Picture, now_ms: int) -> str:
    """The picture as one line, for outputs that are no terminal.

    >>> line_of(Picture(started_ms=0, phase="calm"), 65_000)
    '[  65 s] calm | sent 0, lag 0 | no closed window yet'
    """
    age = picture.freshness_ms(now_ms)
    told = f"[{(now_ms - picture.started_ms) / 1000:4.0f} s] {picture.phase} | sent {picture.written:,}"
    told += f", lag {picture.total('funnel_lag_records'):,.0f}"
    if age is None:
        return told + " | no closed window yet"
    rate = picture.kpi("payment_success_ratio").value
    told += f" | window {max(0, age) / 1000:.0f} s ago, payment success {'-' if rate is None else f'{rate:.0%}'}"
    incidents = picture.open_incidents()
    return told + (f" | {incidents[0].summary}" if incidents else "")


def spark(values: Sequence[float | None]) -> str:
    """Shares of 0..1 as a little curve; a blank where there is none.

    >>> spark([0.0, 0.5, None, 1.0])
    '▁▅ █'
    """
    told = [" " if value is None else BLOCKS[min(7, int(max(value, 0.0) * 7 + 0.5))] for value in values]
    return "".join(told)


def _figures(line: KpiLine) -> tuple[str, str, str]:
    bounds = "-"
    if line.lower is not None and line.upper is not None:
        bounds = f"{_number(line.lower, line.unit)} … {_number(line.upper, line.unit)}"
    value = "-" if line.value is None else _number(line.value, line.unit)
    return value, bounds, "-" if line.score is None else f"{line.score:.2f}"


def _number(value: float, unit: str) -> str:
    if unit == "ratio":
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.1f}"


def _mark(line: KpiLine) -> Text:
    if line.active:
        return Text("● alert", style="bold red")
    if line.score is None:
        return Text("  not judged", style="dim")
    if line.lower is None:
        return Text("◌ learning", style="dim")
    if line.score >= 0.75:
        return Text("◐ suspect", style="yellow")
    return Text("○ calm", style="green")


def _incident(incident: Incident) -> Text:
    over = incident.state == "recovered"
    onset = datetime.fromtimestamp(incident.onset_ms / 1000, ZONE).strftime("%H:%M:%S")
    what = incident.summary
    if incident.attribution or _cost(incident):
        # The lines below tell the rest.
        what = what.split("; ")[0].rpartition(" since ")[0] or what
    told = Text.assemble(
        ("recovered " if over else f"{incident.kind} ", "green" if over else "bold red"),
        (f"since {onset}: ", "dim"),
        what,
    )
    told.truncate(400, overflow="ellipsis")
    return told


def _blame(blame: Blame) -> Text:
    return Text.assemble(
        (f"  {blame.share:>4.0%} of the loss  ", "dim"),
        (name_segment(blame.segment), "bold yellow"),
        (f"  {HOW[blame.kind]}", "dim"),
    )


def _cost(incident: Incident) -> Text | None:
    if incident.orders_lost is None or incident.orders_lost < 1:
        return None
    money = ""
    if incident.money_lost_minor is not None and incident.currency:
        amount = incident.money_lost_minor / 10 ** minor_exponent(incident.currency)
        money = f", {amount:,.0f} {incident.currency}"
    low, high = incident.orders_lost_low, incident.orders_lost_high
    between = "" if low is None or high is None else f" ({low:,.0f} to {high:,.0f})"
    return Text.assemble(
        ("  lost so far       " if incident.state != "recovered" else "  lost in all       ", "dim"),
        (f"{incident.orders_lost:,.0f} orders{money}", "bold red"),
        (between, "dim"),
    )
