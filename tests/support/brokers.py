"""Brokers for tests: the embedded one, and Apache Kafka where Java and Maven are; what is missing is told loudly."""

import contextlib
import os
from collections.abc import Iterator

import pytest

from streams.broker import broker_binary, embedded_broker
from streams.errors import BrokerError
from tests.support.kafka.native import NativeKafka, why_unavailable

BROKERS = ("embedded", pytest.param("kafka", marks=pytest.mark.kafka))


@contextlib.contextmanager
def running_broker(kind: str) -> Iterator[str]:
    """The address of a broker of this kind, for the length of the block."""
    if kind == "embedded":
        try:
            broker_binary()
        except BrokerError as error:
            missing(kind, str(error))
        with embedded_broker() as bootstrap:
            yield bootstrap
        return
    if reason := why_unavailable():
        missing(kind, reason)
    broker = NativeKafka()
    try:
        broker.start()
        yield broker.bootstrap
    finally:
        broker.close()


def missing(kind: str, reason: str) -> None:
    """Skip, or fail where ``FUNNELWATCH_REQUIRE`` names what is missing."""
    if kind in os.environ.get("FUNNELWATCH_REQUIRE", "").split(","):
        pytest.fail(f"{reason}, and FUNNELWATCH_REQUIRE names {kind}")
    pytest.skip(reason)
