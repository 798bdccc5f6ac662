"""One live worker from start to stop: ``run_worker`` returns the exit code of the process."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Coroutine
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import faust
from aiokafka.errors import IllegalStateError
from faust.types import TP

from streams.errors import BrokerError, FunnelwatchError
from streams.kafka import broker_errors, first_offset_since, may_pass, refuse_closed_group
from streams.live.admission import end_where_refused
from streams.live.announcements import Announcements
from streams.live.app import build_app
from streams.live.bounded import cut_short, within
from streams.live.checkpoint import Checkpoints
from streams.live.ingest import READ_AGAIN_SECONDS, Ingest
from streams.live.judge_state import Keeper
from streams.live.logs import get_logger, set_up_logs
from streams.live.outbox import Outbox
from streams.live.predecessor import legacy_of
from streams.live.settings import LiveSettings
from streams.live.topics import ensure_topics
from streams.live.transport import Hooks, Standing
from streams.live.trouble import unowned_partitions
from streams.live.watch import Watch
from streams.live.watchdog import EXIT_STUCK, Vitals, Watchdog
from streams.telemetry.server import MetricsServer
from streams.telemetry.view import View

__all__ = ["Worker", "run_worker"]

TICK_SECONDS = 0.05
SLICE_SECONDS = 0.02
"""An agent lets others have the event loop after this time of work."""

RETRY_SECONDS = 0.5
"""Between two attempts to recover while the broker is away."""

GC_THRESHOLDS = (10_000, 100, 100)
"""What is young is looked at often: lists of a minute's identities are, and all at once they stop the loop for long."""

logger = get_logger("worker")


def run_worker(settings: LiveSettings, on_step: Callable[[str, int], None] | None = None) -> int:
    """Run a worker until SIGTERM or SIGINT; returns the exit code.

    Parameters
    ----------
    settings
        Of the worker.
    on_step
        Told of every step of a checkpoint (see ``checkpoint.STEPS``) and its partition.

    Notes
    -----
    0 after a clean stop, 1 after an unknown error, 2 for a setting, 3 for the broker, 4 for stored state that does
    not fit, 75 where the worker was stuck and has to be started again.
    """
    set_up_logs()
    view = View(worker=f"{socket.gethostname()}-{os.getpid()}", version=_version())
    server = MetricsServer(view, host=settings.metrics_host, port=settings.metrics_port, max_series=settings.max_series)
    try:
        server.start()
        logger.info("starting metrics=%s bootstrap=%s group=%s", server.url, settings.bootstrap, settings.app_id)
        with tempfile.TemporaryDirectory(prefix="funnelwatch-") as datadir:
            return asyncio.run(_run(settings, view, Path(datadir), on_step))
    except FunnelwatchError as error:
        logger.error("%s", error)
        return error.exit_code
    finally:
        server.stop()


class Worker:
    """Everything of one worker, wired; one object is run once.

    Parameters
    ----------
    settings
        Of the worker.
    view
        What the metrics page shows.
    datadir
        An empty directory for Faust.
    """

    def __init__(self, settings: LiveSettings, view: View, datadir: Path) -> None:
        self.settings, self.view, self._datadir = settings, view, datadir
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._partitions = settings.partitions
        self._kpi = TP(settings.kpi_topic, 0)
        self.outbox = Outbox(settings.client_args, self.fail)
        self.ingest = Ingest(settings, self.outbox, view, now_ms=_now_ms, monotonic=time.monotonic)
        self.checkpoints = Checkpoints(settings, self.ingest, self.outbox, view, now_ms=_now_ms)
        self.watch = Watch(settings, self.outbox, view, now_ms=_now_ms)
        self.announcements = Announcements(settings, self.watch)
        self.keeper = Keeper(settings, self.watch, self.outbox)
        self.vitals = Vitals(started=time.monotonic())
        self._answers = 0
        self._sent_back = -READ_AGAIN_SECONDS
        self._heard_ms = 0, 0
        """When the last two answers on the KPI topic came."""
        self._app: faust.App | None = None

    async def run(self) -> int:
        """Run until told to stop or until something fails; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        dog = Watchdog(self.vitals, self.settings.stuck_seconds, self.settings.stop_seconds, self.view.health)
        dog.start()
        try:
            self._partitions = await ensure_topics(self.settings)
            await refuse_closed_group(self.settings.client_args, self.settings.app_id)
            await self.outbox.start()
            return await self._run_app()
        finally:
            dog.cancel()
            await self.outbox.stop(1.0)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Wind down: ``run`` returns soon."""
        self._stop.set()

    def fail(self, error: BaseException) -> None:
        """Stop because of an error; the first one counts."""
        if self._failure is None:
            self._failure = error
            if isinstance(error, FunnelwatchError):
                logger.error("%s", error)
            else:
                logger.error("failed error=%r", error, exc_info=error)
            self.view.health(f"{type(error).__name__}: {error}")
        self._stop.set()

    async def _run_app(self) -> int:
        hooks = Hooks(self._positions, self._save, self._on_revoked, self.checkpoints.assigned)
        handlers = dict.fromkeys(self.settings.source_topics, self._on_source) | {self._kpi.topic: self._on_kpi}
        self._app = app = build_app(self.settings, hooks, handlers, self.fail, self._datadir)
        self.ingest.reader = self.checkpoints.committer = app.consumer
        app.on_rebalance_complete.connect(self._on_assigned)
        works = [self._tick, self.checkpoints.run, self.ingest.sources.run, self._start_app]
        works += [self.watch.run, self.announcements.run, self.keeper.run]
        works += [lambda: end_where_refused(self.settings, self._silent_seconds)]
        tasks = [asyncio.create_task(self._guarded(one)) for one in works]
        await self._stop.wait()
        self.view.stopping()
        self.vitals.stopping_since = time.monotonic()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        clean = await self._wind_down(app)
        if self._failure is not None:
            return self._failure.exit_code if isinstance(self._failure, FunnelwatchError) else 1
        if not clean:
            logger.error("stopped without a clean end: the state is the one of the last snapshot")
            logging.shutdown()
            os._exit(EXIT_STUCK)
        logger.info("stopped records=%d", self.ingest.records)
        return 0

    async def _start_app(self) -> None:
        if self._app is not None:
            await self._app.start()

    async def _wind_down(self, app: faust.App) -> bool:
        """Save what there is and leave the group, within the time that a stop may take."""
        seconds = self.settings.stop_seconds / 3
        clean = True
        app.consumer.stop_flow()
        if self._failure is None:
            clean = await within(seconds, self._save())
        self.ingest.close()
        return await within(seconds, app.stop()) and clean

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            with broker_errors(self.settings.client_args):
                await work()
        except asyncio.CancelledError:
            if self._stop.is_set():
                raise
            self.fail(cut_short())
        except BaseException as error:
            self.fail(error)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            logger.warning("second signal: leaving at once")
            os._exit(EXIT_STUCK)
        logger.info("stopping signal=%s", signal.Signals(number).name)
        self._stop.set()

    # What Faust calls.

    async def _on_source(self, topic: str, partition: int, records: list[Any]) -> None:
        try:
            self.ingest.take(topic, partition, records, getattr(records, "after", None))
        except Exception as error:
            logger.error("engine_failed at=%s[%d]@%d..%d", topic, partition, records[0].offset, records[-1].offset)
            self.fail(error)
        await self.outbox.room()

    async def _on_kpi(self, topic: str, partition: int, records: list[Any]) -> None:
        started = time.monotonic()
        try:
            expected = getattr(records, "after", None)
            for first in range(0, len(records), 50):
                if expected is not None and expected != self.watch.position:
                    # A fetch got lost, or the judge has begun anew meanwhile: its next record is another one.
                    self._read_kpi_again(expected)
                    break
                self.watch.take(records[first : first + 50])
                expected = records[first : first + 50][-1].offset + 1
                if time.monotonic() - started > SLICE_SECONDS:
                    await asyncio.sleep(0)
                    started = time.monotonic()
        except Exception as error:
            logger.error("judge_failed at=%s[%d]@%d", topic, partition, self.watch.position)
            self.fail(error)
        await self.outbox.room()

    def _read_kpi_again(self, after: int) -> None:
        """Go back to where the judge stands, at most every few seconds; the sources do it lane by lane."""
        now = time.monotonic()
        if self._app is None or not self.watch.owned or now - self._sent_back < READ_AGAIN_SECONDS:
            return
        self._sent_back, wanted = now, self.watch.position
        logger.error("fetch_missing at=%s[0]@%d: goes on after %d, is read again", self._kpi.topic, wanted, after)
        self.view.read_again()
        self._app.consumer.read_again(self._kpi, wanted)

    async def _on_assigned(self, *_: Any, **__: Any) -> None:
        try:
            await self._recover_in_time()
        except asyncio.CancelledError:
            if self._stop.is_set():
                raise
            # Faust would end its recovery without a word here, and the worker would wait for ever.
            self.fail(cut_short())
        except Exception as error:
            self.fail(error)
        if self._failure is not None:
            # To Faust this is a rebalance that another one has overtaken: it goes no further, and says nothing.
            raise IllegalStateError("no state")

    async def _recover_in_time(self) -> None:
        """Recover, and try again as long as the broker is away; how long that may last is the watchdog's concern."""
        app = self._app
        generation = None if app is None else app.consumer_generation_id
        while app is not None and not self._stop.is_set() and app.consumer_generation_id == generation:
            try:
                await self._recover()
                return
            except BrokerError as error:
                if not may_pass(error):
                    raise
                logger.warning("recovery_interrupted %s", error)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # aiokafka lets out the cancellation of a task of its own where a connection goes as it comes.
                logger.warning("recovery_interrupted by a cancelled connection")
            await asyncio.sleep(RETRY_SECONDS)

    async def _recover(self) -> None:
        app = self._app
        if app is None or self._stop.is_set():
            return
        generation, assigned = app.consumer_generation_id, app.consumer.assignment()
        owned = {topic: {tp.partition for tp in assigned if tp.topic == topic} for topic in self.settings.source_topics}
        partitions = next(iter(owned.values()))
        if any(other != partitions for other in owned.values()):
            raise BrokerError(
                f"the group gave this worker different partitions of its sources: {owned}",
                key="topics",
                way_out="give all source topics one number of partitions, and run one version of funnelwatch; "
                "a topic that was deleted under the worker has none",
            )
        if added := unowned_partitions(self.settings, partitions, self._partitions):
            raise added
        await self.checkpoints.recover(sorted(partitions), self._partitions)
        start = 0
        if self._kpi in assigned:
            since_ms = _now_ms() - self.settings.judge_history_ms
            start = await first_offset_since(self.settings.client_args, self._kpi.topic, 0, since_ms)
            await self.keeper.load(self._partitions)
            legacy = await legacy_of(self.settings, self.watch.left_at)
        if app.consumer_generation_id != generation or not self.checkpoints.open(self._partitions):
            return
        if self._kpi in assigned:
            self.watch.open(start, self._partitions, legacy.calendar, legacy.standing, legacy.kpi_end)
            self.announcements.read_up_to(legacy.calendar_offset)
        gc.collect()
        gc.freeze()  # restored state lives long: no collection has to walk over it
        gc.set_threshold(*GC_THRESHOLDS)
        now = time.monotonic()
        self.vitals.rebalancing_since = None
        self.vitals.answered = self.vitals.progressed = self.vitals.beat = now
        self.vitals.ready = True
        self.view.ready()
        logger.info("owning partitions=%s judge=%s generation=%d", sorted(partitions), self.watch.owned, generation)

    async def _save(self) -> None:
        await asyncio.gather(self.checkpoints.save(), self.keeper.save())

    def _on_revoked(self) -> None:
        self.checkpoints.leave()
        self.watch.close()
        self.view.starting()
        self.vitals.rebalancing_since = time.monotonic()

    def _silent_seconds(self) -> float:
        """How long the broker has said nothing to a worker that was ready once."""
        vitals = self.vitals
        since = vitals.answered if vitals.rebalancing_since is None else vitals.rebalancing_since
        return vitals.beat - since if vitals.ready else 0.0

    def _positions(self) -> dict[TP, int]:
        positions = {
            TP(topic, partition): offset
            for partition, lane in self.ingest.lanes.items()
            for topic, offset in lane.taken.items()
        }
        if self.watch.owned:
            positions[self._kpi] = self.watch.position
        return positions

    # What follows from time.

    async def _tick(self) -> None:
        absorbed = -1
        while True:
            await asyncio.sleep(TICK_SECONDS)
            app = self._app
            if app is not None and app.crashed:
                raise RuntimeError("Faust crashed") if app.crash_reason is None else app.crash_reason
            self.vitals.beat = time.monotonic()
            self.view.cut_off(self._silent_seconds() > self.settings.session_timeout_seconds)
            if self.vitals.rebalancing_since is not None or not self.vitals.ready or app is None:
                continue
            self.ingest.tick()
            if self.watch.owned:
                self._let_judge_wait(app.consumer.standing(self._kpi))
            done = sum(lane.next_offset(topic) for lane in self.ingest.lanes.values() for topic in lane.taken)
            idle = not any(any(lags.values()) for lags in self.ingest.lag().values())
            if idle or done != absorbed:
                absorbed, self.vitals.progressed = done, self.vitals.beat
            assigned = app.consumer.assignment()
            answers = sum(told.answered_ms for tp in assigned if (told := app.consumer.standing(tp)) is not None)
            if answers != self._answers or not assigned:
                self._answers, self.vitals.answered = answers, self.vitals.beat

    def _let_judge_wait(self, standing: Standing | None) -> None:
        """Let time pass for the judge, up to the moment of which the last answer on its topic is known to tell.

        An answer may have been on its way for long, but what it answers was asked after the answer before it had come.
        """
        if standing is None:
            self._heard_ms = 0, 0
            return
        if standing.answered_ms != self._heard_ms[1]:
            self._heard_ms = self._heard_ms[1], standing.answered_ms
        self.watch.tick(self.watch.position >= standing.end_offset, self._heard_ms[0])


async def _run(settings: LiveSettings, view: View, datadir: Path, on_step: Callable[[str, int], None] | None) -> int:
    worker = Worker(settings, view, datadir)
    if on_step is not None:
        worker.checkpoints.on_step = on_step
    return await worker.run()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _version() -> str:
    try:
        return version("funnelwatch")
    except PackageNotFoundError:
        return "unknown"
