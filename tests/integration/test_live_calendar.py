"""Notes and labels from the command line: a running judge goes back and learns anew, and a later judge agrees."""

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from detectors.base import Incident
from streams.anomalies import decode_anomaly
from streams.cli import main
from streams.engine.rows import Row, encode_row, row_key
from streams.live.settings import LiveSettings
from tests.detection.library import Drop, Shop
from tests.support.live import WorkerProcess, anomalies, metrics, read_all, set_up_topics, settings_of, until

MINUTE = 60_000
HOURS = 170
OUTAGE = Drop("payment", 150, 160, 0.9)
WINDOWS = list(Shop(300, HOURS + 20, seed=3, drops=(OUTAGE,), start_minute=600).windows())


def rows(windows: slice) -> list[Row]:
    """Rows of one partition as its engine would have written them, the last of them just now."""
    shift = time.time_ns() // 1_000_000 // MINUTE * MINUTE - WINDOWS[-1].end_ms
    told = []
    for window in WINDOWS[windows]:
        for row in sorted(window.rows.values(), key=lambda row: not row.segment):
            told.append(row._replace(start_ms=row.start_ms + shift, end_ms=row.end_ms + shift, partition=0))
    return told


def write(settings: LiveSettings, told: list[Row]) -> None:
    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, linger_ms=5)
        await producer.start()
        for row in told:
            key, value = row_key(row), encode_row(row)
            await producer.send(settings.kpi_topic, value, key=key, partition=0, timestamp_ms=row.end_ms + 30_000)
        await producer.stop()

    asyncio.run(send())


def incidents(settings: LiveSettings) -> dict[str, Incident]:
    told = [decode_anomaly(value) for key, value in anomalies(settings).items() if key.startswith(b"incident|")]
    return {one.id: one for one in told if isinstance(one, Incident)}


def run(*arguments: str) -> int:
    before, sys.argv = sys.argv, ["funnelwatch", *arguments]
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.fixture
def settings(broker: str, name: str) -> LiveSettings:
    told = settings_of({"bootstrap": broker, "name": name, "partitions": 1})
    set_up_topics(told)
    return told


@pytest.fixture
def config(settings: LiveSettings, tmp_path: Path) -> str:
    sources = "".join(f'[[source]]\ntopic = "{topic}"\n' for topic in settings.source_topics)
    topics = f'[topics]\nanomalies = "{settings.anomalies_topic}"\ncalendar = "{settings.calendar_topic}"\n'
    (tmp_path / "shop.toml").write_text(f'[kafka]\nbootstrap = "{settings.bootstrap}"\n{sources}{topics}')
    return str(tmp_path / "shop.toml")


def test_a_label_and_a_note_reach_the_judge_and_a_later_judge_agrees(
    settings: LiveSettings, config: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"bootstrap": settings.bootstrap, "name": name, "partitions": 1}
    write(settings, rows(slice(HOURS)))
    with WorkerProcess(**told) as first:
        found = until(lambda: incidents(settings))
        assert len(found) == 1, first.log
        one = next(iter(found.values()))
        assert one.label is None
        until(lambda: incidents(settings)[one.id].state == "recovered")

        assert run("label", "zz", "expected", "--config", config) == 2
        assert f"INCIDENT = 'zz': no such incident; the latest are: {one.id} (" in capsys.readouterr().err
        assert run("label", one.id, "none", "--config", config) == 2
        assert run("label", one.id[:6], "expected", "--note", "card audit", "--config", config) == 0
        assert f"{one.id}: expected" in capsys.readouterr().out
        first.until_logged("judged_anew")
        after = until(lambda: incidents(settings)[one.id].label and incidents(settings))
        assert {key: (each.state, each.label) for key, each in after.items()} == {one.id: ("recovered", "expected")}

        assert run("note", "--remove", "1a", "--config", config) == 2
        assert (
            run(
                "note", "618 sale", "--from", "2099-06-18", "--to", "2099-06-19", "--channel", "sem", "--config", config
            )
            == 0
        )
        assert "channel=sem  618 sale" in capsys.readouterr().out
        first.until_logged("calendar entry=note|")
        write(settings, rows(slice(HOURS, None)))
        last = rows(slice(-1, None))[0].end_ms
        until(lambda: any(key.startswith(f"verdict|{last}|".encode()) for key in anomalies(settings)))
        page = until(lambda: page if 'label="expected"} 1.0' in (page := metrics(first)) else "")
        assert "funnel_judged_anew_total 1.0" in page, first.log
        assert 'funnel_open_incidents{kind="drop"} 0.0' in page
        first.signal(signal.SIGTERM)
        assert first.wait() == 0, first.log
    before = anomalies(settings)
    with WorkerProcess(**told) as second:
        second.until_logged("judging offset")
        page = until(lambda: page if 'label="expected"} 1.0' in (page := metrics(second)) else "")
        assert page, second.log
        second.signal(signal.SIGTERM)
        assert second.wait() == 0, second.log
    assert anomalies(settings) == before
    assert len(read_all(settings.bootstrap, settings.calendar_topic)[0]) == 2


def test_what_is_said_while_no_judge_runs_closes_an_open_incident(
    settings: LiveSettings, config: str, name: str
) -> None:
    told = {"bootstrap": settings.bootstrap, "name": name, "partitions": 1}
    write(settings, rows(slice(155)))
    with WorkerProcess(**told) as first:
        found = until(lambda: incidents(settings))
        assert [one.state for one in found.values()] != ["recovered"], first.log
    one = next(iter(found.values()))
    assert run("label", one.id, "expected", "--config", config) == 0
    with WorkerProcess(**told) as second:
        second.until_logged("judging offset")
        closed = until(lambda: incidents(settings)[one.id].label and incidents(settings))
        assert closed, second.log
        assert (closed[one.id].state, closed[one.id].label) == ("recovered", "expected")
        assert closed[one.id].summary == f"{one.summary}; labelled expected"
        assert run("label", one.id, "none", "--config", config) == 0
        second.until_logged("judged_anew")
        again = until(lambda: not incidents(settings)[one.id].label and incidents(settings))
        assert again[one.id].state in {"open", "ongoing"}
