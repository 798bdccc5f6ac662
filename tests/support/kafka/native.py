"""Runs Apache Kafka natively, one KRaft node on 127.0.0.1: jars by Maven, cached, no Docker.

``python -m tests.support.kafka.native --port 9092`` runs one in the foreground until Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from streams.broker import answers_metadata, die_with_parent, free_port

__all__ = ["NativeKafka", "why_unavailable"]

POM = Path(__file__).with_name("pom.xml")
LOGGING = POM.with_name("log4j2.properties")
CACHE = Path(os.environ.get("FUNNELWATCH_CACHE", Path.home() / ".cache" / "funnelwatch")) / "kafka"
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JVM = ["-Xmx512m", "-Xms256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
READY_SECONDS = 60.0
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=16777216
"""


def why_unavailable() -> str | None:
    """What is missing to run Apache Kafka here, or None."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if "java" in missing or (missing and not _libs().is_dir()):
        return f"Apache Kafka needs {' and '.join(missing)} on PATH (Java 17, Maven)"
    return None


class NativeKafka:
    """One broker with its own data; it can be stopped and started again on the same port with the data kept.

    ``doors`` are more ports that it listens on, each with the port that clients who come by it are told to use.
    """

    def __init__(
        self,
        port: int = 0,
        extra: str = "",
        format_options: Sequence[str] = (),
        doors: Mapping[int, int] | None = None,
    ) -> None:
        self.port = port or free_port()
        self._home = Path(tempfile.mkdtemp(prefix="funnelwatch-kafka-"))
        self._process: subprocess.Popen[bytes] | None = None
        controller = free_port()
        text = PROPERTIES.format(port=self.port, controller=controller, data=self._home / "data")
        if doors:
            text += _door_properties(self.port, controller, doors)
        self._properties = self._home / "server.properties"
        self._properties.write_text(text + extra, encoding="utf-8")
        self._log = self._home / "broker.log"
        cluster = uuid.uuid4().hex[:22]
        command = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties), *format_options]
        self.run(*command)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until the broker answers a metadata request."""
        self._process = self._java("kafka.Kafka", str(self._properties))
        deadline = time.monotonic() + READY_SECONDS
        while not answers_metadata("127.0.0.1", self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self._log.read_text(errors="replace")[-2_000:]
                self.close()
                raise RuntimeError(f"Apache Kafka did not start: {tail}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the broker and keep its data."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """End the broker and remove its data."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def run(self, *arguments: str) -> int:
        """Run one of its own programs; returns the exit code."""
        return self._java(*arguments).wait(60)

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                ["java", *JVM, f"-Dlog4j2.configurationFile={LOGGING}", "-cp", f"{_jars()}/*", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one prepared system call
            )


def _door_properties(port: int, controller: int, doors: Mapping[int, int]) -> str:
    inner = "PLAINTEXT://127.0.0.1:{}".format
    names = {f"DOOR{number}": ports for number, ports in enumerate(sorted(doors.items()))}
    listeners = [inner(port), *(f"{name}://127.0.0.1:{here}" for name, (here, _) in names.items())]
    advertised = [inner(port), *(f"{name}://127.0.0.1:{told}" for name, (_, told) in names.items())]
    kinds = ",".join(f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *names))
    return f"""
listeners={",".join(listeners)},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={",".join(advertised)}
listener.security.protocol.map={kinds}
inter.broker.listener.name=PLAINTEXT
num.network.threads=1
"""


def _libs() -> Path:
    return CACHE / f"libs-{_version()}"


def _version() -> str:
    text = POM.read_text(encoding="utf-8")
    return text.split("<artifactId>kafka_2.13</artifactId>")[1].split("<version>")[1].split("</version>")[0]


def _jars() -> Path:
    libs = _libs()
    if not libs.is_dir():
        half = libs.with_suffix(f".{os.getpid()}")
        subprocess.run(["mvn", "-q", "-B", "-f", str(POM), COPY_GOAL, f"-DoutputDirectory={half}"], check=True)
        half.rename(libs)
    return libs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a broker in the foreground."""
    parser = argparse.ArgumentParser(description="Apache Kafka, one node, data removed at the end")
    parser.add_argument("--port", type=int, default=9092)
    broker = NativeKafka(parser.parse_args(arguments).port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        broker.start()
        sys.stdout.write(f"Apache Kafka {_version()} on {broker.bootstrap}; Ctrl-C ends it and removes its data\n")
        sys.stdout.flush()
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        broker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
