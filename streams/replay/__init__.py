"""The same engine over a file or a topic range, for incident review."""
