"""Real Prometheus for tests: what must be installed, a view with something in every series, questions to the server."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable
from time import monotonic, sleep, time
from typing import Any, NamedTuple, TypeVar

from detectors.base import Blame, Incident, Verdict
from streams.engine.rows import Row
from streams.kpis import CATALOGUE, counters_of
from streams.telemetry import names
from streams.telemetry.view import View
from tests.support.brokers import missing

T = TypeVar("T")


def require(tool: str, *programs: str) -> str:
    """The first of ``programs`` on this machine; without one, a loud skip or, where required, a failure."""
    found = next(filter(None, map(shutil.which, programs)), None)
    if found:
        return found
    missing(tool, f"none of {', '.join(programs)} is installed")
    raise AssertionError("not reached: the test was skipped or has failed")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def ask(url: str, expr: str) -> list[dict[str, Any]]:
    """The instant vector of an expression."""
    answer = urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}", timeout=10)
    told = json.load(answer)
    assert told["status"] == "success", told
    return told["data"]["result"] if told["data"]["resultType"] == "vector" else [told["data"]]


def until(wanted: Callable[[], T], *, seconds: float = 60) -> T:
    """The first true answer of ``wanted``; the last answer, true or not, once the time is over."""
    deadline = monotonic() + seconds
    while not (told := wanted()) and monotonic() < deadline:
        sleep(0.05)
    return told


class Told(NamedTuple):
    """A judgement."""

    verdicts: tuple[Verdict, ...] = ()
    incidents: tuple[Incident, ...] = ()


class Window(NamedTuple):
    """A merged window."""

    start_ms: int
    end_ms: int
    rows: dict[tuple[tuple[str, str], ...], Row]
    missing: tuple[int, ...] = ()


NAMES = ("conversion_ratio", "bounce_ratio", "payment_success_ratio", "orders", "new_customer_ratio")
KPIS = tuple(kpi for kpi in CATALOGUE if kpi.name in NAMES)
KINDS = {"device": "session"}
COUNTERS = {"sessions": 211, "reached.product": 173, "reached.cart": 61, "implied.cart": 5, "reached.paid": 7}
COUNTERS |= {"payments_succeeded": 19, "payments_declined_soft": 2, "sessions_ended": 37, "bounces": 11}


def verdict(kpi: str = "conversion_ratio", segment: tuple[tuple[str, str], ...] = (), **told: Any) -> Verdict:
    """A calm verdict of a window that ends at 60 s, with ``told`` on top; all its numbers are different."""
    calm: dict[str, Any] = {
        "start_ms": 0,
        "end_ms": 60_000,
        "state": "calm",
        "value": 0.031,
        "successes": 7,
        "trials": 211,
        "expected": 0.033,
        "lower": 0.021,
        "upper": 0.047,
        "score": 0.25,
        "active": False,
        "since_ms": None,
        "smallest_drop": 0.42,
    }
    return Verdict(kpi, segment, **(calm | told))


def incident(kind: str = "drop", state: str = "open", **told: Any) -> Incident:
    """An incident of the conversion, with ``told`` on top."""
    usual: dict[str, Any] = {
        "id": f"{kind}-1",
        "kpis": ("conversion_ratio",),
        "segments": ((),),
        "onset_ms": 0,
        "detected_ms": 60_000,
        "updated_ms": 60_000,
        "ended_ms": None,
        "summary": "conversion has fallen",
        "orders_lost": 13.0,
        "money_lost_minor": 170_900.0,
        "currency": "CNY",
        "attribution": (Blame((("device", "ios"),), 0.88),),
    }
    return Incident(state=state, kind=kind, **(usual | told))  # type: ignore[arg-type]


def window(end_ms: int, *, length_ms: int = 60_000, kind: str = "window", **told: Any) -> Window:
    """A merged window with ``COUNTERS`` in the whole."""
    start_ms = end_ms - length_ms
    row = Row(kind, start_ms, end_ms, (), None, told.get("counters", COUNTERS), "f")  # type: ignore[arg-type]
    return Window(start_ms, end_ms, {(): row}, told.get("missing", ()))


def busy_view() -> View:
    """A worker and judge with something to say in every series of the catalogue, as of now."""
    now_ms = int(time() * 1000)
    view = View(worker="w-1", version="0.1.0")
    view.assigned((0, 1), 2)
    for partition in (0, 1):
        feed(view, partition, 100)
        view.snapshot_saved(partition, moment_ms=now_ms - 3_000, size_bytes=71_303)
        view.heard(partition, now_ms - 1_000)
    view.trouble("records_lost", "orders", 1, moment_ms=now_ms - 2_000, lost=23)
    view.kpis(KPIS, counters_of, KINDS)
    end_ms = now_ms - now_ms % 60_000
    view.window(window(end_ms))
    parts = [(), (("device", "ios"),), (("device", "android"),)]
    moment = {"start_ms": end_ms - 60_000, "end_ms": end_ms}
    view.judged(
        Told(
            tuple(verdict(kpi.name, part, **moment) for kpi in KPIS for part in parts),
            tuple(incident(kind) for kind in names.KINDS),
        )
    )
    view.judge_live()
    view.ready()
    return view


def feed(view: View, partition: int, records: int) -> None:
    """Tell that ``records`` records in all have come to a partition, a twentieth of them with some defect."""
    counts = {"records": records, "rejected.not_json": records // 20, "field_defects.amount": records // 25}
    odd = {"late": records // 50, "duplicates": records // 30, "behind_watermark": records // 10, "clamped": 1}
    view.partition(
        partition,
        counts=counts | odd,
        watermark_ms=int(time() * 1000) - 7_000,
        lag_records={"clickstream": 17, "orders": 3},
        open_sessions=41,
    )
