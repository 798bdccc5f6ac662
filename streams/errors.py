"""The error tree: each error names the key, its value and the way out."""

from __future__ import annotations

from typing import Any

__all__ = ["BrokerError", "ConfigError", "FunnelwatchError", "InputError", "StateError"]


class FunnelwatchError(Exception):
    """Base of every error that funnelwatch raises on purpose.

    Parameters
    ----------
    problem
        What is wrong, one sentence.
    key, value
        The name that is at fault and what it holds, where there is one.
    way_out
        What the reader can do about it, one sentence.

    Examples
    --------
    >>> print(FunnelwatchError("not a port", key="metrics.port", value=70000, way_out="use 1..65535"))
    metrics.port = 70000: not a port; use 1..65535
    """

    exit_code = 1

    def __init__(self, problem: str, *, key: str = "", value: Any = None, way_out: str = "") -> None:
        self.problem, self.key, self.value, self.way_out = problem, key, value, way_out
        subject = f"{key} = {value!r}: " if key and value is not None else f"{key}: " if key else ""
        super().__init__(f"{subject}{problem}" + (f"; {way_out}" if way_out else ""))


class ConfigError(FunnelwatchError):
    """The configuration cannot be used as it is."""

    exit_code = 2


class InputError(FunnelwatchError):
    """A file or an argument cannot be used as it is."""

    exit_code = 2


class BrokerError(FunnelwatchError):
    """The broker or its topics are not as they have to be."""

    exit_code = 3


class StateError(FunnelwatchError):
    """Stored state does not fit this program or this configuration."""

    exit_code = 4
