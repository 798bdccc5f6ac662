"""The door of the soak: what it passes on, cuts and holds back."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.live import until
from tests.support.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says everything back."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(connection: socket.socket) -> None:
            with connection:
                while data := connection.recv(1_024):
                    connection.sendall(data)

        def serve() -> None:
            try:
                while True:
                    threading.Thread(target=answer, args=server.accept()[:1], daemon=True).start()
            except OSError:
                return  # closed

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def closed(connection: socket.socket) -> bool:
    """Whether the other side has gone, politely or not."""
    try:
        return connection.recv(16) == b""
    except ConnectionError:
        return True


def test_a_door_passes_on_hangs_without_losing_a_byte_and_cuts_for_good(echo: int) -> None:
    with Proxy(echo) as door, socket.create_connection(("127.0.0.1", door.port), 10) as through:
        through.sendall(b"one")
        assert through.recv(16) == b"one"
        door.hang()
        through.sendall(b"two")
        through.settimeout(0.2)
        with pytest.raises(TimeoutError):
            through.recv(16)
        door.mend()
        through.settimeout(10)
        assert through.recv(16) == b"two"
        door.cut()
        assert closed(through)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", door.port), 10)
        door.mend()
        with socket.create_connection(("127.0.0.1", door.port), 10) as again:
            again.sendall(b"three")
            assert again.recv(16) == b"three"
        assert until(lambda: door.relayed == 2 * len(b"onetwothree"))
