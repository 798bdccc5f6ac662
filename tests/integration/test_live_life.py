"""What a worker refuses, what it says then, and how it ends when the broker is gone."""

import asyncio
import contextlib
import signal

from streams.broker import embedded_broker, free_port
from streams.kafka import TopicPlan, create_topics
from streams.live.watchdog import EXIT_STUCK
from tests.support.live import (
    WorkerProcess,
    metrics,
    produce,
    replayed,
    set_up_topics,
    settings_of,
    until,
    until_rows,
)
from tests.support.shop_log import shop_log

OTHER = {"session_gap_ms": 60_000}


def test_another_configuration_is_refused_until_everything_is_computed_anew(broker: str, name: str) -> None:
    settings = settings_of({"bootstrap": broker, "name": name})
    partitions = set_up_topics(settings)
    produce(broker, shop_log(5, 60, 20, f"{name}-clicks", f"{name}-orders"))
    with WorkerProcess(bootstrap=broker, name=name) as worker:
        until_rows(settings, replayed(settings, partitions)[0], worker)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.log
    with WorkerProcess(bootstrap=broker, name=name, engine=OTHER) as worker:
        assert worker.wait(60) == 4, worker.log
        assert "--rebuild" in worker.log
        assert "Traceback" not in worker.log
    other = settings_of({"bootstrap": broker, "name": name, "engine": OTHER})
    expected = replayed(other, partitions)[0]
    with WorkerProcess(bootstrap=broker, name=name, engine=OTHER, rebuild=True) as worker:
        until_rows(other, expected, worker)


def test_sources_with_different_partition_counts_are_refused_with_a_way_out(broker: str, name: str) -> None:
    plans = [TopicPlan(f"{name}-clicks", 2, 1, {}), TopicPlan(f"{name}-orders", 3, 1, {})]
    asyncio.run(create_topics({"bootstrap_servers": broker}, plans))
    with WorkerProcess(bootstrap=broker, name=name) as worker:
        assert worker.wait(60) == 3, worker.log
        assert "never meet; recreate the sources" in worker.log


def test_without_a_broker_the_worker_says_which_and_ends(name: str) -> None:
    port = free_port()
    with WorkerProcess(bootstrap=f"127.0.0.1:{port}", name=name) as worker:
        assert worker.wait(60) == 3, worker.log
        assert f"127.0.0.1:{port}" in worker.log
        assert "start the broker" in worker.log


def test_a_stop_is_bounded_when_the_broker_is_gone(name: str) -> None:
    with contextlib.ExitStack() as stack:
        bootstrap = stack.enter_context(embedded_broker())
        told = {"bootstrap": bootstrap, "name": name, "stop": 6.0, "checkpoint": 60.0}
        set_up_topics(settings_of(told))
        with WorkerProcess(**told) as worker:
            worker.until_logged("judging")
            produce(bootstrap, shop_log(5, 60, 20, f"{name}-clicks", f"{name}-orders"))
            until(lambda: "funnel_kpi_value{" in metrics(worker))
            stack.close()
            worker.signal(signal.SIGTERM)
            assert worker.wait(30) in (0, EXIT_STUCK), worker.log
            assert worker.log.count("\n") < 60, worker.log
