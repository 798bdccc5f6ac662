"""From a record to its events: format, validation, times, money; or a reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec
import orjson
from xxhash import xxh3_64_intdigest, xxh3_128_hexdigest

from streams.engine.arrival import Run
from streams.engine.spec import EngineSpec
from streams.errors import ConfigError
from streams.events import KIND_OF_TYPE, LONGEST_ID, Event
from streams.formats import get_format
from streams.formats.moments import SECONDS, TAILS, read_moment
from streams.formats.money import minor_units, read_amount, read_currency
from streams.formats.native import NativeReader

__all__ = ["AD_REPORT", "Decoded", "Decoder"]

AD_REPORT: Final = KIND_OF_TYPE["ad_report"]
MASK: Final = (1 << 64) - 1
FOREVER: Final = 1 << 62
PASSES: Final = 16
"""A source that had few plain events is tried again after so many runs: it may have changed."""


class Decoded(NamedTuple):
    """One event of a record, or the reason why there is none, with what was noted about it."""

    event: Event | None
    reason: str = ""
    detail: str = ""
    defects: tuple[str, ...] = ()
    clamped: bool = False


class Decoder:
    """Decodes the records of all sources by one specification."""

    def __init__(self, spec: EngineSpec) -> None:
        names = spec.session_dimensions + spec.payment_dimensions + spec.product_dimensions
        if len(set(names)) < len(names):
            raise ConfigError("a dimension is listed twice", key="dimensions", value=names, way_out="list each once")
        self.reader = NativeReader(spec.session_dimensions + spec.payment_dimensions, spec.product_dimensions)
        self._spec = spec
        self._limit, self._slack = spec.max_record_bytes, spec.max_out_of_orderness_ms
        self._translate = {source.topic: get_format(source.format).translate for source in spec.sources}
        self._native = {source.topic for source in spec.sources if source.format == "native"}
        self._passes = dict.fromkeys(self._native, 0)
        """How many runs of a native source are not tried for plain events any more, for they had few."""
        self.seed = xxh3_64_intdigest(spec.salt.encode())

    def decode(self, topic: str, key: bytes | None, value: bytes | None, append_ms: int) -> list[Decoded]:
        """The events of one record, in their order in it; none where its format leaves it out on purpose."""
        record = value or b""
        if len(record) > self._limit:
            return [Decoded(None, "too_large", f"{len(record)} bytes")]
        event = self._clean(record) if topic in self._native else None
        if event is not None:
            return [self._settle(event, key, record, (append_ms, 0), [])]
        try:
            told = orjson.loads(record)
        except orjson.JSONDecodeError as error:
            return [Decoded(None, "not_json", str(error)[:200])]
        if not isinstance(told, dict):
            return [Decoded(None, "not_json", "not an object")]
        try:
            objects = self._translate[topic](told)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, RecursionError) as error:
            return [Decoded(None, "not_json", f"not of this format: {error!r}"[:200])]
        decoded = []
        for place, one in enumerate(objects):
            defects: list[str] = []
            read = self.reader.read(one, defects)
            if isinstance(read, tuple):
                decoded.append(Decoded(None, *read))
            else:
                decoded.append(self._settle(read, key, record, (append_ms, place), defects))
        return decoded

    def decode_all(self, run: Run, stream_ms: int | None) -> list[Any]:
        """What the records of a run say: nearly all of them an event in its place of the processing order already.

        Those that say something else, or whose event is behind the watermark, are noted as ``odd``. ``stream_ms`` is
        stream time before their arrival: ``noted_ms`` of each is right unless it has moved on for another reason.
        """
        found, sessions = self._plain_all(run), _session_texts(run.keys)
        seed, kind_of, seconds, tails, origin, slack = self.seed, KIND_OF_TYPE, SECONDS, TAILS, run.origin, self._slack
        start, rest = slice(19), slice(19, None)
        limits = run.append_ms if min(run.append_ms) >= 0 else [ms if ms >= 0 else FOREVER for ms in run.append_ms]
        top_ms = -FOREVER if stream_ms is None else stream_ms
        floor_ms = max(0, top_ms - slack)
        for event, session, limit_ms, place in zip(found, sessions, limits, range(len(found)), strict=True):
            # ``_settle`` in fewer steps; whatever it has to look at more closely is left to it.
            event_ms: Any = None
            if event is not None:
                told, key = event.event_time, session or event.session_id
                try:
                    event_ms = seconds[told[start]] + tails[told[rest]] if told.__class__ is str else read_moment(told)
                except KeyError:
                    event_ms = read_moment(told)
            if event_ms is not None and floor_ms <= event_ms <= limit_ms and key:
                event.kind, event.key = kind_of[event.event_type], key
                event.event_ms = event.event_time = event.order_ms = event_ms
                event.identity = xxh3_64_intdigest(event.event_id.encode(), seed) ^ event_ms or 1
            else:
                found[place] = event = self._closely(run, place, floor_ms)
                if event.__class__ is list:
                    run.odd.append(place)
                    continue
                event_ms = event.order_ms = event.event_ms
            if event_ms > top_ms:
                top_ms, floor_ms = event_ms, event_ms - slack if event_ms > slack else 0
            event.noted_ms, event.origin, event.place = top_ms, origin, place
        return found

    def _closely(self, run: Run, place: int, floor_ms: int) -> Any:
        """What ``decode`` gives for a record of a run; just the event where nothing is to be said about it.

        One before ``floor_ms`` is to be looked at.
        """
        decoded = self.decode(run.topic, run.keys[place], run.values[place], run.append_ms[place])
        if len(decoded) != 1:
            return decoded
        told = decoded[0]
        if (
            told.event is None
            or told.defects
            or told.clamped
            or told.event.event_ms < floor_ms
            or told.event.kind == AD_REPORT
        ):
            return decoded
        return told.event

    def _plain_all(self, run: Run) -> list[Any]:
        """The event of each record that is a plain one; None for the others, and where few are expected."""
        topic, values = run.topic, run.values
        found: list[Any] = []
        if topic not in self._native:
            return [None] * len(values)
        if self._passes[topic]:
            self._passes[topic] -= 1
            return [None] * len(values)
        try:
            # The separator belongs to no longer character: together they are UTF-8 only if each of them is.
            text = b"\n".join(cast(Any, values))
            if not text.isascii():
                text.decode()
        except (TypeError, UnicodeDecodeError):
            found = [self._plain(value) for value in values]
        else:
            if len(text) > self._limit and max(map(len, cast(Any, values))) > self._limit:
                found = [self._plain(value) for value in values]
            read = map(self.reader.decode_plain, cast(Any, values))
            while len(found) < len(values):
                try:
                    found.extend(read)  # what comes before an error stays
                except (msgspec.MsgspecError, RecursionError):
                    found.append(None)
        if found.count(None) * 2 > len(found):
            self._passes[topic] = PASSES
        return found

    def _plain(self, value: bytes | None) -> Event | None:
        """The event of a record of any kind if it is a plain one."""
        if value is None or len(value) > self._limit:
            return None
        try:
            if not value.isascii():
                value.decode()
            return self.reader.decode_plain(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def hash_visitor(self, visitor_id: str) -> int:
        """A visitor or user id as it is kept: 63 bits, keyed by the salt."""
        return xxh3_64_intdigest(visitor_id.encode(), self.seed) >> 1

    def _clean(self, record: bytes) -> Event | None:
        """The event of a native record without any defect of type; None where a closer look is needed."""
        try:
            if not record.isascii():
                record.decode()  # fields that are skipped are not looked into by the typed decoder
            event = self.reader.decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return event

    def _settle(
        self, event: Event, key: bytes | None, record: bytes, at: tuple[int, int], defects: list[str]
    ) -> Decoded:
        """Resolve times, ids and money of an event; ``at`` is the append time and the place in the record."""
        event.kind = kind = KIND_OF_TYPE[event.event_type]
        sent_ms = read_moment(event.event_time)
        if sent_ms is None:
            return Decoded(None, *_no_time(event.event_time))
        session = _key_text(key) or event.session_id or ""
        if not session and kind != AD_REPORT:
            return Decoded(None, "no_session", "neither session_id nor record key")
        event.key = _short(session)
        event.order_id = _short(event.order_id) if event.order_id else None
        event.payment_id = _short(event.payment_id) if event.payment_id else None
        self._money(event, defects)
        event.event_time = sent_ms
        event.identity = self._identify(event, sent_ms, record, at[1])
        return self._guard(event, sent_ms, at[0], defects)

    def _guard(self, event: Event, sent_ms: int, append_ms: int, defects: list[str]) -> Decoded:
        """Move the event time by the sender's skew, and hold it at or before the append time."""
        own_append = _optional_moment(event.append_time, "append_time", defects)
        sent_at = _optional_moment(event.sent_at, "sent_at", defects)
        append: int | None = append_ms if append_ms >= 0 else own_append
        event_ms, clamped = sent_ms, False
        if append is not None and event.kind != AD_REPORT:
            if sent_at is not None:
                event_ms += append - sent_at
            ahead = event_ms - append
            if ahead > self._spec.max_future_ms:
                return Decoded(None, "future", f"{ahead} ms ahead of the append time")
            if ahead > 0:
                event_ms, clamped = append, True
        event.event_ms = event_ms
        return Decoded(event, "", "", tuple(defects), clamped)

    def _money(self, event: Event, defects: list[str]) -> None:
        """Leave minor units in ``amount`` and the code in ``currency``, or None in both."""
        amount = currency = None
        told: Any = event.amount
        if told is not None and told != "":
            amount = read_amount(told)
            if amount is None:
                defects.append("amount")
        told = event.currency
        if told is not None and told != "":
            currency = read_currency(told)
            if currency is None:
                defects.append("currency")
        event.currency = currency
        event.amount = minor_units(amount, currency) if amount is not None and currency is not None else None

    def _identify(self, event: Event, sent_ms: int, record: bytes, place: int) -> int:
        """Hash of event id and event time as sent; a missing id is the record, its session and the place in it."""
        # The time meets the finished hash: as its seed it would meet short inputs by XOR only, and pairs cancel out.
        if event.event_id:
            return xxh3_64_intdigest(event.event_id.encode(), self.seed) ^ sent_ms & MASK or 1
        if self._spec.derive_event_id == "none":
            return 0
        content = b"%d %b\x00%b" % (place, event.key.encode(), record)
        return xxh3_64_intdigest(content, self.seed ^ 1) ^ sent_ms & MASK or 1


def _session_texts(keys: Sequence[bytes | None]) -> list[str]:
    """Session keys of records by their keys, empty where there is none."""
    try:
        texts: list[str] = list(map(bytes.decode, cast(Any, keys)))
        if max(map(len, texts)) <= LONGEST_ID:
            return texts
    except (TypeError, UnicodeDecodeError):
        pass
    return [_short(_key_text(key)) for key in keys]


def _optional_moment(told: Any, name: str, defects: list[str]) -> int | None:
    if told is None or told == "":
        return None
    moment = read_moment(told)
    if moment is None:
        defects.append(name)
    return moment


def _no_time(told: Any) -> tuple[str, str]:
    return ("no_event_time", "") if told == "" else ("bad_event_time", repr(told)[:80])


def _key_text(key: bytes | None) -> str:
    if not key:
        return ""
    try:
        return key.decode()
    except UnicodeDecodeError:
        return key.decode(errors="backslashreplace")


def _short(text: str) -> str:
    """An id as it is kept: a long one as its hash, so that state stays small whatever is sent."""
    return text if len(text) <= LONGEST_ID else xxh3_128_hexdigest(text.encode())
