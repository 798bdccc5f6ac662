"""One command that shows the whole chain on an embedded broker."""
