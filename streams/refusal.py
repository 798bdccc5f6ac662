"""Why no client gets in: the bootstrap addresses are tried once more, and what comes back is told in words."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

__all__ = ["Refusal", "why_refused"]

PROBE_SECONDS = 5.0
HOST_MISMATCH, ADDRESS_MISMATCH, EXPIRED = 62, 64, 10
"""OpenSSL's codes of a verification."""

NOT_OURS = ("ALERT_CERTIFICATE", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_UNSUPPORTED_CERTIFICATE")
"""Alerts by which a broker says that it does not like the certificate of the client, or its absence."""

_PROTOCOL = "set kafka.security_protocol to what this listener of the broker speaks"
_CLIENT_CERTIFICATE = (
    "name a certificate that the broker's truststore accepts in kafka.ssl_certfile, and kafka.ssl_keyfile"
)


class Refusal(NamedTuple):
    """What a broker objects to, and what to do about it."""

    problem: str
    way_out: str
    is_spoken: bool = True
    """Whether somebody objects in words; a door that is shut may be opened again."""


def why_refused(client_args: Mapping[str, Any]) -> Refusal | None:
    """Try each bootstrap address once, for 5 s at most; None where nothing listens or where one lets us in.

    Parameters
    ----------
    client_args
        Arguments of the aiokafka client: ``bootstrap_servers`` and security.
    """
    # A thread of its own: this is asked for in the middle of an event loop, and on the way out.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _ask(client_args)).result()


async def _ask(client_args: Mapping[str, Any]) -> Refusal | None:
    addresses = [one.strip().rpartition(":") for one in str(client_args["bootstrap_servers"]).split(",")]
    security = {key: value for key, value in client_args.items() if key.startswith(("security_", "sasl_", "ssl_"))}
    told: Refusal | None = None
    for host, _, port in addresses:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                connection = await create_conn(host, int(port), request_timeout_ms=60_000, **security)
                try:
                    await connection.send(MetadataRequest([]))
                finally:
                    connection.close()
        except Exception as error:
            told = told or explain(error, security)
        else:
            return None
    return told


def explain(error: BaseException, security: Mapping[str, Any]) -> Refusal | None:
    """The words for what a connection has failed with; None where nobody has answered at all.

    >>> explain(ConnectionRefusedError(111, "refused"), {}) is None
    True
    >>> explain(SaslAuthenticationFailed("no"), {"sasl_plain_username": "shop", "sasl_mechanism": "PLAIN"}).problem
    "the broker knows no user 'shop' with this password for PLAIN"
    """
    protocol, mechanism = security.get("security_protocol", "PLAINTEXT"), security.get("sasl_mechanism")
    for one in _chain(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return _unverified(one)
        if isinstance(one, ssl.SSLError):
            return _alerted(one)
        if isinstance(one, SaslAuthenticationFailed):
            return Refusal(
                f"the broker knows no user {security.get('sasl_plain_username')!r} with this password for {mechanism}",
                "correct kafka.sasl_username, the password or kafka.sasl_mechanism, or create the user",
            )
        if isinstance(one, UnsupportedSaslMechanismError):
            return Refusal(
                f"this listener does not offer the mechanism {mechanism}",
                "set kafka.sasl_mechanism to one of its sasl.enabled.mechanisms",
            )
        if isinstance(one, IllegalSaslStateError):
            return Refusal("this listener asks for no user and password", _PROTOCOL)
    if isinstance(error, KafkaConnectionError | TimeoutError | ConnectionResetError | asyncio.IncompleteReadError):
        silent = "does not answer" if isinstance(error, TimeoutError) else "ends the connection"
        hint = f", or {_CLIENT_CERTIFICATE}" if protocol == "SSL" else ""
        return Refusal(f"something listens there but {silent} when spoken to in {protocol}", _PROTOCOL + hint, False)
    return None


def _unverified(error: ssl.SSLCertVerificationError) -> Refusal:
    if error.verify_code in (HOST_MISMATCH, ADDRESS_MISMATCH):
        return Refusal(
            f"the broker's certificate does not name this host ({error.verify_message})",
            "use a name that is in the certificate, or set kafka.ssl_check_hostname = false",
        )
    if error.verify_code == EXPIRED:
        return Refusal("the broker's certificate has expired", "renew the certificate of the broker")
    return Refusal(
        f"the broker's certificate is of no CA that is trusted here ({error.verify_message})",
        "name the PEM file of its CA in kafka.ssl_cafile",
    )


def _alerted(error: ssl.SSLError) -> Refusal:
    reason = error.reason or str(error)
    if any(name in reason for name in NOT_OURS):
        problem = f"the broker wants a client certificate that it trusts ({reason})"
        return Refusal(problem, _CLIENT_CERTIFICATE)
    return Refusal(f"no TLS connection comes about ({reason})", _PROTOCOL, False)


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
