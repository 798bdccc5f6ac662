"""Files that a command writes: checked before the work begins, so that no hour of it is lost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from streams.errors import InputError

__all__ = ["check_output", "partial_of"]


def partial_of(path: Path) -> Path:
    """Where a file is written until it is whole."""
    return path.with_name(f".{path.name}.part")


def check_output(path: Path | None, key: str, taken: Iterable[Path] = ()) -> None:
    """Raise ``InputError`` where a file cannot be written, or is one that the command reads or writes already.

    Parameters
    ----------
    path
        What is to be written; None: nothing.
    key
        The option that names it.
    taken
        Files that must stay as they are.
    """
    if path is None:
        return
    value = str(path)
    if value == "-":
        raise InputError("standard output is not for files", key=key, value=value, way_out="name a file")
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise InputError("cannot be written", key=key, value=value, way_out="name a file in a directory that exists")
    if any(path.resolve() == other.resolve() for other in taken):
        raise InputError(
            "this file is needed for something else as well", key=key, value=value, way_out="name another file"
        )
    try:
        partial_of(path).open("ab").close()
        partial_of(path).unlink()
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", key=key, value=value, way_out="name a file in a writable directory"
        ) from error
