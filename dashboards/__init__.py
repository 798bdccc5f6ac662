"""Boards, queries, recording and alert rules as code."""
