"""The embedded broker: there for a block, gone with its owner, plain about a port that is taken."""

import socket
import subprocess
import sys

import pytest

from streams.broker import answers_metadata, embedded_broker, free_port
from streams.errors import BrokerError
from tests.support.live import until

OWNER = """
import sys, time
from streams.broker import embedded_broker
with embedded_broker({port}):
    print("ready", flush=True)
    time.sleep(600)
"""


def test_the_broker_answers_inside_the_block_only_and_starts_again_on_its_port() -> None:
    port = free_port()
    for _ in range(2):
        with embedded_broker(port) as bootstrap:
            assert bootstrap == f"127.0.0.1:{port}"
            assert answers_metadata("127.0.0.1", port)
        assert not answers_metadata("127.0.0.1", port)


def test_a_taken_port_is_named_with_a_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"{port}.*choose another port"), embedded_broker(port):
            pass


def test_an_open_port_without_a_broker_behind_it_is_not_ready() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert not answers_metadata("127.0.0.1", silent.getsockname()[1], timeout=0.2)


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the kernel of Linux tells a child of its parent's end"
)
def test_a_killed_owner_leaves_no_broker_behind() -> None:
    port = free_port()
    command = [sys.executable, "-c", OWNER.format(port=port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"ready\n"
        assert answers_metadata("127.0.0.1", port)
        owner.kill()
    assert until(lambda: not answers_metadata("127.0.0.1", port), seconds=10)
