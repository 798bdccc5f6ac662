"""The engine of one partition: records of its sources in, rows and rejects out, in event time."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from streams.engine.arrival import Arrivals, Record, Run, Taken
from streams.engine.batch import Batch, Outcome, Reject
from streams.engine.chain import Chain, Checkpoint, write_whole
from streams.engine.decode import AD_REPORT, Decoded, Decoder
from streams.engine.rows import Row
from streams.engine.shop import Shop
from streams.engine.snapshot import Core, State, damaged, dump_core, load_shop, read_chain, salt_mark
from streams.engine.spec import EngineSpec
from streams.engine.waiting import ORDER, Held, Origin, Told, held_in, told_of
from streams.engine.windows import MOST_EMPTY
from streams.events import Event

__all__ = ["Engine"]

TOTALS: Final = ("records", "events", "counted", "duplicates")
"""Totals that are there before the first record; the others come with the first of their kind."""

SUB_BATCH: Final = 400
"""Records ordered and applied at a time."""


class Engine:
    """Turns the records of one partition number of every source topic into rows; pure, it reads no clock.

    ``counts`` are totals of this engine since its first record, by name: ``records`` absorbed, those ``skipped``
    because their format leaves them out; ``events`` in them,
    each of which is ``counted``, ``held`` (waiting for its turn), one of the ``duplicates``, of the ``ad_reports``,
    or rejected (``rejected.<reason>``); ``late``, ``behind_watermark``, ``clamped``, ``field_defects.<field>``.

    Examples
    --------
    >>> engine = Engine(EngineSpec(), partition=0)
    >>> line = b'{"event_type":"page_view","event_time":1760000000000,"session_id":"s-1"}'
    >>> engine.push(Batch("clickstream", 0, [0], [-1], [None], [line]))
    >>> [list(row.counters) for row in engine.finish().rows if not row.segment and row.kind == "window"]
    [['page_views', 'sessions'], ['bounces', 'ended_page_views', 'sessions_ended']]
    """

    def __init__(self, spec: EngineSpec, partition: int) -> None:
        self.spec, self.partition = spec, partition
        self.stream_ms: int | None = None
        self._counts: Counter[str] = Counter(dict.fromkeys(TOTALS, 0))
        self._arrivals = Arrivals(tuple(source.topic for source in spec.sources), partition)
        self._decoder = Decoder(spec)
        self._shop = Shop(spec, partition, self._decoder)
        self.chain = Chain(self._shop)
        """What its checkpoints hold, and at what pace they come round."""
        self._waiting: list[Any] = []
        """Events; in the processing order once all that has arrived is in it."""
        self._held: list[Held] = []
        self._told = Told()
        self._early: Counter[str] = Counter()
        """What was noted before there was any stream time; it goes to the first window."""
        self._rows: list[Row] = []
        self._rejects: list[Reject] = []

    @property
    def watermark_ms(self) -> int | None:
        """Up to here the partition is believed complete."""
        return None if self.stream_ms is None else self.stream_ms - self.spec.max_out_of_orderness_ms

    @property
    def counts(self) -> dict[str, int]:
        """Totals by name; see the class."""
        return {**self._counts, "held": len(self._waiting) + len(self._held)}

    @property
    def open_sessions(self) -> int:
        """How many sessions are open."""
        return len(self._shop.sessions.open)

    @property
    def next_offsets(self) -> dict[str, int]:
        """The first offset of each topic that is not absorbed; a topic that nothing was absorbed of is left out."""
        sources = self._arrivals.sources.values()
        return {source.topic: source.next_offset for source in sources if source.next_offset is not None}

    @property
    def resume_offsets(self) -> dict[str, int]:
        """Where to seek each topic after ``restore``: records that wait for their turn have to be read again."""
        offsets = self.next_offsets
        waiting = [told_of(event)[2:4] for event in self._waiting]
        for topic, offset in (*waiting, *((one.topic, one.offset) for one in self._held)):
            offsets[topic] = min(offsets[topic], offset)
        return offsets

    def push(self, batch: Batch) -> None:
        """Buffer records of one source; what the engine already has is skipped."""
        self._arrivals.push(batch)

    def set_caught_up(self, topic: str, caught_up: bool) -> None:
        """Tell whether all records of the topic up to the end of its log were pushed: then it is not waited for."""
        self._arrivals.source(topic).caught_up = caught_up

    def forget_missing(self, topic: str) -> None:
        """After ``restore``, where the log of a topic begins behind its resume offset: do not wait for what is lost."""
        self._arrivals.source(topic).forget_missing()

    def drain(self) -> Outcome:
        """Absorb, order, process and close all that can be."""
        absorbed = 0
        if self._held and not self._resume():
            return self._outcome(0)
        while taken := self._absorb_some():
            absorbed += taken
            self._advance()
        return self._outcome(absorbed)

    def idle(self, stream_ms: int) -> Outcome:
        """Move stream time on: all sources are caught up and quiet."""
        if self.stream_ms is not None and stream_ms > self.stream_ms and not self._held:
            self.stream_ms = stream_ms
            self._advance()
        return self._outcome(0)

    def finish(self) -> Outcome:
        """End of a file: fire every timer and close every window; the engine is of no use afterwards."""
        for topic, source in self._arrivals.sources.items():
            self.set_caught_up(topic, True)
            source.forget_missing()
        outcome = self.drain()
        self._rows, self._rejects, self._shop.ledger.cubes = outcome.rows, outcome.rejects, list(outcome.cubes)
        shop, ledger = self._shop, self._shop.ledger
        stream_ms = self.stream_ms if self.stream_ms is not None else 0
        while True:
            self._leap(stream_ms)
            due = [ms for ms in (ledger.next_close(stream_ms), shop.next_ms()) if ms is not None]
            if not due and not self._waiting:
                break
            closing_ms = min(due) if due else ORDER(self._waiting[-1]) + 1
            self._close(closing_ms, stream_ms)
        self._rows += ledger.correct()
        return self._outcome(outcome.records)

    def snapshot(self) -> bytes:
        """The whole state as one value: restored and fed from ``resume_offsets``, it goes on as never stopped."""
        return write_whole(self._shop, self._core(Told())).data

    def prepare(self, whole: bool = False) -> bool:
        """Write a little of the next checkpoint, which does what is left; returns whether there is more of it."""
        return self.chain.prepare(whole) or self._told.prepare(self._waiting, self.chain.pace.at_once)

    def checkpoint(self, whole: bool = False) -> Checkpoint:
        """The next link of a chain: what changed since the last one, and a part of the rest.

        Of a state that is small, of a new engine, and where ``whole`` says so (as it has to be where it is not certain
        that the last link was kept), a link is all there is to restore.
        """
        return self.chain.next(self._core(self._told), whole)

    @classmethod
    def restore(cls, spec: EngineSpec, partition: int, data: bytes) -> Engine:
        """The engine of a snapshot; raises ``StateError`` where version, specification or partition differ."""
        return cls.restore_chain(spec, partition, [data])

    @classmethod
    def restore_chain(cls, spec: EngineSpec, partition: int, links: Sequence[bytes]) -> Engine:
        """The engine of a checkpoint: its link behind those that it needs, in their order.

        Raises
        ------
        StateError
            Version, specification or partition differ, or a link is missing.
        """
        engine = cls(spec, partition)
        try:
            engine._load(read_chain(links, spec, partition))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise damaged(error) from error
        return engine

    def _load(self, state: State) -> None:
        core = state.core
        self.stream_ms = core.stream_ms
        self._counts = Counter(core.counts)
        self._early.update(core.early)
        self._held = held_in(core.held, core.waits_from_ms)
        for topic, next_offset, latest_ms in core.sources:
            source = self._arrivals.source(topic)
            source.next_offset, source.latest_ms = next_offset, latest_ms
            source.held = {held.offset: None for held in self._held if held.topic == topic}
        load_shop(self._shop, state)
        self._shop.is_followed = True
        self.chain = Chain(self._shop, state.reach)

    def _core(self, told_before: Told) -> Core:
        sources, first = self._arrivals.sources.values(), next(iter(self._held or self._waiting), None)
        told = {
            "fingerprint": self.spec.fingerprint,
            "salt": salt_mark(self.spec),
            "partition": self.partition,
            "sources": [(source.topic, source.next_offset, source.latest_ms) for source in sources],
            "stream_ms": self.stream_ms,
            "counts": dict(sorted(self._counts.items())),
            "early": dict(sorted(self._early.items())),
            "held": told_before.take(self._held, self._waiting),
            "waits_from_ms": None if first is None else first.order_ms,
        }
        return dump_core(self._shop, told)

    def _absorb_some(self) -> int:
        """Take some records into arrival order, as many as are processed at a time; returns their number."""
        count = 0
        while count < SUB_BATCH and (taken := self._arrivals.take(SUB_BATCH - count)) is not None:
            count += taken.end - taken.start
            self._absorb(taken)
        return count

    def _absorb(self, taken: Taken) -> None:
        """Let each event wait for its turn; whatever is unusual about one is left to ``_look_at``."""
        run, start, end = taken
        decoded = run.decoded
        if decoded is None:
            decoded = run.decoded = self._decoder.decode_all(run, self.stream_ms)
        self._counts["records"] += end - start
        odd = run.odd
        while odd and odd[0] < end:
            place = odd.popleft()
            self._line_up(run, decoded[start:place])
            self._look_at(run.record(place), decoded[place])
            start = place + 1
        self._line_up(run, decoded[start:end])

    def _line_up(self, run: Run, events: list[Any]) -> None:
        """Let events wait that are in their place of the processing order, if stream time has not gone beyond it."""
        done, stream_ms = 0, self.stream_ms
        if stream_ms is None or (events and events[0].noted_ms < stream_ms):
            # Stream time has moved on by something else than the records of this run.
            done = self._catch_up(run, events)
        if done < len(events):
            self._waiting += events[done:] if done else events
            self.stream_ms = events[-1].noted_ms
            self._counts["events"] += len(events) - done

    def _catch_up(self, run: Run, events: list[Any]) -> int:
        """Line events up one by one until they are what moves stream time on; returns their number."""
        slack = self.spec.max_out_of_orderness_ms
        for done, event in enumerate(events):
            stream_ms = self.stream_ms
            if stream_ms is None or event.event_ms < stream_ms - slack:
                self._look_at(run.record(event.place), [Decoded(event)])
            elif event.noted_ms < stream_ms:
                event.noted_ms = stream_ms
                self._waiting.append(event)
                self._counts["events"] += 1
            else:
                return done
        return len(events)

    def _look_at(self, record: Record, decoded: list[Decoded]) -> None:
        """Reject each event of a record, set it aside, or give it its key in the processing order."""
        self._counts["events"] += len(decoded)
        if not decoded:
            self._counts["skipped"] += 1
        for place, one in enumerate(decoded):
            if one.event is None:
                self._reject(record, one.reason, one.detail)
            elif one.event.kind == AD_REPORT:
                self._counts["ad_reports"] += 1
                self._note_arrival(one, behind=False)
            else:
                self._admit(one, one.event, record, place)

    def _admit(self, decoded: Decoded, event: Event, record: Record, place: int) -> None:
        event_ms, stream_ms = event.event_ms, self.stream_ms
        if stream_ms is None or event_ms > stream_ms:
            if stream_ms is None:
                self._begin(event_ms)
            self.stream_ms = stream_ms = event_ms
        elif stream_ms - event_ms > self.spec.max_lateness_ms:
            self._reject(record, "too_late", f"{stream_ms - event_ms} ms behind stream time")
            return
        watermark_ms = stream_ms - self.spec.max_out_of_orderness_ms
        event.order_ms = max(event_ms, watermark_ms)
        event.noted_ms = stream_ms
        event.late = self._shop.ledger.is_closed(event_ms, watermark_ms)
        self._note_arrival(decoded, behind=event_ms < watermark_ms)
        self._wait(event, record.topic, record.offset, place, record.append_ms)

    def _wait(self, event: Event, topic: str, offset: int, part: int, append_ms: int) -> None:
        event.origin, event.place, event.part = Origin(topic, (offset,), (append_ms,)), 0, part
        self._waiting.append(event)

    def _begin(self, event_ms: int) -> None:
        ledger = self._shop.ledger
        ledger.begin(event_ms)
        for name, times in self._early.items():
            ledger.tally(event_ms, event_ms).note(name, times)
        self._early.clear()

    def _note_arrival(self, decoded: Decoded, behind: bool) -> None:
        """Count what is counted of every arrival, copies included."""
        if behind and decoded.event is not None:
            self._note("late" if decoded.event.late else "behind_watermark")
        if decoded.clamped:
            self._note("clamped")
        for field in decoded.defects:
            self._note(f"field_defects.{field}")

    def _note(self, name: str) -> None:
        """Count for the whole, in the window of stream time."""
        self._counts[name] += 1
        if self.stream_ms is None:
            self._early[name] += 1
        else:
            self._shop.ledger.tally(self.stream_ms, self.stream_ms).note(name)

    def _reject(self, record: Record, reason: str, detail: str) -> None:
        self._note(f"rejected.{reason}")
        topic, offset, told_ms = record.topic, record.offset, record.told_ms
        self._rejects.append(Reject(topic, self.partition, offset, told_ms, reason, detail, record.key, record.value))

    def _advance(self) -> None:
        """Process and close all that the watermark has passed."""
        if self.stream_ms is None:
            return
        stream_ms = self.stream_ms
        watermark_ms = stream_ms - self.spec.max_out_of_orderness_ms
        self._waiting.sort(key=ORDER)  # stable: equal keys stay in order of arrival
        while True:
            self._leap(stream_ms)
            closing_ms = self._shop.ledger.next_close(stream_ms)
            if closing_ms is None or closing_ms > watermark_ms:
                break
            self._close(closing_ms, stream_ms)
        self._process(watermark_ms)

    def _leap(self, stream_ms: int) -> None:
        """Before a closing: see whether the time until anything happens is absurdly long."""
        ledger, shop = self._shop.ledger, self._shop
        if stream_ms - ledger.next_ms <= MOST_EMPTY * self.spec.window_ms:
            return
        timer_ms = shop.next_ms()
        waiting_ms = ORDER(self._waiting[0]) if self._waiting else stream_ms
        after = self.spec.window_ms + self.spec.grace_ms
        ledger.leap(waiting_ms if timer_ms is None else min(waiting_ms, timer_ms - after), stream_ms)

    def _close(self, closing_ms: int, stream_ms: int) -> None:
        """Process what comes before a closing, fire the timers due before it, and close."""
        shop = self._shop
        self._process(closing_ms)
        # A cohort that closes between two windows may have been opened just now.
        closing_ms = min(closing_ms, shop.ledger.next_close(stream_ms) or closing_ms)
        if shop.ledger.closes_window(closing_ms):
            shop.fire(closing_ms)
            shop.forget(closing_ms)
        self._rows += shop.ledger.close(closing_ms, stream_ms)

    def _process(self, before_ms: int) -> None:
        """Apply the waiting events whose key is before ``before_ms``, in their order."""
        waiting = self._waiting
        end = bisect_left(waiting, before_ms, key=ORDER)
        if not end:
            return
        counted = self._shop.apply_all(waiting[:end])
        del waiting[:end]
        self._counts["counted"] += counted
        self._counts["duplicates"] += end - counted

    def _resume(self) -> bool:
        """After ``restore``: take up the waiting events again, once all their records were read."""
        sources = self._arrivals.sources
        if any(source.missing() for source in sources.values()):
            return False
        for held in self._held:
            record = sources[held.topic].held.get(held.offset)
            event = self._read_again(record, held) if record is not None else None
            if event is None:
                self._counts["lost"] += 1
                continue
            event.order_ms, event.noted_ms, event.late = held.order_ms, held.noted_ms, held.late
            self._wait(event, held.topic, held.offset, held.place, held.append_ms)
        self._held = []
        for source in sources.values():
            source.held = {}
        return True

    def _read_again(self, record: Record, held: Held) -> Event | None:
        decoded = self._decoder.decode(record.topic, record.key, record.value, held.append_ms)
        return decoded[held.place].event if held.place < len(decoded) else None

    def _outcome(self, absorbed: int) -> Outcome:
        ledger = self._shop.ledger
        outcome = Outcome(self._rows, self._rejects, absorbed, ledger.cubes)
        self._rows, self._rejects, ledger.cubes = [], [], []
        return outcome
