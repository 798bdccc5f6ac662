"""Where the demonstration shows itself: a live table, or a line now and then."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live

from streams.demo.screen import Screen, line_of
from streams.demo.state import Picture

__all__ = ["Display", "Lines", "TableDisplay"]

LINE_EVERY_MS = 5_000


class Display(Protocol):
    """Something that shows a picture, for the length of a ``with`` block."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, picture: Picture, now_ms: int, commands: Sequence[tuple[str, str]]) -> None:
        """Show the picture as it is at this moment."""


class TableDisplay:
    """The live table, on a screen of its own that leaves the terminal as it was."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, screen=True, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, picture: Picture, now_ms: int, commands: Sequence[tuple[str, str]]) -> None:
        """Draw the table again."""
        self._live.update(Screen(picture, now_ms, commands), refresh=True)


class Lines:
    """A line every few seconds and whenever the phase changes, for pipes, files and unattended runs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._phase, self._next_ms = stream, "", 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()

    def show(self, picture: Picture, now_ms: int, commands: Sequence[tuple[str, str]]) -> None:
        """Write a line where something is new."""
        if picture.phase.split(":")[0] == self._phase and now_ms < self._next_ms:
            return
        self._phase, self._next_ms = picture.phase.split(":")[0], now_ms + LINE_EVERY_MS
        print(line_of(picture, now_ms), file=self._stream, flush=True)
