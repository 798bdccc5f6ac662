"""A receiver for Alertmanager's notifications: a line an alert, for the compose file, the demo and tests.

``python -m dashboards.webhook --host 127.0.0.1 --port 9465`` prints them; a shop puts its own pager in its place.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple, Self

__all__ = ["Notification", "WebhookReceiver", "main"]

LARGEST_BYTES = 4 << 20


class Notification(NamedTuple):
    """One alert of a notification; ``status`` is ``firing`` or ``resolved``."""

    status: str
    alert: str
    labels: dict[str, str]
    annotations: dict[str, str]

    def line(self) -> str:
        """The alert as one line of text."""
        words = (self.status, self.labels.get("severity"), self.alert)
        summary = self.annotations.get("summary")
        return " ".join(word for word in words if word) + (f": {summary}" if summary else "")


class WebhookReceiver:
    """Listens for notifications on a thread of its own; use it as a context manager.

    Parameters
    ----------
    take
        Called with each alert, on the receiver's thread.
    host, port
        Address to bind; port 0 takes any free one.
    """

    def __init__(self, take: Callable[[Notification], None], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = _Server((host, port), take)
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="webhook", daemon=True)

    @property
    def url(self) -> str:
        """Address to put into Alertmanager's configuration."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def serve_forever(self) -> None:
        """Serve on this thread until interrupted."""
        self._server.serve_forever()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def main(arguments: list[str] | None = None) -> None:
    """Print every notification that arrives, one line an alert."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.webhook", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to bind")
    parser.add_argument("--port", type=int, default=9465, help="port to bind")
    told = parser.parse_args(arguments)
    receiver = WebhookReceiver(lambda one: print(one.line(), flush=True), host=told.host, port=told.port)
    print(f"waiting for alerts on {receiver.url}", flush=True)
    try:
        receiver.serve_forever()
    except KeyboardInterrupt:
        sys.exit(130)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], take: Callable[[Notification], None]) -> None:
        self.take = take
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= LARGEST_BYTES:
            self._answer(413)
            return
        try:
            told = _notifications(json.loads(self.rfile.read(length)))
        except (ValueError, KeyError, TypeError, AttributeError):
            self._answer(400)
            return
        for one in told:
            self.server.take(one)
        self._answer(200)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of the requests: the alerts are what is told."""

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _notifications(told: dict[str, Any]) -> list[Notification]:
    return [
        Notification(one["status"], one["labels"]["alertname"], dict(one["labels"]), dict(one.get("annotations", {})))
        for one in told["alerts"]
    ]


if __name__ == "__main__":
    main()
