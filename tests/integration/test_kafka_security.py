"""Apache Kafka that demands TLS, passwords or client certificates: who gets in, and what the others are told."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import orjson
import pytest

from streams.check import check
from streams.cli import main
from streams.config import Config, load_config
from streams.errors import BrokerError
from streams.kafka import describe_topics
from streams.live.configured import live_settings
from streams.live.topics import ensure_topics
from streams.replay.command import ReplayRequest, run_replay
from streams.simulate.command import SimulateRequest, run_simulation
from tests.support.brokers import missing
from tests.support.kafka.native import why_unavailable
from tests.support.kafka.secure import GROUP, RIGHTS, TOPIC, USER, SecureKafka
from tests.support.live import WorkerProcess, metrics, replayed, settings_of, until_rows

pytestmark = pytest.mark.kafka

SOON = 30.0
"""Seconds within which a refusal has to be told, on a busy machine too."""

SHOP = """
[shop]
name = "{name}"
[[source]]
topic = "{name}-clicks"
[[source]]
topic = "{name}-orders"
[topics]
kpi = "{name}-kpi"
anomalies = "{name}-anomalies"
dead_letter = "{name}-dead"
snapshots = "{name}-snapshots"
calendar = "{name}-calendar"
[time]
idle_after = "1h"
merge_wait = "3s"
[live]
checkpoint_interval = "500ms"
session_timeout = "3s"
[metrics]
port = {port}
[kafka]
"""


class Worker(WorkerProcess):
    """``funnelwatch run`` with a file and an environment."""

    def __init__(self, name: str, folder: Path, kafka: dict[str, Any], environment: dict[str, str]) -> None:
        super().__init__(name=name)
        self.file = folder / f"{name}.toml"
        keys = "".join(f"{key} = {orjson.dumps(value).decode()}\n" for key, value in kafka.items())
        self.file.write_text(SHOP.format(name=name, port=self.told["metrics_port"]) + keys, encoding="utf-8")
        self._environment = environment

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "streams.cli", "run", "--config", str(self.file)]
            environment = os.environ | self._environment
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        return self


@pytest.fixture(scope="module")
def kafka() -> Iterator[SecureKafka]:
    if reason := why_unavailable():
        missing("kafka", reason)
    with SecureKafka() as broker:
        yield broker


@pytest.fixture
def password(kafka: SecureKafka, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FUNNELWATCH_KAFKA_SASL_PASSWORD", kafka.password)
    return kafka.password


def allow(kafka: SecureKafka, config: Config) -> None:
    """Give the users what the documentation says that they need, and nothing more."""
    topics = config.topics
    kafka.grant(TOPIC, [source.topic for source in config.source], RIGHTS["source"])
    own = [topics.kpi, topics.anomalies, topics.dead_letter, topics.snapshots, topics.calendar]
    kafka.grant(TOPIC, own, RIGHTS["own"])
    kafka.grant(GROUP, [config.shop.name], RIGHTS["group"])


def simulated(config: Config) -> int:
    """Records that a simulated shop writes to the topics of a configuration."""
    asyncio.run(ensure_topics(live_settings(config)))
    request = SimulateRequest(config=config, rate=20.0, start="2026-03-01T12:00", length_ms=600_000)
    return int(run_simulation(request)["records"])


def agrees_everywhere(kafka: SecureKafka, worker: Worker) -> str:
    """Simulate, check, run and replay with the configuration of a worker; returns all that was printed."""
    config = load_config(worker.file)
    allow(kafka, config)
    written = simulated(config)
    assert written > 100
    settings = settings_of({"bootstrap": kafka.setup, "name": worker.told["name"]})
    rows = replayed(settings, settings.partitions)[0]
    assert rows
    with worker:
        until_rows(settings, rows, worker)
        page = metrics(worker)
        assert f"funnel_records_total {float(written)}" in page
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, worker.log
        logged = worker.log
    findings = check(config)
    assert not [one for one in findings if one.level == "error"], findings
    again = run_replay(ReplayRequest(config=config))
    assert f"{written:,} records" in again["text"]
    return "".join((logged, page, repr(findings), repr(again), repr(config), repr(live_settings(config))))


def test_every_command_works_with_a_user_and_tls_from_the_environment(
    kafka: SecureKafka, password: str, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in kafka.told("SASL_SSL").items():
        monkeypatch.setenv(f"FUNNELWATCH_KAFKA_{key.upper()}", value)
    printed = agrees_everywhere(kafka, Worker(name, tmp_path, {}, {}))
    assert password not in printed


def test_every_command_works_with_a_client_certificate_whose_key_is_encrypted(
    kafka: SecureKafka, tmp_path: Path, name: str
) -> None:
    papers, told = kafka.papers, tmp_path / "key-password"
    told.write_text(f"{papers.key_password}\n", encoding="utf-8")
    keys = kafka.told("SSL", ssl_keyfile=papers.locked_key, ssl_key_password_file=told)
    printed = agrees_everywhere(kafka, Worker(name, tmp_path, keys, {}))
    assert papers.key_password not in printed


def topics_of(told: dict[str, Any]) -> Any:
    section = Config.model_validate({"kafka": told}).kafka
    return asyncio.run(describe_topics({**section.security(), "bootstrap_servers": section.bootstrap}, ["none"]))


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.usefixtures("password")
def test_every_mechanism_lets_its_user_in(kafka: SecureKafka, protocol: str, mechanism: str) -> None:
    assert topics_of(kafka.told(protocol, sasl_mechanism=mechanism)) == {}


@pytest.mark.usefixtures("password")
def test_a_host_that_the_certificate_does_not_name_is_let_pass_only_where_told(kafka: SecureKafka) -> None:
    bootstrap = kafka.addresses["SASL_SSL"].replace("127.0.0.1", "localhost")
    assert topics_of(kafka.told("SASL_SSL", bootstrap=bootstrap, ssl_check_hostname=False)) == {}
    with pytest.raises(BrokerError, match="does not name this host"):
        topics_of(kafka.told("SASL_SSL", bootstrap=bootstrap))


def refused(told: dict[str, Any]) -> str:
    started = time.monotonic()
    with pytest.raises(BrokerError) as error:
        topics_of(told)
    assert time.monotonic() - started < SOON
    assert told["bootstrap"] in str(error.value)
    assert error.value.way_out
    return str(error.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password_is_told_with_user_and_mechanism_and_without_itself(
    kafka: SecureKafka, mechanism: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FUNNELWATCH_KAFKA_SASL_PASSWORD", "wrong-but-secret")
    told = refused(kafka.told("SASL_SSL", sasl_mechanism=mechanism))
    assert f"knows no user {USER!r} with this password for {mechanism}" in told
    assert "wrong-but-secret" not in told + caplog.text


@pytest.mark.parametrize(("spoken", "demanded"), [("SASL_SSL", "SASL_PLAINTEXT"), ("SASL_PLAINTEXT", "SASL_SSL"),
                                                  ("SSL", "SASL_SSL"), ("PLAINTEXT", "SSL"),
                                                  ("PLAINTEXT", "SASL_PLAINTEXT")])  # fmt: skip
@pytest.mark.usefixtures("password")
def test_another_protocol_than_the_listener_speaks_is_told(kafka: SecureKafka, spoken: str, demanded: str) -> None:
    keys = {"security_protocol": spoken} if spoken == "PLAINTEXT" else kafka.told(spoken)
    told = refused(keys | {"bootstrap": kafka.addresses[demanded]})
    assert f"when spoken to in {spoken}" in told
    assert "set kafka.security_protocol" in told


@pytest.mark.usefixtures("password")
def test_a_password_for_a_listener_that_asks_for_none_is_told(kafka: SecureKafka) -> None:
    told = refused(kafka.told("SASL_PLAINTEXT") | {"bootstrap": kafka.setup})
    assert "asks for no user and password" in told


def test_a_client_certificate_of_a_ca_that_the_broker_does_not_know_is_told(kafka: SecureKafka) -> None:
    papers = kafka.papers
    told = refused(kafka.told("SSL", ssl_certfile=papers.foreign_certificate, ssl_keyfile=papers.foreign_key))
    assert "wants a client certificate that it trusts" in told


@pytest.mark.parametrize(
    ("protocol", "changed", "said", "way_out"),
    [
        ("SASL_SSL", {"sasl_username": "stranger"}, "knows no user 'stranger'", "kafka.sasl_username"),
        ("SASL_SSL", {"ssl_cafile": "foreign_ca"}, "of no CA that is trusted here", "kafka.ssl_cafile"),
        ("SSL", {"ssl_certfile": "", "ssl_keyfile": ""}, "wants a client certificate", "kafka.ssl_certfile"),
    ],
)
def test_a_command_that_is_not_let_in_says_why_on_one_line_and_ends_with_code_3(
    kafka: SecureKafka, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    protocol: str, changed: dict[str, str], said: str, way_out: str,
) -> None:  # fmt: skip
    if protocol == "SASL_SSL":
        monkeypatch.setenv("FUNNELWATCH_KAFKA_SASL_PASSWORD", kafka.password)
    keys = {key: getattr(kafka.papers, value, value) for key, value in changed.items()}
    file = Worker(name, tmp_path, kafka.told(protocol, **keys), {}).file
    monkeypatch.setattr(sys, "argv", ["funnelwatch", "topics", "--config", str(file)])
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr()
    assert left.value.code == 3
    assert said in told.err
    assert way_out in told.err
    assert kafka.password not in told.out + told.err


def test_a_worker_with_a_wrong_password_says_so_and_ends_with_code_3(
    kafka: SecureKafka, tmp_path: Path, name: str
) -> None:
    environment = {"FUNNELWATCH_KAFKA_SASL_PASSWORD": "wrong-but-secret"}
    with Worker(name, tmp_path, kafka.told("SASL_SSL"), environment) as worker:
        assert worker.wait(2 * SOON) == 3, worker.log
        assert f"knows no user {USER!r} with this password" in worker.log
        assert "Traceback" not in worker.log
        assert "wrong-but-secret" not in worker.log


def test_a_worker_whose_password_is_changed_under_it_says_so_and_the_next_one_reads_the_new_one(
    kafka: SecureKafka, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "password"
    file.write_text(kafka.password, encoding="utf-8")
    worker = Worker(name, tmp_path, kafka.told("SASL_SSL", sasl_password_file=file), {})
    allow(kafka, load_config(worker.file))
    with worker:
        worker.until_logged("judging")
        kafka.rekey("another-secret")
        kafka.restart()
        try:
            assert worker.wait(3 * SOON) == 3, worker.log
            assert f"knows no user {USER!r} with this password" in worker.log
            assert not [one for one in (kafka.password, "another-secret", "Traceback") if one in worker.log]
            file.write_text("another-secret", encoding="utf-8")
            assert topics_of(kafka.told("SASL_SSL", sasl_password_file=file)) == {}
        finally:
            kafka.rekey(kafka.password)


def configured(kafka: SecureKafka, folder: Path, name: str) -> Worker:
    environment = {"FUNNELWATCH_KAFKA_SASL_PASSWORD": kafka.password}
    return Worker(name, folder, kafka.told("SASL_SSL"), environment)


@pytest.mark.usefixtures("password")
def test_a_user_who_may_not_create_topics_is_told_which_and_where_rights_are_listed(
    kafka: SecureKafka, tmp_path: Path, name: str
) -> None:
    config = load_config(configured(kafka, tmp_path, name).file)
    with pytest.raises(BrokerError, match=f"topic = '{name}-.*Authorization failed") as error:
        asyncio.run(ensure_topics(live_settings(config)))
    assert "docs/security.md" in error.value.way_out


@pytest.mark.usefixtures("password")
def test_a_worker_whose_user_may_not_join_the_group_says_so_and_ends_with_code_3(
    kafka: SecureKafka, tmp_path: Path, name: str
) -> None:
    worker = configured(kafka, tmp_path, name)
    config = load_config(worker.file)
    kafka.grant(TOPIC, [source.topic for source in config.source], RIGHTS["source"])
    topics = config.topics
    own = [topics.kpi, topics.anomalies, topics.dead_letter, topics.snapshots, topics.calendar]
    kafka.grant(TOPIC, own, RIGHTS["own"])
    with worker:
        assert worker.wait(2 * SOON) == 3, worker.log
        assert f"shop.name = '{name}': this user may not read in the consumer group" in worker.log
        assert "docs/security.md" in worker.log
        assert "Traceback" not in worker.log
    assert [one.subject for one in check(config) if one.level == "error"] == [name]
