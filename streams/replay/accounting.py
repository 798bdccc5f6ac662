"""Two sections of the report: what became of every record, and how to get this report again."""

from __future__ import annotations

from html import escape

from streams.replay.options import show_moment
from streams.replay.past import LIVE_ONLY, compared, total
from streams.replay.review import Replayed
from streams.replay.words import name_segment, table

__all__ = ["accounting", "reproduce"]

MEANING = {
    "duplicates": "copies of an event that counted; ignored",
    "behind_watermark": "older than the watermark, window still open; counted like any other",
    "late": "window already closed; counted in a correction of it",
    "clamped": "clock ahead of the broker's; moved back to it",
    "rejected.too_large": "longer than the limit",
    "rejected.not_json": "not a JSON object",
    "rejected.no_event_type": "no event type",
    "rejected.unknown_event_type": "an event type that is not in the vocabulary",
    "rejected.no_event_time": "no event time",
    "rejected.bad_event_time": "an event time that cannot be read",
    "rejected.no_session": "neither a session id nor a record key",
    "rejected.future": "too far ahead of the broker's clock",
    "rejected.too_late": "older than the largest lateness",
}
SHOWN_DIFFERENCES = 10


def accounting(replayed: Replayed) -> str:
    """What became of the records that were read, and what only the live run can have counted."""
    told = replayed.accounting
    counts = {
        name: count
        for name, count in told.counts.items()
        if count and (name in MEANING or name.startswith(("rejected.", "field_defects.")))
    }
    rows = [["read", "records of the range, and before it what sessions and carts need", f"{told.records:,}"]]
    rows += [[name, _meaning(name), f"{count:,}"] for name, count in sorted(counts.items(), key=_importance)]
    samples = "".join(
        f"<h3>{escape(reason)}</h3><pre>{escape(chr(10).join(lines))}</pre>"
        for reason, lines in sorted(told.samples.items())
    )
    more = f"<details><summary>The first rejects of each reason</summary>{samples}</details>" if samples else ""
    return (
        "<h2>Every record accounted for</h2>\n"
        + table(["", "", "records"], rows, numbers=1)
        + more
        + _live_only(replayed)
    )


def reproduce(replayed: Replayed) -> str:
    """How to get the same report again."""
    zone = replayed.time_zone
    facts = [
        ["specification", replayed.spec, "the fingerprint of everything that changes the meaning of a row"],
        ["time zone", zone, "moments without an offset are read in it, and all are shown in it"],
    ]
    if replayed.read_from_ms is not None:
        facts.append(["read from", show_moment(replayed.read_from_ms, zone), "append time of the first record"])
    if replayed.learned_windows:
        facts.append(["learnt from", f"{replayed.learned_windows:,} windows", "rows of the live run before the range"])
    command = f"<pre>{escape(replayed.command)}</pre>\n" if replayed.command else ""
    return (
        "<h2>The same again</h2>\n"
        '<p class="soft">The same records and the same specification give the same rows, byte for byte.</p>\n'
        + command
        + table(["", "", ""], facts)
    )


def _live_only(replayed: Replayed) -> str:
    past = replayed.past
    if not past.rows:
        return ""
    then, now = total(past.rows, LIVE_ONLY), total(replayed.rows, LIVE_ONLY)
    rows = [[name, _meaning(name), f"{then[name]:,}", f"{now[name]:,}"] for name in LIVE_ONLY]
    both = compared(replayed.rows, past.rows)
    text = f"{both.same:,} rows are the same as those of the live run, {len(both.different):,} differ."
    if both.only_now or both.only_then:
        text += f" {both.only_now:,} windows are told by this replay alone, {both.only_then:,} by the live run alone."
    details = ""
    if both.different:
        lines = [
            f"{show_moment(start, replayed.time_zone)} {kind} {name_segment(segment)}"
            for kind, start, _, segment in both.different[:SHOWN_DIFFERENCES]
        ]
        details = f"<details><summary>The first that differ</summary><pre>{escape(chr(10).join(lines))}</pre></details>"
    return (
        "<h3>Only in the live run</h3>\n"
        '<p class="soft">These depend on when a record arrived, so a replay may count them otherwise. '
        f"{text}</p>\n" + table(["", "", "live", "replay"], rows, numbers=2) + details
    )


def _meaning(name: str) -> str:
    if name.startswith("field_defects."):
        return "a field that could not be used; the event counted without it"
    return MEANING.get(name, "")


def _importance(item: tuple[str, int]) -> tuple[int, str]:
    name = item[0]
    return (0 if name.startswith("rejected.") else 2 if name.startswith("field_defects.") else 1, name)
