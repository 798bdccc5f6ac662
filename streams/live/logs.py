"""Quiet, structured logs: one line an event, and libraries that repeat themselves are cut short."""

from __future__ import annotations

import logging
import sys
import time

__all__ = ["OncePerMinute", "get_logger", "set_up_logs"]

LIBRARIES = ("aiokafka", "faust", "mode", "kafka", "asyncio", "streams")
"""The last are services of Faust that live in this package: its own lines bear the name ``funnelwatch``."""
MINUTE = 60.0


class OncePerMinute(logging.Filter):
    """Lets one record of each kind (logger and message before its arguments) through a minute, and counts the rest.

    A broker that is away for half a minute makes the client write 1 500 lines otherwise.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; it then tells how many were not."""
        kind = (record.name, str(record.msg)[:80])
        now = time.monotonic()
        written, kept_back = self._last.get(kind, (-MINUTE, 0))
        if now - written < MINUTE:
            self._last[kind] = (written, kept_back + 1)
            return False
        self._last[kind] = (now, 0)
        if kept_back:
            record.msg = f"{record.getMessage()} (and {kept_back} more in the last minute)"
            record.args = ()
        return True


def get_logger(name: str) -> logging.Logger:
    """The logger of a part of the worker."""
    return logging.getLogger(f"funnelwatch.{name}")


def set_up_logs(level: int = logging.INFO) -> None:
    """Write to standard error: ``time level part event key=value ...``."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("funnelwatch").setLevel(level)
    limited = OncePerMinute()
    handler.addFilter(lambda record: record.name.split(".")[0] not in LIBRARIES or limited.filter(record))
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
