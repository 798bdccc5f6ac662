"""A worker that dies between any two steps of a checkpoint, again and again, changes no row."""

import asyncio
import signal
import uuid

from streams.broker import embedded_broker
from streams.live.checkpoint import STEPS
from streams.live.snapshots import load_snapshots
from tests.support.live import WorkerProcess, letters, produce, replayed, set_up_topics, settings_of, until, until_rows
from tests.support.shop_log import shop_log


def test_a_crash_after_any_step_of_a_checkpoint_changes_no_row() -> None:
    name = f"f{uuid.uuid4().hex[:8]}"
    with embedded_broker() as bootstrap:
        # Many pieces a snapshot, many snapshots a state: the first piece is sent, and the others are not.
        told = {"bootstrap": bootstrap, "name": name, "piece_bytes": 700, "pace": [30, 2_000, 12]}
        settings = settings_of(told)
        partitions = set_up_topics(settings)
        records = shop_log(11, 500, 40, f"{name}-clicks", f"{name}-orders")
        share = len(records) // (len(STEPS) + 1)
        for number, step in enumerate(STEPS):
            produce(bootstrap, records[number * share : (number + 1) * share])
            # The second of the four partitions: one checkpoint is whole, one is cut, two are not begun.
            with WorkerProcess(**told, die_at=step, die_after=2) as worker:
                assert worker.wait(60) == -signal.SIGKILL, f"{step} was never reached\n{worker.log}"
        produce(bootstrap, records[len(STEPS) * share :])
        stored = asyncio.run(load_snapshots(settings.client_args, settings.snapshots_topic, range(partitions)))
        assert max(len({link.head.epoch for link in one.links}) for one in stored.values()) > 1
        rows, rejected = replayed(settings, partitions)
        with WorkerProcess(**told) as worker:
            until_rows(settings, rows, worker)
            assert until(lambda: set(letters(settings)) == rejected), worker.log
