"""The board of who is on call: is the shop selling, where does it stop, since when, what does it cost."""

from __future__ import annotations

from dashboards.links import FUNNEL_BOARD, HEALTH_BOARD
from dashboards.panels import Board, Choice, Panel, Query, Row
from dashboards.queries import PARTS, WHOLE, age, recorded, series

__all__ = ["FUNNEL"]

FIRING, OBSERVED = 'alertstate="firing"', 'reach="observed"'
CHOSEN = 'kpi="$kpi"'
WINDOW_END = "job:funnel_window_end_timestamp_seconds:max"


def _kpi(part: str, *matchers: str) -> str:
    return recorded(f"kpi:funnel_kpi_{part}:max", *matchers)


def _now(title: str, kpi: str, unit: str, text: str) -> Panel:
    return Panel(title, text, unit, (Query(_kpi("value", f'kpi="{kpi}"', WHOLE), kpi),), "stat", width=4, height=4)


def _rates() -> Query:
    ratio = series("funnel_kpi_info", 'unit="ratio"')
    return Query(f"{_kpi('value', WHOLE)} * on (kpi) group_left () max by (kpi) ({ratio})", "{{kpi}}")


NOW = Row(
    "Now",
    (
        _now("Conversion", "conversion_ratio", "percentunit", "Sessions that paid, per session, latest window."),
        _now("Payment success", "payment_success_ratio", "percentunit", "Payments that succeeded, per answer."),
        _now("Orders", "orders", "short", "Orders paid in the latest window."),
        Panel(
            "Alerts firing",
            "Alerts that fire at this moment, on the shop and on the pipeline.",
            "short",
            (Query(f"count({series('ALERTS', FIRING)}) or vector(0)", "firing"),),
            "stat",
            width=4,
            height=4,
            alarm_from=1,
        ),
        Panel(
            "Orders lost",
            "Orders that the open incidents have cost so far, estimated.",
            "short",
            (Query(f"max({series('funnel_lost_orders')})", "orders"),),
            "stat",
            width=4,
            height=4,
            alarm_from=1,
        ),
        Panel(
            "Age of the figures",
            "Time since the end of the latest closed window. About two minutes is usual.",
            "s",
            (Query(age(recorded(WINDOW_END)), "age"),),
            "stat",
            width=4,
            height=4,
            alarm_from=300,
        ),
        Panel(
            "Verdicts that stand",
            "Each KPI and segment that is outside its expected range, confirmed over several windows.",
            "short",
            (Query(f"{recorded('kpi:funnel_kpi_active:max')} == 1"),),
            "table",
        ),
        Panel(
            "Most unusual",
            "The ten highest scores of the whole shop: 0 is calm, 1 is the border.",
            "short",
            (Query(f"topk(10, {_kpi('score', WHOLE)})", "{{kpi}}"),),
            "bars",
            alarm_from=1,
        ),
    ),
)

STAGES = Row(
    "Funnel",
    (
        Panel(
            "Reached, latest window",
            "Sessions that reached each stage. Implied: a later stage was seen, this one's own event was not.",
            "short",
            (Query(f"max by (stage, reach) ({series('funnel_stage_sessions')})", "{{stage}} {{reach}}"),),
            "bars",
        ),
        Panel(
            "Reached, observed",
            "Sessions a window that reached each stage, seen by the stage's own event.",
            "short",
            (Query(f"max by (stage) ({series('funnel_stage_sessions', OBSERVED)})", "{{stage}}"),),
        ),
        Panel(
            "Rates of the whole shop",
            "Every KPI that is a share. Numerator and denominator are added first, then divided.",
            "percentunit",
            (_rates(),),
            width=24,
        ),
    ),
)

ONE_KPI = Row(
    "$kpi",
    (
        Panel(
            "$kpi against its expected range",
            "Value of each window in the KPI's own unit, what was expected of it, and the expected range.",
            "short",
            tuple(
                Query(_kpi(part, CHOSEN, WHOLE), legend)
                for part, legend in (("value", "value"), ("expected", "expected"), ("lower", "low"), ("upper", "high"))
            ),
            width=16,
            height=10,
            band=("low", "high"),
        ),
        Panel(
            "$kpi, the counts under it",
            "Successes and trials a window: a rate over few trials says little.",
            "short",
            (Query(_kpi("successes", CHOSEN, WHOLE), "successes"), Query(_kpi("trials", CHOSEN, WHOLE), "trials")),
            width=8,
            height=10,
        ),
        Panel(
            "$kpi by $dimension",
            "The KPI in each value of the chosen dimension.",
            "short",
            (Query(_kpi("value", CHOSEN, 'dimension="$dimension"'), "{{value}}"),),
        ),
        Panel(
            "Score of $kpi by $dimension",
            "How unusual each value of the chosen dimension is: 0 is calm, 1 is the border.",
            "short",
            (Query(_kpi("score", CHOSEN, 'dimension="$dimension"'), "{{value}}"),),
            alarm_from=1,
        ),
        Panel(
            "Smallest drop of $kpi that would be seen",
            "The smallest change for the worse that would be found within ten windows, as a share of what is "
            "expected. It grows where little is counted: at night only a total loss may be visible.",
            "percentunit",
            (Query(_kpi("smallest_visible_drop_ratio", CHOSEN, WHOLE), "$kpi"),),
        ),
        Panel(
            "Smallest drop that would be seen",
            "The same of every judged KPI of the whole shop, at this moment.",
            "percentunit",
            (Query(f"sort({_kpi('smallest_visible_drop_ratio', WHOLE)})", "{{kpi}}"),),
            "bars",
        ),
    ),
)

INCIDENTS = Row(
    "Incidents",
    (
        Panel(
            "Open incidents",
            "Incidents not yet recovered, by kind.",
            "short",
            (Query(f"max by (kind) ({series('funnel_open_incidents')})", "{{kind}}"),),
        ),
        Panel(
            "KPIs in an incident",
            "Open incidents that hold a KPI, by kind.",
            "short",
            (Query(f"max by (kind, kpi) ({series('funnel_open_incident_kpis')})", "{{kpi}} {{kind}}"),),
        ),
        Panel(
            "Money lost",
            "What the open incidents have cost so far, estimated, in minor units of the currency.",
            "short",
            (Query(f"max by (currency) ({series('funnel_lost_money_minor')})", "{{currency}}"),),
        ),
        Panel(
            "Where the loss sits",
            "Segments that explain a KPI's loss best, with their shares of it, by rate, mix or volume.",
            "percentunit",
            (
                Query(
                    f"max by (kpi, dimension, value, part) ({series('funnel_open_incident_loss_ratio')})",
                    "{{kpi}} {{dimension}}={{value}} {{part}}",
                ),
            ),
            "bars",
        ),
        Panel(
            "Expectation not trusted",
            "KPIs that are not watched, because they have been in alarm too often to believe the model.",
            "short",
            (Query(f"max by (kpi) ({series('funnel_kpi_unsure', WHOLE)})", "{{kpi}}"),),
            alarm_from=1,
        ),
        Panel(
            "Announced",
            "Campaigns and holidays in force: what they move is allowed for.",
            "short",
            (Query(f"max by (kind) ({series('funnel_calendar_notes')})", "{{kind}}"),),
        ),
        Panel(
            "Said of incidents",
            "Incidents that an operator has labelled, and how often in a day the past was judged anew for it.",
            "short",
            (
                Query(f"max by (label) ({series('funnel_calendar_labels')})", "{{label}}"),
                Query(f"sum(increase({series('funnel_judged_anew_total')}[1d]))", "judged anew"),
            ),
        ),
    ),
)

FUNNEL = Board(
    FUNNEL_BOARD,
    "Funnel",
    "Is the shop selling, where does the funnel stop, since when, and what does it cost.",
    (
        Choice("kpi", "KPI", f"label_values({series('funnel_kpi_value')}, kpi)", "payment_success_ratio"),
        Choice("dimension", "Dimension", f"label_values({series('funnel_kpi_value', PARTS)}, dimension)", "device"),
    ),
    (NOW, STAGES, ONE_KPI, INCIDENTS),
    ("Pipeline", HEALTH_BOARD),
)
