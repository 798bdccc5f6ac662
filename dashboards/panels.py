"""Boards as data, and their rendering to Grafana's JSON."""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus as prom
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard

from dashboards.queries import series

__all__ = ["DATASOURCE", "Board", "Choice", "Panel", "Query", "Row", "rendered"]

DATASOURCE = "funnelwatch-prometheus"
"""The uid of the provisioned data source; boards name it, so that they work on the first start."""

Kind = Literal["line", "stat", "bars", "table"]
_BUILDERS: dict[Kind, Any] = {
    "line": timeseries.Panel,
    "stat": stat.Panel,
    "bars": bargauge.Panel,
    "table": table.Panel,
}


class Query(NamedTuple):
    """One expression and the legend of its series."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """One panel; ``unit`` is Grafana's id of a unit, ``alarm_from`` colours values from there on red.

    ``band`` names the legends of a lower and an upper line between which the range is filled.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "line"
    width: int = 12
    height: int = 8
    alarm_from: float | None = None
    band: tuple[str, str] | None = None


class Row(NamedTuple):
    """A titled row of panels."""

    title: str
    panels: tuple[Panel, ...]


class Choice(NamedTuple):
    """A variable of the board: the values of a label, and the one chosen at first."""

    name: str
    label: str
    query: str
    first: str


class Board(NamedTuple):
    """A board; its ``uid`` never changes, because alerts link to it."""

    uid: str
    title: str
    description: str
    choices: tuple[Choice, ...]
    rows: tuple[Row, ...]
    link: tuple[str, str]


def rendered(board: Board) -> str:
    """The board as Grafana's JSON, stable from run to run."""
    made = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["funnelwatch"])
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .annotation(_firing())
        .link(_link(*board.link))
    )
    for choice in board.choices:
        made = made.with_variable(_variable(choice))
    for row in board.rows:
        made = made.with_row(build.Row(row.title))
        for panel in row.panels:
            made = made.with_panel(_panel(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _source() -> dashboard.DataSourceRef:
    return dashboard.DataSourceRef(type_val="prometheus", uid=DATASOURCE)


def _firing() -> build.AnnotationQuery:
    expr = series("ALERTS", 'alertstate="firing"')
    return build.AnnotationQuery().name("Alerts").datasource(_source()).enable(True).icon_color("red").expr(expr)


def _link(title: str, uid: str) -> build.DashboardLink:
    return build.DashboardLink(title).type(dashboard.DashboardLinkType.LINK).url(f"/d/{uid}").keep_time(True)


def _variable(choice: Choice) -> build.QueryVariable:
    first = dashboard.VariableOption(selected=True, text=choice.first, value=choice.first)
    return (
        build.QueryVariable(choice.name)
        .label(choice.label)
        .datasource(_source())
        .query(choice.query)
        .current(first)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def _panel(panel: Panel) -> Any:
    made = (
        _BUILDERS[panel.kind]()
        .title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .datasource(_source())
        .span(panel.width)
        .height(panel.height)
    )
    for number, query in enumerate(panel.queries):
        target = prom.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + number))
        target = target.range() if panel.kind == "line" else target.instant()
        if panel.kind == "table":
            target = target.format("table")
        made = made.with_target(target)
    steps = [dashboard.Threshold(value=None, color="green")]
    if panel.alarm_from is not None:
        steps.append(dashboard.Threshold(value=panel.alarm_from, color="red"))
    made = made.thresholds(build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))
    return _dressed(made, panel)


def _dressed(made: Any, panel: Panel) -> Any:
    """What only one kind of panel has."""
    if panel.kind == "table":
        return made.show_header(True).no_value("none")
    if panel.kind != "line":
        made = made.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        return made.orientation(common.VizOrientation.HORIZONTAL)
    made = made.legend(_legend()).show_points(common.VisibilityMode.NEVER)
    if panel.alarm_from is not None:
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED)
        made = made.thresholds_style(style)
    return _with_band(made, panel.band) if panel.band else made


def _legend() -> Any:
    placed = common_builders.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
    return placed.display_mode(common.LegendDisplayMode.LIST)


def _with_band(made: Any, band: tuple[str, str]) -> Any:
    lower, upper = band
    thin = dashboard.DynamicConfigValue(id_val="custom.lineWidth", value=0)
    fill = dashboard.DynamicConfigValue(id_val="custom.fillBelowTo", value=lower)
    soft = dashboard.DynamicConfigValue(id_val="custom.fillOpacity", value=15)
    return made.override_by_name(lower, [thin]).override_by_name(upper, [thin, fill, soft])
