"""Runs a replay from its options: reads, drives, paces, draws a bar, writes the files that were asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from streams.calendar import Calendar, read_calendar
from streams.calendar_topic import load_calendar
from streams.coarse import zone_of
from streams.engine.batch import Batch
from streams.engine.rows import encode_row
from streams.engine.spec import DAY_MS, EngineSpec, SourceSpec
from streams.kafka import partition_count
from streams.merge import MergedWindow, keep_ms
from streams.monitor import Judgement, Monitor
from streams.outputs import check_output, partial_of
from streams.replay.before import Before
from streams.replay.driver import Driver, final_rows
from streams.replay.options import ReplayOptions, show_moment
from streams.replay.past import Past, rows_of, told_rows, what_fired
from streams.replay.report import render
from streams.replay.review import Accounting, Replayed, Review
from streams.replay.source_file import file_sources, in_step
from streams.replay.source_topic import Caught, TopicRange

__all__ = ["changing_ms", "needed_ms", "replay_file", "replay_topics"]

PACED_RECORDS = 50
# The detectors know the shape of days and weeks after two weeks; more would only take longer.
LEARNT_MS = 28 * DAY_MS


def replay_file(paths: Path | str | Sequence[Path | str], options: ReplayOptions) -> Replayed:
    """Replay JSON lines (``-``: standard input) as one partition; every timer fires at the end.

    Several files are sources of one shop: each keeps its order of lines, and they are interleaved by the times
    that their records state (see ``in_step``).

    Raises
    ------
    InputError
        Where a file cannot be read or written.
    """
    told = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    _check_outputs(options, told)
    sources = file_sources(told, options.engine.max_record_bytes)
    spec = replace(options.engine, sources=tuple(SourceSpec(each.topic, options.format) for each in sources))
    with _Run(options, spec, [0]) as run:
        for each in sources:
            # Files state their times themselves, so none is waited for.
            run.driver.caught_up(each.topic, 0)
        for batch in in_step(sources):
            run.bar(sum(each.read_bytes for each in sources), sum(each.total_bytes or 0 for each in sources) or None)
            for piece in run.pieces(batch):
                run.driver.push(piece)
                time.sleep(run.pause_seconds())
        run.end_of_file()
        return run.replayed(", ".join(map(str, told)))


def replay_topics(options: ReplayOptions) -> Replayed:
    """Replay a time range of the source topics; nothing is written to any topic, no group is joined.

    It is read from ``needed_ms`` before the range to ``changing_ms`` behind it, as far as the log goes: so its rows are
    those of the live run, corrections and cohorts included. What the live run counted before the range teaches the
    detectors what to expect.

    Raises
    ------
    BrokerError
        Where the broker or a topic is not as it has to be.
    InputError
        Where a file cannot be written.
    """
    return asyncio.run(_replay_topics(options))


def needed_ms(spec: EngineSpec) -> int:
    """How long before a window a record can still matter to it: the life of a cart or order, and of a session."""
    return spec.session_gap_ms + max(spec.conversion_window_ms, spec.order_memory_ms)


def changing_ms(spec: EngineSpec) -> int:
    """How long behind a window's end a record can still close or correct it, or a cohort that was opened in it."""
    longest = max((spec.max_lateness_ms, *spec.cohort_horizons_ms))
    return longest + spec.grace_ms + spec.max_out_of_orderness_ms


async def _replay_topics(options: ReplayOptions) -> Replayed:
    _check_outputs(options)
    spec = options.engine
    topics = [source.topic for source in spec.sources]
    partitions = list(range(await partition_count(options.client_args, topics)))
    since = None if options.since_ms is None else max(0, options.since_ms - needed_ms(spec))
    until = None if options.until_ms is None else options.until_ms + changing_ms(spec)
    source = TopicRange(options.client_args, topics, since, until)
    with _Run(options, spec, partitions) as run:
        await run.learn(partitions)
        async for told in source.read(len(partitions)):
            if isinstance(told, Caught):
                run.driver.caught_up(told.topic, told.partition)
                continue
            run.bar_of_time(told.append_ms[-1], source.first_ms, until)
            for piece in run.pieces(told):
                run.driver.push(piece)
                await asyncio.sleep(run.pause_seconds())
        run.end(until)
        await run.look_back()
        return run.replayed(", ".join(topics), source.first_ms, _missing(source, since))


def _missing(source: TopicRange, since_ms: int | None) -> int:
    if since_ms is None or source.first_ms is None or not source.from_log_start:
        return 0
    return max(0, source.first_ms - since_ms)


@dataclass
class _Run:
    """One replay under way: its driver, its review, its files and its bar."""

    options: ReplayOptions
    spec: EngineSpec
    partitions: list[int]
    past: Past = field(default_factory=Past)
    learned_windows: int = 0
    learned_until_ms: int = -1
    judged_until_ms: int = 1 << 62

    def __enter__(self) -> _Run:
        options = self.options
        self.monitor = Monitor(options.monitor)
        if options.calendar is not None:
            self._announce(read_calendar(options.calendar, options.monitor.notes))
        self.review = _Sink(
            options.monitor.kpis,
            options.since_ms,
            options.until_ms,
            options.monitor.paid_channels,
            self.spec.window_ms,
            zone_of(options.time_zone),
            compare=bool(options.kpi_topic),
        )
        zone = zone_of(options.time_zone)
        self.before = Before(options.since_ms, options.until_ms, zone, self.spec.window_ms)
        if options.until_ms is not None:
            self.judged_until_ms = options.until_ms
        if not options.kpi_topic:
            self.review.before = self.before
        self.driver = Driver(self.spec, self.partitions, self._judge, self.review)
        self._began = time.monotonic()
        self._paced: tuple[float, int] | None = None
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (options.progress and console.is_terminal),
        )
        self._task: TaskID = self._progress.add_task("replaying", total=None, told="")
        self._progress.start()
        if options.rows is not None:
            self.review.out = partial_of(options.rows).open("wb")
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()
        if self.review.out is not None:
            self.review.out.close()
        if self.options.rows is not None:
            partial_of(self.options.rows).unlink(missing_ok=True)

    def bar(self, done: int, total: int | None) -> None:
        """Draw how far it is."""
        self._progress.update(
            self._task, completed=done, total=total, told=f"{self.driver.records:,} records {self._moment()}"
        )

    def bar_of_time(self, moment_ms: int, first_ms: int | None, until_ms: int | None) -> None:
        """Draw how far it is, in append time."""
        first = moment_ms if first_ms is None else first_ms
        self.bar(moment_ms - first, None if until_ms is None else max(1, until_ms - first))

    def pieces(self, batch: Batch) -> Iterator[Batch]:
        """The batch, in small pieces where the replay is paced."""
        if self.options.speed is None:
            yield batch
            return
        for start in range(0, len(batch.offsets), PACED_RECORDS):
            cut = slice(start, start + PACED_RECORDS)
            yield Batch(
                batch.topic, batch.partition, batch.offsets[cut], batch.append_ms[cut], batch.keys[cut],
                batch.values[cut],
            )  # fmt: skip

    def pause_seconds(self) -> float:
        """How long to wait so that stream time runs at the speed asked for; what lies before the range does not."""
        stream_ms = self.driver.stream_ms
        since = self.options.since_ms
        if self.options.speed is None or stream_ms is None or (since is not None and stream_ms < since):
            return 0.0
        now = time.monotonic()
        if self._paced is None:
            self._paced = (now, stream_ms)
        began, first_ms = self._paced
        return max(0.0, began + (stream_ms - first_ms) / 1000 / self.options.speed - now)

    def _announce(self, calendar: Calendar) -> None:
        self.monitor.announce(calendar.notes, calendar.labels)

    async def learn(self, partitions: list[int]) -> None:
        """Show the monitor what the live run counted before the range, and keep what it counted in the range."""
        options = self.options
        if options.calendar is None and options.calendar_topic:
            told = await load_calendar(options.client_args, options.calendar_topic, options.monitor.notes)
            self._announce(told[0])
        self._progress.update(self._task, description="learning")
        windows = told_rows(options.client_args, options.kpi_topic, partitions, self.past, keep_ms=keep_ms(self.spec))
        async for window in windows:
            if not window.judge:
                self.before.add(window)
                if self.review.wanted(window):
                    self.past.rows.update(rows_of(window))
            elif options.since_ms is not None and window.end_ms <= options.since_ms:
                if window.end_ms > options.since_ms - LEARNT_MS:
                    self.review.remember(self.monitor.observe(window))
                if window.kind == "window":
                    self.learned_until_ms = window.end_ms
                    self.learned_windows += window.end_ms > options.since_ms - LEARNT_MS
                    self._progress.update(self._task, told=f"{self.learned_windows:,} windows of the live run")
        self._progress.update(self._task, description="replaying")

    def end_of_file(self) -> None:
        """Fire every timer. What lies behind the last event is written to the rows, but neither judged nor shown."""
        stream_ms = self.driver.stream_ms
        if stream_ms is not None:
            window_ms = self.spec.window_ms
            whole_ms = stream_ms - stream_ms % window_ms
            self.judged_until_ms = min(self.judged_until_ms, whole_ms)
            self.review.cut(whole_ms, window_ms)
        self.driver.finish(0)

    def end(self, until_ms: int | None) -> None:
        """Close what the range's end closes; what is open then stays open."""
        last = self.driver.stream_ms or 0
        if until_ms is None:
            end_ms = last
        else:
            # Silence up to the end is a fact, unless the end lies in the future.
            end_ms = min(until_ms, max(last, round(time.time() * 1000) - self.spec.idle_after_ms))
        for partition in self.driver.engines:
            self.driver.idle(partition, end_ms)

    async def look_back(self) -> None:
        """Ask what fired at the time."""
        options, review = self.options, self.review
        since, until = options.since_ms or review.first_ms or 0, options.until_ms or review.last_ms or 0
        told = await what_fired(options.client_args, options.anomalies_topic, since, until)
        self.past.incidents, self.past.alerts, unreadable = told
        self.past.unreadable += unreadable

    def replayed(self, source: str, read_from_ms: int | None = None, missing_ms: int = 0) -> Replayed:
        """The outcome; writes the files that were asked for."""
        options, review = self.options, self.review
        review.finished()
        replayed = Replayed(
            source=source,
            since_ms=options.since_ms if options.since_ms is not None else review.first_ms,
            until_ms=options.until_ms if options.until_ms is not None else review.last_ms,
            windows=review.windows,
            totals=review.totals,
            series={key: points for key, points in review.series.items() if points},
            incidents=review.ordered(),
            accounting=Accounting(self.driver.records, self.driver.counts, review.samples),
            kpis=options.monitor.kpis,
            states=dict(review.states),
            past=self.past,
            rows=review.rows,
            spec=self.spec.fingerprint,
            time_zone=options.time_zone,
            read_from_ms=read_from_ms,
            missing_ms=missing_ms,
            sessions_paid=review.sessions_paid,
            before=self.before.told(),
            learned_windows=self.learned_windows,
            seconds=time.monotonic() - self._began,
            command=options.command,
        )
        if review.out is not None and options.rows is not None:
            review.out.close()
            partial_of(options.rows).replace(options.rows)
        if options.report is not None:
            partial_of(options.report).write_text(render(replayed), encoding="utf-8")
            partial_of(options.report).replace(options.report)
        return replayed

    def _judge(self, window: MergedWindow) -> Judgement:
        # What the live run told of the windows before was learnt already; those behind the end are not asked for.
        if window.kind == "cohort":
            # The end of a file cuts cohorts short; the monitor itself passes over those that it has seen.
            judge = window.end_ms + (window.horizon_ms or 0) <= self.judged_until_ms
        else:
            judge = self.learned_until_ms < window.end_ms <= self.judged_until_ms
        return self.monitor.observe(window) if judge else Judgement()

    def _moment(self) -> str:
        stream_ms = self.driver.stream_ms
        return "" if stream_ms is None else show_moment(stream_ms - stream_ms % 60_000, self.options.time_zone)


@dataclass
class _Sink(Review):
    """A review that writes the rows it is told, as they settle."""

    out: IO[bytes] | None = None
    before: Before | None = None
    """Of a file: what lies before the range was in the same file. Of topics the live run's rows tell it."""

    def settled(self, window: MergedWindow) -> None:
        super().settled(window)
        if self.before is not None:
            self.before.add(window)
        if self.out is not None and self.wanted(window):
            self.out.writelines(encode_row(row) + b"\n" for row in final_rows(window))


def _check_outputs(options: ReplayOptions, inputs: Sequence[Path] = ()) -> None:
    check_output(options.rows, "--rows", inputs)
    check_output(options.report, "--report", [*inputs, *([options.rows] if options.rows else [])])
