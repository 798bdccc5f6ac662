"""Judges of KPI windows: a leaf that knows River and numpy, and nothing of streams."""
