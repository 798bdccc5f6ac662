"""A shop that can be struck while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from streams.simulate import IncidentSpec, Shop, ShopSpec, SimRecord

__all__ = ["LiveShop"]


class LiveShop:
    """A shop whose incidents are decided on the way; what was told before one starts stays true.

    Parameters
    ----------
    spec
        Of the shop; it is not told yet what will happen to it.
    """

    def __init__(self, spec: ShopSpec) -> None:
        self._shop, self._told_to_ms = Shop(spec), 0
        self._prepared: tuple[Shop, int] | None = None

    @property
    def spec(self) -> ShopSpec:
        """The shop's spec, with the incidents so far."""
        return self._shop.spec

    @property
    def shop(self) -> Shop:
        """The shop as it is now."""
        return self._shop

    def strike(self, incident: IncidentSpec) -> None:
        """Let an incident come that starts later than what was told; takes a second of work, on any thread."""
        struck, from_ms = self._shop.with_incident(incident), self._told_to_ms
        deque(struck.events(from_ms, from_ms), maxlen=0)  # works out the stories that are under way
        self._prepared = struck, from_ms

    def events(self, start_ms: int, end_ms: int) -> Iterator[SimRecord]:
        """Records appended in ``[start_ms, end_ms)``; spans follow one another."""
        if self._prepared:
            self._shop, from_ms = self._prepared
            self._prepared = None
            deque(self._shop.events(from_ms, start_ms), maxlen=0)
        yield from self._shop.events(start_ms, end_ms)
        self._told_to_ms = end_ms
