"""Where alerts point to: the one place to change when boards or runbooks are served elsewhere."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FUNNEL_BOARD", "HEALTH_BOARD", "Links"]

FUNNEL_BOARD = "funnelwatch-funnel"
HEALTH_BOARD = "funnelwatch-health"


class Links(NamedTuple):
    """Base addresses: ``runbooks`` holds ``<Alert>.md`` (by default a path in this repository), ``grafana`` the boards.

    >>> Links(grafana="https://grafana.shop.example").board(HEALTH_BOARD)
    'https://grafana.shop.example/d/funnelwatch-health'
    """

    runbooks: str = "docs/runbooks"
    grafana: str = "http://127.0.0.1:3000"

    def runbook(self, alert: str) -> str:
        """Address of the runbook of one alert."""
        return f"{self.runbooks.rstrip('/')}/{alert}.md"

    def board(self, uid: str, query: str = "") -> str:
        """Address of a board, with the values of its variables as a query string."""
        return f"{self.grafana.rstrip('/')}/d/{uid}{'?' if query else ''}{query}"
