"""The acts of the demonstration, one after the other: history, catching up, calm, outage, recovery."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import zstandard

from dashboards.stack import Pace as StackPace
from dashboards.stack import running_stack
from dashboards.webhook import Notification, WebhookReceiver
from streams.broker import die_with_parent
from streams.config import load_config
from streams.demo.child import running_worker
from streams.demo.live_shop import LiveShop
from streams.demo.options import DemoOptions, Pace
from streams.demo.readers import follow_incidents, follow_metrics
from streams.demo.report import Left
from streams.demo.state import Delivery, Picture
from streams.demo.topics import delete_topics
from streams.errors import FunnelwatchError
from streams.live.configured import live_settings
from streams.live.settings import LiveSettings
from streams.live.topics import ensure_topics, topic_plans
from streams.simulate import IncidentSpec, ShopSpec
from streams.simulate.writer import Feed, Written, feed_topics, write_labels
from streams.telemetry.names import ALL

__all__ = ["Acts"]

FRAME_SECONDS = 0.5
LEAD_MS = 4_000
"""An outage is announced so long before it begins: the shop works out who is under way."""

CAUGHT_UP_MS = 15_000
HEAD_START = 0.6
"""The worker is started when so much of the history is there: until it has joined its group, the rest is as well."""

LATEST_OUTAGE = 0.45
"""An unattended run injects the outage after this share of its time, even where the history is still being read."""

MINUTE_MS = 60_000


class Acts:
    """Starts one thing after the other, tells the picture about it, and stops them in the other order.

    Parameters
    ----------
    options, pace
        What was asked for, and the durations.
    spec
        Of the shop.
    left
        Files of the run.
    picture
        What is shown.
    """

    def __init__(self, options: DemoOptions, pace: Pace, spec: ShopSpec, left: Left, picture: Picture) -> None:
        self._options, self._pace, self._left, self._picture = options, pace, left, picture
        self._shop = LiveShop(spec)
        self._stop = asyncio.Event()
        self._start_ms = picture.started_ms - pace.history_ms
        self._calm_until_ms: int | None = None
        self.programs = True
        self.show: Callable[[], None] = lambda: None

    async def play(self) -> None:
        """Play until the time is over or a signal comes; stops everything that was started."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        frames = asyncio.create_task(self._frames())
        acts = asyncio.create_task(self._acts())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({acts, stop, frames}, timeout=self._seconds_left(), return_when=asyncio.FIRST_COMPLETED)
            self._picture.phase = "stopping"
        finally:
            for task in (acts, stop):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await acts
            frames.cancel()
            with suppress(asyncio.CancelledError):
                await frames

    def _seconds_left(self) -> float | None:
        if self._options.for_seconds is None:
            return None
        return max(0.0, self._options.for_seconds - (now_ms() - self._picture.started_ms) / 1000)

    async def _frames(self) -> None:
        while True:
            self.show()
            await asyncio.sleep(FRAME_SECONDS)

    async def _acts(self) -> None:
        settings = live_settings(load_config(self._left.config))
        async with AsyncExitStack() as stack:
            if self._options.bootstrap:
                stack.push_async_callback(delete_topics, settings.client_args, list(topic_plans(settings, 1)))
            await ensure_topics(settings)
            feeding = await stack.enter_async_context(self._fed(settings))
            await self._history(feeding, HEAD_START)
            worker = stack.enter_context(running_worker(self._left.config, self._left.logs / "worker.log"))
            await self._history(feeding, 1.0)
            url = f"http://{settings.metrics_host}:{settings.metrics_port}/metrics"
            self._picture.metrics_url = url
            readers = [
                follow_metrics(url, self._picture, now_ms),
                follow_incidents(settings.client_args, settings.anomalies_topic, self._picture, now_ms),
                self._story(stack, settings, worker),
            ]
            await first_failure([feeding, *(asyncio.create_task(one) for one in readers)])

    @asynccontextmanager
    async def _fed(self, settings: LiveSettings) -> AsyncIterator[asyncio.Task[Written]]:
        """The shop writes to its topics and to the file of events, until the block ends."""
        with zstandard.open(self._left.events, "wb") as copy:
            feed = Feed(settings.client_args, follow=True, copy=copy)
            feeding = asyncio.create_task(feed_topics(self._shop, feed, self._start_ms, progress=self._sent))
            try:
                yield feeding
            finally:
                feeding.cancel()
                with suppress(asyncio.CancelledError):
                    await feeding
                write_labels(self._shop.shop, self._left.labels, self._start_ms, self._picture.written_to_ms)

    def _sent(self, written: Written) -> None:
        self._picture.written, self._picture.written_to_ms = written.records, written.until_ms

    async def _history(self, feeding: asyncio.Task[Written], share: float) -> None:
        """Wait until so much of the past has been told."""
        told = f"pre-playing {self._pace.history_ms // MINUTE_MS} min of calm history at full speed"
        missing_ms = max(CAUGHT_UP_MS, (1 - share) * self._pace.history_ms)
        while (behind := now_ms() - max(self._picture.written_to_ms, self._start_ms)) > missing_ms:
            self._picture.phase = f"{told}: {max(0.0, 1 - behind / self._pace.history_ms):.0%}"
            await asyncio.wait({feeding}, timeout=0.1)
            if feeding.done():
                feeding.result()

    async def _story(self, stack: AsyncExitStack, settings: LiveSettings, worker: subprocess.Popen[bytes]) -> None:
        """What happens on the stage, while the readers look on."""
        watched = asyncio.create_task(self._watch(worker))
        try:
            await until(lambda: self._caught_up() or self._overdue() or watched.done())
            if self.programs and not watched.done():
                await self._start_programs(stack, settings)
            if not self._options.calm and not watched.done():
                await self._outage()
            await watched
        finally:
            watched.cancel()

    async def _watch(self, worker: subprocess.Popen[bytes]) -> None:
        """Tell the phase, and fail when the worker ends before us."""
        while True:
            if worker.poll() is not None:
                raise FunnelwatchError(
                    f"the worker ended with status {worker.returncode}",
                    way_out=f"its log is {self._left.logs / 'worker.log'}",
                )
            self._picture.phase = self._phase()
            await asyncio.sleep(FRAME_SECONDS / 2)

    def _phase(self) -> str:
        picture, now = self._picture, now_ms()
        pace = f"windows of {self._pace.window_ms // 1000} s"
        before = picture.outage_ms is None or now < picture.outage_ms
        if before and not self._caught_up():
            age = picture.freshness_ms(now)
            if age is None:
                return "the worker starts"
            return f"the worker reads the history: {max(0.0, 1 - age / self._pace.history_ms):.0%}"
        if picture.outage_ms is None or before:
            if self._options.calm:
                return f"calm, {pace}"
            begins = picture.outage_ms or self._calm_until_ms
            seconds = "" if begins is None else f" in {max(0, begins - now) / 1000:.0f} s"
            return f"calm, {pace}: a payment outage comes by itself{seconds}"
        caught_ms = picture.caught_ms()
        found = "" if caught_ms is None else f"; caught after {(caught_ms - picture.outage_ms) / 1000:.0f} s"
        if picture.outage_end_ms is not None and now >= picture.outage_end_ms:
            return f"the outage is over, the shop recovers{found}"
        where = " and ".join(value for _, value in self._pace.cause)
        since = f"since {(now - picture.outage_ms) / 1000:.0f} s"
        return f"PAYMENT OUTAGE: 19 of 20 payments with {where} fail {since}{found}"

    def _caught_up(self) -> bool:
        age = self._picture.freshness_ms(now_ms())
        longest = 2 * self._pace.window_ms + self._pace.grace_ms + self._pace.disorder_ms + self._pace.merge_wait_ms
        return age is not None and age < longest

    def _overdue(self) -> bool:
        seconds = self._options.for_seconds
        return seconds is not None and now_ms() - self._picture.started_ms > LATEST_OUTAGE * seconds * 1000

    async def _start_programs(self, stack: AsyncExitStack, settings: LiveSettings) -> None:
        """Prometheus and Alertmanager with our rules, and a webhook that counts what is delivered."""
        receiver = stack.enter_context(WebhookReceiver(self._delivered))
        programs = running_stack(
            self._left.config.parent / "stack",
            targets=[f"{settings.metrics_host}:{settings.metrics_port}"],
            webhook_url=receiver.url,
            pace=StackPace(self._pace.scrape_seconds, self._pace.scrape_seconds, speedup=60),
            before_start=die_with_parent(),
        )
        started = await asyncio.to_thread(programs.__enter__)
        stack.push(partial(programs.__exit__))
        self._picture.prometheus_url = started.prometheus_url

    def _delivered(self, one: Notification) -> None:
        labels, summary = one.labels, one.annotations.get("summary", "")
        whole = labels.get("dimension", ALL) == ALL
        segment = "" if whole else f"{labels['dimension']}={labels.get('value', '')}"
        kpi = labels.get("kpi", "")
        self._picture.delivered(Delivery(now_ms(), one.status, one.alert, kpi, summary, segment))

    async def _outage(self) -> None:
        picture = self._picture
        self._calm_until_ms = now_ms() + self._pace.calm_ms
        await until(lambda: now_ms() >= (self._calm_until_ms or 0) - LEAD_MS)
        begins = now_ms() + LEAD_MS
        incident = IncidentSpec("payment_outage", begins, begins + self._pace.outage_ms, segment=self._pace.cause)
        await asyncio.to_thread(self._shop.strike, incident)
        picture.outage_ms, picture.outage_end_ms = incident.start_ms, incident.end_ms


async def first_failure(tasks: list[asyncio.Task[object]]) -> None:
    """Wait for all; the first that fails ends the others."""
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that others bring about."""
    while not condition():  # noqa: ASYNC110 - looked at, not told
        await asyncio.sleep(0.1)


def now_ms() -> int:
    """The clock."""
    return time.time_ns() // 1_000_000
