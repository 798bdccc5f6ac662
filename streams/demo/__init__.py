"""One command that shows the whole chain on an embedded broker."""

from streams.demo.options import DemoOptions
from streams.demo.run import run_demo

__all__ = ["DemoOptions", "run_demo"]
