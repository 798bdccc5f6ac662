"""Security reaches Faust, and limited logs tell what they kept back."""

import logging
import ssl

import faust
import pytest

from streams.errors import ConfigError
from streams.live.app import credentials
from streams.live.logs import OncePerMinute

SASL = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": "shop", "sasl_plain_password": "secret"}


def test_without_security_there_are_no_credentials() -> None:
    assert credentials({}) is None


def test_tls_passes_its_context() -> None:
    context = ssl.create_default_context()
    told = credentials({"security_protocol": "SSL", "ssl_context": context})
    assert isinstance(told, faust.SSLCredentials)
    assert told.context is context


@pytest.mark.parametrize(("protocol", "tls"), [("SASL_PLAINTEXT", False), ("SASL_SSL", True)])
def test_sasl_passes_user_password_and_mechanism(protocol: str, tls: bool) -> None:
    context = ssl.create_default_context()
    told = credentials({"security_protocol": protocol, "ssl_context": context} | SASL)
    assert isinstance(told, faust.SASLCredentials)
    assert (told.username, told.password, told.mechanism.value) == ("shop", "secret", "SCRAM-SHA-512")
    assert told.protocol.value == protocol
    assert (told.ssl_context is context) is tls
    assert "secret" not in repr(told)


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(ConfigError, match="KERBEROS"):
        credentials({"security_protocol": "KERBEROS"})


def test_a_repeated_line_is_written_once_a_minute_with_the_number_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("streams.live.logs.time.monotonic", lambda: now)
    limited = OncePerMinute()

    def passes() -> str | None:
        record = logging.LogRecord("aiokafka", logging.ERROR, "", 0, "node %d is gone", (1,), None)
        return record.getMessage() if limited.filter(record) else None

    assert passes() == "node 1 is gone"
    assert passes() is None
    now = 159.9
    assert passes() is None
    now = 160.0
    assert passes() == "node 1 is gone (and 2 more in the last minute)"
