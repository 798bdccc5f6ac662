"""The page Prometheus reads, with liveness and readiness beside it, on a thread of its own."""

from __future__ import annotations

import gzip
import json
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

from prometheus_client.exposition import choose_encoder, gzip_accepted

from streams.errors import ConfigError
from streams.telemetry.collector import registry_of
from streams.telemetry.view import View

__all__ = ["MetricsServer"]

COMPRESSED_FROM_BYTES = 1024
REQUEST_TIMEOUT_SECONDS = 10
POLL_SECONDS = 0.1


class MetricsServer:
    """Serves ``/metrics``, ``/healthz`` and ``/readyz`` of one view; use it as a context manager, or start and stop it.

    Parameters
    ----------
    view
        What is shown.
    host
        Address to bind; loopback unless told otherwise.
    port
        0 takes any free one, told by ``port`` after the start.
    max_series
        Cap of the KPI series of one scrape.

    Raises
    ------
    ConfigError
        On ``start``, where the address cannot be bound.
    """

    def __init__(self, view: View, *, host: str = "127.0.0.1", port: int = 9464, max_series: int = 20_000) -> None:
        self._view, self._host, self._wanted = view, host, port
        self._registry = registry_of(view, max_series=max_series)
        self._server: ThreadingHTTPServer | None = None
        self._thread: Thread | None = None

    def start(self) -> Self:
        """Bind the address and serve from now on."""
        try:
            self._server = _Server((self._host, self._wanted), self)
        except (OSError, OverflowError) as error:
            way_out = "choose a free port, 0 for any, and an address of this machine"
            address = f"{self._host}:{self._wanted}"
            raise ConfigError(f"cannot be bound: {error}", key="metrics", value=address, way_out=way_out) from error
        self._thread = Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), name="metrics", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and free the port; calling it twice is fine."""
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        self._server = self._thread = None

    @property
    def port(self) -> int:
        """The port that is served, or the one wanted before the start."""
        return int(self._server.server_address[1]) if self._server else self._wanted

    @property
    def url(self) -> str:
        """Base address for a client on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The scrape's body and content type in the format that ``accept`` asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def status(self, *, readiness: bool) -> tuple[int, dict[str, Any]]:
        """HTTP status and answer of ``/readyz`` or ``/healthz``."""
        seen = self._view.snapshot()
        good = seen.problem is None and (seen.phase == "ready" or not readiness)
        return (200 if good else 503), {"phase": seen.phase, "problem": seen.problem, "worker": seen.worker}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], owner: MetricsServer) -> None:
        self.owner = owner
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet about a client that hung up; everything else is told as usual."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_TIMEOUT_SECONDS
    server_version, sys_version = "funnelwatch", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, *self.server.owner.metrics(self.headers.get("Accept", "")))
        elif path in {"/healthz", "/readyz"}:
            status, told = self.server.owner.status(readiness=path == "/readyz")
            self._answer(status, json.dumps(told).encode(), "application/json")
        else:
            self._answer(404, b"Here are /metrics, /healthz and /readyz.\n", "text/plain; charset=utf-8")

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a scrape every few seconds is normal running, and normal running is quiet."""

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if len(body) >= COMPRESSED_FROM_BYTES and gzip_accepted(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
