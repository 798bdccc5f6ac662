"""What live workers write is what the same records give in one engine, however the workers come and go."""

import signal

from streams.broker import free_port
from tests.faults.scraper import partitions_told
from tests.support.live import (
    WorkerProcess,
    letters,
    metrics,
    produce,
    produce_unseen,
    replayed,
    set_up_topics,
    settings_of,
    until,
    until_rows,
)
from tests.support.shop_log import START_MS, Record, shop_log


def log_of(name: str, seed: int = 7, sessions: int = 400, start_ms: int = START_MS) -> list[Record]:
    return shop_log(seed, sessions, 30, f"{name}-clicks", f"{name}-orders", start_ms)


def test_rows_equal_a_replay_and_poison_lands_in_dead_letters_though_the_first_address_is_dead(
    broker: str, name: str
) -> None:
    settings = settings_of({"bootstrap": broker, "name": name})
    partitions = set_up_topics(settings)
    produce(broker, log_of(name))
    rows, rejected = replayed(settings, partitions)
    assert rows
    assert rejected
    # The first of two brokers is away: whoever is asked first, the other one answers.
    with WorkerProcess(bootstrap=f"127.0.0.1:{free_port()},{broker}", name=name) as worker:
        until_rows(settings, rows, worker)
        assert until(lambda: set(letters(settings)) == rejected), worker.log
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.log


def test_a_stop_and_a_kill_between_records_change_no_row(broker: str, name: str) -> None:
    settings = settings_of({"bootstrap": broker, "name": name})
    partitions = set_up_topics(settings)
    records = log_of(name)
    third = len(records) // 3
    for part, end in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)):
        produce(broker, records[part * third : (part + 1) * third])
        with WorkerProcess(bootstrap=broker, name=name) as worker:
            until_rows(settings, replayed(settings, partitions)[0], worker)
            worker.signal(end)
            assert worker.wait() == (0 if end == signal.SIGTERM else -end), worker.log


def test_workers_that_join_freeze_and_die_change_no_row_and_who_stays_keeps_its_engines(broker: str, name: str) -> None:
    settings = settings_of({"bootstrap": broker, "name": name})
    partitions = set_up_topics(settings)
    records = log_of(name)
    third = len(records) // 3
    with WorkerProcess(bootstrap=broker, name=name) as first:
        first.until_logged("owning")
        produce_unseen(broker, records[:third], first)
        with WorkerProcess(bootstrap=broker, name=name) as second:
            second.until_logged("owning")
            first.until_logged("owning", 2)
            mine, others = (sorted(partitions_told(metrics(one))) for one in (first, second))
            assert f"kept partitions={mine}" in first.log
            assert "restored" not in first.log
            produce_unseen(broker, records[third : 2 * third], first, second)
            until_rows(settings, replayed(settings, partitions)[0], second)
            # Past its session: another one has had its partitions.
            first.signal(signal.SIGSTOP)
            second.until_logged("owning partitions=[0, 1, 2, 3]")
            assert f"kept partitions={others}" in second.log
            produce_unseen(broker, records[2 * third :], second)
            before = first.log
            first.signal(signal.SIGCONT)
            first.until_logged("owning", before.count("owning") + 1)
            assert "kept" not in first.log[len(before) :]
            assert "restored" in first.log[len(before) :]
            until_rows(settings, replayed(settings, partitions)[0], first)
            first.signal(signal.SIGKILL)
            second.until_logged("owning partitions=[0, 1, 2, 3]", 2)
            produce_unseen(broker, log_of(name, 8, 40, START_MS + 40 * 60_000), second)
            until_rows(settings, replayed(settings, partitions)[0], second)
