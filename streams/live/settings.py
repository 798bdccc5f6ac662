"""What a live worker is told: the broker, the topics, the specs, its intervals and limits; frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.engine.chain import Pace
from streams.engine.spec import DAY_MS, EngineSpec
from streams.live.snapshots import PIECE_BYTES
from streams.monitor import MonitorSpec

__all__ = ["LiveSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """Settings of one worker; durations are in the unit that the name says.

    Parameters
    ----------
    engine, monitor
        What is computed and how it is judged.
    bootstrap
        ``host:port`` of brokers, several separated by commas.
    security
        aiokafka's security arguments (``security_protocol``, ``sasl_mechanism``, ``sasl_plain_username``,
        ``sasl_plain_password``, ``ssl_context``); they go to every client, Faust's included.
    app_id
        The consumer group; the name of the shop.
    partitions, replication
        Of the topics that funnelwatch creates.
    review_horizon_ms
        How far back records must be kept, for ``check`` and for what the judge learns from.
    dead_letter_bytes
        Bytes of the original record kept in a dead letter; 0 keeps coordinates and reason alone.
    snapshot_bytes_per_second
        What snapshots may write on average; large states are saved less often. A broker that keeps everything in
        memory and compacts nothing needs a small number.
    snapshot_piece_bytes
        A snapshot is written in records of at most this size, well below what brokers and clients take.
    snapshot_pace
        How much that did not change goes into each snapshot, and how many snapshots a restore may need.
    judge_history_ms
        How far back a new judge reads: the shape of a week is learnt from two of them.
    republish_ms
        A worker that becomes the judge publishes again what it judges of this last stretch.
    rebuild
        Do not use the stored snapshots: compute everything again from the first kept record.
    """

    engine: EngineSpec = field(default_factory=EngineSpec)
    monitor: MonitorSpec = field(default_factory=MonitorSpec)
    bootstrap: str = "127.0.0.1:9092"
    security: Mapping[str, Any] = field(default_factory=dict, repr=False)
    app_id: str = "shop"
    kpi_topic: str = "funnelwatch.kpi"
    anomalies_topic: str = "funnelwatch.anomalies"
    dead_letter_topic: str = "funnelwatch.dead-letter"
    snapshots_topic: str = "funnelwatch.snapshots"
    calendar_topic: str = "funnelwatch.calendar"
    partitions: int = 4
    replication: int = 1
    review_horizon_ms: int = 7 * DAY_MS
    merge_wait_ms: int = 10_000
    judge_history_ms: int = 15 * DAY_MS
    republish_ms: int = 900_000
    dead_letter_bytes: int = 65_536
    session_timeout_seconds: float = 10.0
    checkpoint_seconds: float = 5.0
    snapshot_bytes_per_second: int = 4 << 20
    snapshot_piece_bytes: int = PIECE_BYTES
    snapshot_pace: Pace = field(default_factory=Pace)
    max_poll_records: int = 1_000
    stuck_seconds: float = 60.0
    stop_seconds: float = 15.0
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9464
    max_series: int = 20_000
    rebuild: bool = False

    @property
    def source_topics(self) -> tuple[str, ...]:
        """Names of the source topics, in the order of the configuration."""
        return tuple(source.topic for source in self.engine.sources)

    @property
    def client_args(self) -> dict[str, Any]:
        """Arguments for any aiokafka client."""
        return {**self.security, "bootstrap_servers": self.bootstrap}
