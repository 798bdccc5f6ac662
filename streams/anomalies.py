"""Verdicts and incidents on the anomaly topic and in files: JSON with deterministic keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from detectors.base import Blame, Incident, Verdict
from streams.errors import InputError

__all__ = ["decode_anomaly", "decode_incident", "decode_verdict", "encode_incident", "encode_verdict"]

SORTED = orjson.OPT_SORT_KEYS


def encode_verdict(verdict: Verdict) -> tuple[bytes, bytes]:
    """Key and value of a verdict; the key is a function of window, KPI and segment.

    >>> segment = (("device", "ios"),)
    >>> verdict = Verdict("orders", segment, 0, 60_000, "calm", 3.0, 3, None, 3.1, 0.0, 8.0, 0.1, False, None)
    >>> key, value = encode_verdict(verdict)
    >>> key
    b'verdict|60000|orders|{"device":"ios"}'
    >>> decode_verdict(value) == verdict
    True
    """
    told = _told(verdict._asdict(), "verdict")
    told["segment"] = dict(verdict.segment)
    segment = orjson.dumps(told["segment"], option=SORTED).decode()
    key = f"verdict|{verdict.end_ms}|{verdict.kpi}|{segment}"
    return key.encode(), orjson.dumps(told, option=SORTED)


def encode_incident(incident: Incident) -> tuple[bytes, bytes]:
    """Key and value of an incident; a later state of the same one has the same key."""
    told = _told(asdict(incident), "incident")
    told["segments"] = [dict(segment) for segment in incident.segments]
    told["attribution"] = [
        {"segment": dict(one.segment), "share": one.share, "kind": one.kind} for one in incident.attribution
    ]
    return f"incident|{incident.id}".encode(), orjson.dumps(told, option=SORTED)


def decode_anomaly(data: bytes) -> Verdict | Incident:
    """The verdict or incident of a record's value; raises ``InputError`` where it is neither."""
    told = _parsed(data)
    return _verdict(told) if told.get("record") == "verdict" else _incident(told)


def decode_verdict(data: bytes) -> Verdict:
    """The verdict of a record's value; raises ``InputError`` where it is none."""
    return _verdict(_parsed(data))


def decode_incident(data: bytes) -> Incident:
    """The incident of a record's value; raises ``InputError`` where it is none."""
    return _incident(_parsed(data))


def _told(fields: dict[str, Any], record: str) -> dict[str, Any]:
    return {"record": record, **{name: value for name, value in fields.items() if value is not None}}


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _refused(data, error) from error
    if not isinstance(told, dict) or told.get("record") not in {"verdict", "incident"}:
        raise _refused(data, "neither a verdict nor an incident")
    return told


def _verdict(told: dict[str, Any]) -> Verdict:
    names = ("value", "trials", "expected", "lower", "upper", "since_ms", "kind")
    try:
        fields = {**dict.fromkeys(names), **told}
        del fields["record"]
        fields["segment"] = _segment(told["segment"])
        return Verdict(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise _refused(orjson.dumps(told), error) from error


def _incident(told: dict[str, Any]) -> Incident:
    try:
        fields = {"ended_ms": None, **told}
        del fields["record"]
        fields["kpis"] = tuple(told["kpis"])
        fields["segments"] = tuple(_segment(one) for one in told["segments"])
        fields["attribution"] = tuple(_blame(one) for one in told.get("attribution", ()))
        return Incident(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise _refused(orjson.dumps(told), error) from error


def _blame(told: dict[str, Any]) -> Blame:
    # Earlier versions did not tell the kind.
    return Blame(_segment(told["segment"]), told["share"], told.get("kind", "rate"))


def _segment(told: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(told.items()))


def _refused(data: bytes, why: object) -> InputError:
    return InputError(
        f"not a record of the anomaly topic: {why}",
        key="anomaly",
        value=data[:80],
        way_out="read the topic that `funnelwatch run` writes",
    )
