"""The outcome of a demonstration, as data and as a few lines."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from streams.demo.screen import name_segment
from streams.demo.state import Picture

__all__ = ["Left", "lines_of", "summary"]


class Left(NamedTuple):
    """What a demonstration leaves: its events, the truth about them, the worker's configuration, the logs."""

    events: Path
    labels: Path
    config: Path
    logs: Path


def summary(picture: Picture, left: Left, now_ms: int, programs_missing: list[str]) -> dict[str, Any]:
    """One JSON object; moments as ISO 8601, durations in seconds."""
    caught = picture.caught()
    rejected = picture.by_label("funnel_rejected_records_total", "reason")
    return {
        "seconds": round((now_ms - picture.started_ms) / 1000, 1),
        "events_in": picture.written,
        "records_absorbed": round(picture.value("funnel_records_total") or 0),
        "windows_closed": round(picture.value("funnel_windows_total") or 0),
        "rejected": {reason: round(count) for reason, count in sorted(rejected.items())},
        "duplicates": round(picture.value("funnel_duplicate_records_total") or 0),
        "late": round(picture.value("funnel_late_records_total") or 0),
        "outage": _outage(picture),
        "incidents": [
            {
                "id": one.id,
                "kind": one.kind,
                "state": one.state,
                "kpis": list(one.kpis),
                "segments": [dict(segment) for segment in one.segments],
                "onset": _iso(one.onset_ms),
                "detected": _iso(one.detected_ms),
                "told": _iso(picture.told_ms.get(one.id)),
                "ended": _iso(one.ended_ms),
                "summary": one.summary,
                "attribution": [
                    {"segment": dict(blame.segment), "share": blame.share, "kind": blame.kind}
                    for blame in one.attribution
                ],
                "orders_lost": one.orders_lost,
                "money_lost_minor": one.money_lost_minor,
                "currency": one.currency,
                "is_the_outage": one is caught,
            }
            for one in sorted(picture.incidents.values(), key=lambda one: one.detected_ms)
        ],
        "alerts_delivered": len(picture.fired()),
        "alerts": [
            {"at": _iso(one.at_ms), **{name: value for name, value in one._asdict().items() if name != "at_ms"}}
            for one in picture.deliveries
        ],
        "programs_missing": programs_missing,
        "left": {name: str(path) for name, path in left._asdict().items()},
    }


def lines_of(picture: Picture, left: Left) -> list[str]:
    """What is said at the end of an attended run."""
    told = [
        f"{picture.written:,} events went in, {picture.value('funnel_windows_total') or 0:,.0f} windows were closed."
    ]
    outage = _outage(picture)
    if outage:
        told.append(
            f"The payment outage was found {outage['found_after_seconds']:.0f} s after it began."
            if outage["caught"]
            else "The payment outage was not found before the end."
        )
        if "located" in outage:
            told[-1] += f" {outage['located_share']:.0%} of its loss was put on {outage['located']}."
        if (caught := picture.caught()) is not None:
            told.append(f"As it was told: {caught.summary}.")
    return [*told, f"The events are in {left.events}, the truth about them in {left.labels}."]


def _outage(picture: Picture) -> dict[str, Any] | None:
    if picture.outage_ms is None:
        return None
    told: dict[str, Any] = {"began": _iso(picture.outage_ms), "caught": picture.caught() is not None}
    if (found_ms := picture.caught_ms()) is not None:
        told["found"] = _iso(found_ms)
        told["found_after_seconds"] = round((found_ms - picture.outage_ms) / 1000, 1)
    if (blame := picture.located()) is not None:
        told["located"], told["located_share"] = name_segment(blame.segment), blame.share
    first = next((one for one in picture.fired() if one.at_ms > picture.outage_ms), None)
    if first is not None:
        told["alert_after_seconds"] = round((first.at_ms - picture.outage_ms) / 1000, 1)
    return told


def _iso(moment_ms: int | None) -> str | None:
    if moment_ms is None:
        return None
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds")
