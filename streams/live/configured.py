"""A worker's settings from the configuration file and what the command line overrides."""

from __future__ import annotations

from streams.config import Config
from streams.live.settings import LiveSettings

__all__ = ["live_settings"]


def live_settings(
    config: Config,
    *,
    bootstrap: str | None = None,
    metrics_host: str | None = None,
    metrics_port: int | None = None,
    rebuild: bool = False,
) -> LiveSettings:
    """The frozen settings; None takes what the file says.

    Raises
    ------
    ConfigError
        Where credentials are incomplete, a PEM file cannot be used, or a KPI names no counter.
    """
    live, topics = config.live, config.topics
    return LiveSettings(
        engine=config.engine_spec(),
        monitor=config.monitor_spec(),
        bootstrap=bootstrap or config.kafka.bootstrap,
        security=config.kafka.security(),
        app_id=config.shop.name,
        kpi_topic=topics.kpi,
        anomalies_topic=topics.anomalies,
        dead_letter_topic=topics.dead_letter,
        snapshots_topic=topics.snapshots,
        calendar_topic=topics.calendar,
        partitions=topics.partitions,
        replication=topics.replication_factor,
        review_horizon_ms=config.shop.review_horizon,
        merge_wait_ms=config.time.merge_wait,
        dead_letter_bytes=config.privacy.dead_letter_max_bytes if config.privacy.dead_letter_payload == "full" else 0,
        session_timeout_seconds=live.session_timeout / 1_000,
        checkpoint_seconds=live.checkpoint_interval / 1_000,
        max_poll_records=live.max_poll_records,
        stuck_seconds=live.stuck_after / 1_000,
        stop_seconds=live.stop_within / 1_000,
        snapshot_bytes_per_second=live.snapshot_bytes_per_second,
        judge_history_ms=live.judge_history,
        republish_ms=live.republish,
        metrics_host=metrics_host or config.metrics.host,
        metrics_port=config.metrics.port if metrics_port is None else metrics_port,
        max_series=config.metrics.max_series,
        rebuild=rebuild,
    )
