"""What the engine is told: durations, dimensions, caps; frozen, and with a fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

__all__ = ["EngineSpec", "SourceSpec"]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One source topic and the name of the format of its records (see ``streams.formats``)."""

    topic: str
    format: str = "native"


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """The meaning of the numbers; all durations are integer milliseconds of event time."""

    sources: tuple[SourceSpec, ...] = (SourceSpec("clickstream"), SourceSpec("orders"))
    window_ms: int = MINUTE_MS
    grace_ms: int = 25_000
    max_out_of_orderness_ms: int = 5_000
    max_lateness_ms: int = HOUR_MS
    max_future_ms: int = 5 * MINUTE_MS
    idle_after_ms: int = 30_000
    session_gap_ms: int = 30 * MINUTE_MS
    abandonment_timeout_ms: int = 30 * MINUTE_MS
    conversion_window_ms: int = DAY_MS
    order_memory_ms: int = DAY_MS
    cohort_horizons_ms: tuple[int, ...] = (15 * MINUTE_MS,)
    session_dimensions: tuple[str, ...] = ("channel", "device", "region", "customer_type")
    payment_dimensions: tuple[str, ...] = ("payment_method", "payment_provider")
    product_dimensions: tuple[str, ...] = ("category",)
    pairs: tuple[tuple[str, str], ...] = ()
    max_values: int = 50
    derive_event_id: Literal["content", "none"] = "content"
    max_record_bytes: int = 1 << 20
    page_view_events: tuple[str, ...] = ("page_view",)
    cube_leaves: int = 200
    """Most combinations of a window's cube, each side; 0: no cube. It changes no row."""

    salt: str = field(default="", repr=False)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything that changes the meaning of a row (not the salt, the cube or topic names).

        >>> EngineSpec().fingerprint == EngineSpec(salt="s").fingerprint
        True
        >>> EngineSpec().fingerprint == EngineSpec(grace_ms=1).fingerprint
        False
        """
        told = asdict(replace(self, salt="", sources=()))
        del told["cube_leaves"]
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
