"""The command line: arguments and exit codes only."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from streams.errors import FunnelwatchError

__all__ = ["app", "main"]

app = typer.Typer(
    name="funnelwatch",
    help="Watch a shop's funnel: events in from Kafka, an alert out within minutes, a replay afterwards.",
    epilog="Exit codes: 0 fine, 1 failed, 2 bad argument or configuration, 3 broker or topics, 4 stored state, 130 stopped.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file; without it every key has its default.")]
BootstrapOption = Annotated[
    str | None, typer.Option("--bootstrap", help="Broker as host:port; wins over kafka.bootstrap of the file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def main() -> None:
    """Run the command line; an expected error becomes one line on standard error and its exit code."""
    try:
        app()
    except FunnelwatchError as error:
        print(f"funnelwatch: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
