"""The Faust application of a worker: its settings, its transport, one agent a topic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import faust
from faust.serializers import codecs
from faust.types.auth import CredentialsT

from streams.errors import ConfigError
from streams.live.settings import LiveSettings
from streams.live.transport import Hooks, install

__all__ = ["build_app", "credentials"]

BATCHES_AHEAD = 16
"""Fetches that may wait for an agent: a message is a whole fetch here, not a record."""

REQUEST_TIMEOUT_SECONDS = 40.0

METADATA_MS = 10_000
"""A worker that leads its group before it has heard of the topics gives them to nobody, and notices at the next look:
by default after five minutes."""

AS_IS = "funnelwatch-as-is"

Handler = Callable[[str, int, list[Any]], Awaitable[None]]


class _AsIs(codecs.Codec):  # type: ignore[misc]
    """The records of a fetch are no bytes to be decoded."""

    def _loads(self, s: Any) -> Any:
        return s


codecs.register(AS_IS, _AsIs())


def build_app(
    settings: LiveSettings,
    hooks: Hooks,
    handlers: Mapping[str, Handler],
    on_error: Callable[[BaseException], None],
    datadir: Path,
) -> faust.App:
    """An application that hands every fetch of these topics to their handler.

    Parameters
    ----------
    settings
        Of the worker.
    hooks
        What the transport asks of the worker.
    handlers
        By topic; called with topic, partition and records.
    on_error
        Told of an error in an agent, which Faust itself would only log.
    datadir
        A directory that Faust insists on; nothing is kept in it.
    """
    app = faust.App(
        settings.app_id,
        broker=[f"kafka://{host.strip()}" for host in settings.bootstrap.split(",")],
        broker_credentials=credentials(settings.security),
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 3,
        broker_rebalance_timeout=max(30.0, settings.session_timeout_seconds),
        broker_request_timeout=max(REQUEST_TIMEOUT_SECONDS, settings.session_timeout_seconds),
        broker_max_poll_records=settings.max_poll_records,
        consumer_max_fetch_size=2 << 20,
        consumer_metadata_max_age_ms=METADATA_MS,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        table_standby_replicas=1,  # with 0 Faust falls back to an assignor that tears a session's topics apart
        topic_disable_leader=True,
        topic_allow_declare=False,
        reply_create_topic=False,
        autodiscover=False,
        web_enabled=False,
        datadir=datadir,
        origin="streams.live",
    )
    install(app, hooks)
    for topic, handler in handlers.items():
        _add_agent(app, topic, handler, on_error)
    return app


def credentials(security: Mapping[str, Any]) -> CredentialsT | None:
    """Faust's credentials for aiokafka's security arguments.

    Raises
    ------
    ConfigError
        The protocol is none that is supported.
    """
    protocol = str(security.get("security_protocol", "PLAINTEXT"))
    context = security.get("ssl_context")
    if protocol == "PLAINTEXT":
        return None
    if protocol == "SSL":
        return faust.SSLCredentials(context)
    if protocol in ("SASL_PLAINTEXT", "SASL_SSL"):
        return faust.SASLCredentials(
            username=security.get("sasl_plain_username"),
            password=security.get("sasl_plain_password"),
            mechanism=security.get("sasl_mechanism", "PLAIN"),
            ssl_context=context if protocol == "SASL_SSL" else None,
        )
    raise ConfigError(
        "not a protocol",
        key="kafka.security_protocol",
        value=protocol,
        way_out="use PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
    )


def _add_agent(app: faust.App, topic: str, handler: Handler, on_error: Callable[[BaseException], None]) -> None:
    # No acknowledgements: what is committed follows from snapshots, never from what an agent has seen.
    channel = app.topic(topic, value_serializer=AS_IS, key_serializer="raw", acks=False, maxsize=BATCHES_AHEAD)

    async def read(stream: Any) -> None:
        try:
            async for event in stream.events():
                await handler(event.message.topic, event.message.partition, event.message.value)
        except Exception as error:
            on_error(error)
            raise

    app.agent(channel, name=f"funnelwatch.{topic}", concurrency=1)(read)
