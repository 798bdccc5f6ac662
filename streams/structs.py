"""What makes attributes of structs as quick to set as they are to read."""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = ["plainly_stored"]

Some = TypeVar("Some", bound=type[msgspec.Struct])


def plainly_stored(struct: Some) -> Some:
    """Let the interpreter store attributes of a struct as those of any class with slots; a decorator.

    A struct stores them by a function of its own, for which the interpreter has no short way: five times as slow. All
    that it does beyond storing is to guard frozen structs and those that the garbage collector follows, so this is for
    others alone. It goes by class: a subclass needs it again.

    >>> @plainly_stored
    ... class Point(msgspec.Struct, gc=False):
    ...     x: int = 0
    >>> point = Point()
    >>> point.x = 3
    >>> point
    Point(x=3)
    """
    config = struct.__struct_config__
    assert not config.frozen, struct
    assert config.gc is False, struct
    # The two share one entry in the type, which is object's only if both are; set in the class body they are overruled.
    for name in ("__setattr__", "__delattr__"):
        setattr(struct, name, getattr(object, name))
    return struct
