"""The same engine and judge over a file or a range of topics, for review; nothing live is touched."""

from streams.replay.driver import Driver, Listener, replay_values
from streams.replay.options import ReplayOptions
from streams.replay.review import Replayed
from streams.replay.run import replay_file, replay_topics

__all__ = ["Driver", "Listener", "ReplayOptions", "Replayed", "replay_file", "replay_topics", "replay_values"]
