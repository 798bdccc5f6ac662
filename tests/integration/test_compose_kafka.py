"""The broker of the compose file, with the very settings it is given there."""

import re
import socket
from pathlib import Path

import pytest
import yaml

from streams.broker import answers_metadata, free_port
from tests.support.brokers import missing
from tests.support.kafka.native import NativeKafka, why_unavailable

ROOT = Path(__file__).parents[2]


def settings(ports: dict[str, int]) -> str:
    """The service's environment as broker properties, its names and ports moved to free ones of this machine."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    told = {}
    for name, value in services["kafka"]["environment"].items():
        if name not in {"KAFKA_HEAP_OPTS", "KAFKA_LOG_DIRS"}:
            told[name.removeprefix("KAFKA_").lower().replace("_", ".")] = str(value)
    for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
        moved = re.sub(
            r"(kafka|localhost|127\.0\.0\.1|(?<=//)):(\d+)", lambda at: f"127.0.0.1:{ports[at[2]]}", told[name]
        )
        told[name] = moved
    return "".join(f"{name}={value}\n" for name, value in told.items())


@pytest.mark.kafka
def test_the_broker_of_the_compose_file_starts_and_answers_inside_and_outside() -> None:
    if reason := why_unavailable():
        missing("kafka", reason)
    ports = {port: free_port() for port in ("9092", "19092", "9093")}
    broker = NativeKafka(ports["9092"], settings(ports))
    try:
        broker.start()
        assert answers_metadata("127.0.0.1", ports["19092"])
        with socket.create_connection(("127.0.0.1", ports["9093"]), timeout=5):
            pass
    finally:
        broker.close()
