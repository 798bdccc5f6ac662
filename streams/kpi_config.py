"""A KPI of the configuration: a table of plain values, checked, with the nearest name where one is wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from streams.durations import parse_duration
from streams.engine.spec import EngineSpec
from streams.errors import ConfigError
from streams.kpi import Kpi, counter_kinds, horizon_label, known_counters

__all__ = ["checked_currency", "kpi_from_table"]

_KEYS = ("name", "numerator", "denominator", "unit", "hurts", "delay", "min_window", "help")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TERM = re.compile(r"\s*([+-]?)\s*([^\s+-]+)")
_HURTS: dict[Any, Literal["down", "up"] | None] = {"down": "down", "up": "up", "none": None, None: None, "": None}


def kpi_from_table(table: Mapping[str, Any], spec: EngineSpec) -> Kpi:
    """The KPI of one table; ``ConfigError`` where it is none.

    >>> kpi_from_table({"name": "cancels", "numerator": ["orders_canceled"]}, EngineSpec())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    streams.errors.ConfigError: kpi.cancels.numerator = 'orders_canceled': no such counter; did you mean ...
    """
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError("not a name", key="kpi.name", value=name, way_out="use lower case letters, digits and _")
    for key in table:
        if key not in _KEYS:
            raise ConfigError("unknown key", key=f"kpi.{name}.{key}", way_out=_nearest(key, _KEYS))
    where = f"kpi.{name}"
    numerator = _terms(table.get("numerator"), f"{where}.numerator", spec)
    if not numerator:
        raise ConfigError("no counters", key=f"{where}.numerator", way_out="name at least one counter")
    denominator = _terms(table.get("denominator"), f"{where}.denominator", spec) or None
    hurts = table.get("hurts", "down")
    if hurts not in _HURTS:
        raise ConfigError("no direction", key=f"{where}.hurts", value=hurts, way_out="use down, up or none")
    return Kpi(
        name=name,
        numerator=numerator,
        denominator=denominator,
        unit=table.get("unit") or ("ratio" if denominator else "count"),
        hurts=_HURTS[hurts],
        delay_ms=_duration(table.get("delay", 0), f"{where}.delay"),
        min_window_ms=_duration(table.get("min_window", 0), f"{where}.min_window"),
        help=table.get("help", ""),
        horizon_ms=_horizon((*numerator, *(denominator or ())), where, spec),
    )


def checked_currency(currency: str) -> str:
    """The code itself; ``ConfigError`` where it is not three capital letters."""
    if not re.fullmatch("[A-Z]{3}", currency):
        raise ConfigError("not a currency", key="currency", value=currency, way_out="use an ISO 4217 code such as CNY")
    return currency


def _terms(told: Any, where: str, spec: EngineSpec) -> tuple[str, ...]:
    if told is None:
        return ()
    if isinstance(told, str):
        found = _TERM.findall(told)
        if "".join(sign + name for sign, name in found) != "".join(told.split()):
            raise ConfigError("not a sum of counters", key=where, value=told, way_out="write `a + b - c`")
        terms = tuple(("-" if sign == "-" else "") + name for sign, name in found)
    elif isinstance(told, Sequence) and all(isinstance(term, str) for term in told):
        terms = tuple(told)
    else:
        raise ConfigError("not a sum of counters", key=where, value=told, way_out="write a list of counters")
    for term in terms:
        counter = term.removeprefix("-")
        if counter_kinds(counter) is None:
            raise ConfigError("no such counter", key=where, value=counter, way_out=_nearest(counter, known_counters()))
        if counter.startswith("cohort.") and _horizon_of(counter) not in map(horizon_label, spec.cohort_horizons_ms):
            known = ", ".join(map(horizon_label, spec.cohort_horizons_ms)) or "none"
            raise ConfigError(
                "no such horizon", key=where, value=counter, way_out=f"cohort_horizons are {known}; add it there"
            )
    return terms


def _horizon(terms: tuple[str, ...], where: str, spec: EngineSpec) -> int | None:
    """The horizon of the cohort rows that hold these counters; None: window rows."""
    labels = {_horizon_of(term) for term in terms}
    if len(labels) > 1:
        raise ConfigError(
            "counters of different rows", key=where, value=" ".join(terms), way_out="use counters of one horizon only"
        )
    label = labels.pop()
    return next((each for each in spec.cohort_horizons_ms if horizon_label(each) == label), None)


def _horizon_of(term: str) -> str:
    return term.partition("@")[2]


def _duration(told: Any, where: str) -> int:
    try:
        milliseconds = parse_duration(told) if isinstance(told, str) else told
    except ValueError as error:
        raise ConfigError(str(error), key=where, value=told, way_out='write it as "30m"') from error
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int) or milliseconds < 0:
        raise ConfigError("not a duration", key=where, value=told, way_out='write it as "30m"')
    return milliseconds


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "known are " + ", ".join(known)
