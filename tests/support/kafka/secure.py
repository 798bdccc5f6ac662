"""Apache Kafka that lets nobody in without TLS or a password, and what a client needs to get in."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from streams.broker import free_port
from tests.support.kafka.native import NativeKafka

__all__ = ["GROUP", "RIGHTS", "TOPIC", "USER", "Papers", "SecureKafka"]

USER, CERTIFIED = "funnelwatch", "certified"
"""Who comes with a password, and who the client's certificate is to the broker."""

RIGHTS = {
    "source": ("Read", "Write", "DescribeConfigs", "Create"),
    "own": ("Read", "Write", "DescribeConfigs", "Create"),
    "group": ("Read",),
}
"""What docs/security.md says that a user needs who runs every command."""

OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "DescribeConfigs": 10}
TOPIC, GROUP, LITERAL, ALLOW = 2, 3, 3, 3
LISTENERS = {"SASL": "SASL_PLAINTEXT", "SASLTLS": "SASL_SSL", "MUTUAL": "SSL"}
MECHANISMS = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";'
TLS = """
listener.name.{name}.ssl.keystore.type=PEM
listener.name.{name}.ssl.keystore.location={broker}
listener.name.{name}.ssl.truststore.type=PEM
listener.name.{name}.ssl.truststore.location={ca}
listener.name.{name}.ssl.client.auth={auth}
"""


class Papers:
    """A CA, the broker's certificate, the client's, and those of a CA that nobody knows; PEM files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ours, foreign = trustme.CA(), trustme.CA()
        self.ca, self.foreign_ca = self._write("ca.pem", _ca(ours)), self._write("foreign-ca.pem", _ca(foreign))
        broker = ours.issue_cert("127.0.0.1")
        self.broker = self._write("broker.pem", pem_key(broker) + _certificates(broker))
        client, stranger = ours.issue_cert("client.example"), foreign.issue_cert("client.example")
        self.certificate, self.key = self._pair("client", client)
        self.foreign_certificate, self.foreign_key = self._pair("stranger", stranger)
        self.key_password = secrets.token_hex(8)
        self.locked_key = self._write("locked.key", pem_key(client, self.key_password))

    def _pair(self, name: str, issued: trustme.LeafCert) -> tuple[Path, Path]:
        return self._write(f"{name}.pem", _certificates(issued)), self._write(f"{name}.key", pem_key(issued))

    def _write(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        return path


class SecureKafka:
    """One broker with a listener of each kind; ``setup`` is a plain one for what a test itself has to look at."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="funnelwatch-papers-")
        self.papers = Papers(Path(self._folder.name))
        self.password = f"{secrets.token_hex(8)} /é%"
        places = {name: f"127.0.0.1:{free_port()}" for name in ("PLAINTEXT", "CONTROLLER", *LISTENERS)}
        self.setup = places["PLAINTEXT"]
        """Address of the listener that asks for nothing."""
        self.addresses = {protocol: places[name] for name, protocol in LISTENERS.items()}
        port = int(self.setup.rpartition(":")[2])
        self._broker = NativeKafka(port, self._properties(places), self._scram())

    def __enter__(self) -> Self:
        self._broker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._broker.close()
        self._folder.cleanup()

    def told(self, protocol: str, **changed: Any) -> dict[str, Any]:
        """Keys of ``[kafka]`` that get in by this protocol, with changes; the password is not among them."""
        told: dict[str, Any] = {"bootstrap": self.addresses[protocol], "security_protocol": protocol}
        if protocol.startswith("SASL"):
            told |= {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": USER}
        if protocol.endswith("SSL"):
            told["ssl_cafile"] = str(self.papers.ca)
        if protocol == "SSL":
            told |= {"ssl_certfile": str(self.papers.certificate), "ssl_keyfile": str(self.papers.key)}
        return told | {key: str(value) if isinstance(value, Path) else value for key, value in changed.items()}

    def grant(self, resource: int, names: Iterable[str], operations: Iterable[str]) -> None:
        """Give both users these rights on topics or groups of these names."""

        async def create() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.setup)
            await admin.start()
            try:
                for name, user, operation in itertools.product(names, (USER, CERTIFIED), operations):
                    right = OPERATIONS[operation]
                    request = CreateAclsRequest(resource, name, LITERAL, f"User:{user}", "*", right, ALLOW)
                    answer = await admin._send_request(request)
                    assert all(code == 0 for code, _ in answer.creation_responses), answer
            finally:
                await admin.close()

        asyncio.run(create())

    def rekey(self, password: str) -> None:
        """Give the user another password for SCRAM; connections that were made with the one before stay."""
        change = ["--alter", "--add-config", f"SCRAM-SHA-512=[password={password}]"]
        user = ["--entity-type", "users", "--entity-name", USER]
        code = self._broker.run("kafka.admin.ConfigCommand", "--bootstrap-server", self.setup, *change, *user)
        assert code == 0, "the password was not changed"

    def restart(self) -> None:
        """End all connections, and let new ones in."""
        self._broker.stop()
        self._broker.start()

    def _scram(self) -> list[str]:
        return [
            part
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for part in ("--add-scram", f'{mechanism}=[name={USER},password="{self.password}"]')
        ]

    def _properties(self, places: dict[str, str]) -> str:
        open_to_clients = ",".join(f"{name}://{place}" for name, place in places.items() if name != "CONTROLLER")
        kinds = ",".join(f"{name}:{LISTENERS.get(name, 'PLAINTEXT')}" for name in places)
        text = f"""
listeners={open_to_clients},CONTROLLER://{places["CONTROLLER"]}
advertised.listeners={open_to_clients}
controller.quorum.voters=1@{places["CONTROLLER"]}
listener.security.protocol.map={kinds}
inter.broker.listener.name=PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
listener.name.mutual.ssl.principal.mapping.rules=RULE:^.*$/{CERTIFIED}/
sasl.enabled.mechanisms={MECHANISMS}
"""
        for name in ("sasl", "sasltls"):
            for mechanism in ("scram-sha-256", "scram-sha-512"):
                text += f"listener.name.{name}.{mechanism}.sasl.jaas.config={SCRAM}\n"
            # Java reads properties as Latin-1; escapes of JSON are its own.
            plain_user = PLAIN.format(user=USER, password=json.dumps(self.password)[1:-1])
            text += f"listener.name.{name}.plain.sasl.jaas.config={plain_user}\n"
        for name, auth in (("sasltls", "none"), ("mutual", "required")):
            text += TLS.format(name=name, broker=self.papers.broker, ca=self.papers.ca, auth=auth)
        return text


def pem_key(issued: trustme.LeafCert, password: str = "") -> bytes:
    """The key in PKCS #8, which is what Kafka reads."""
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    lock = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


def _certificates(issued: trustme.LeafCert) -> bytes:
    return b"".join(one.bytes() for one in issued.cert_chain_pems)


def _ca(authority: trustme.CA) -> bytes:
    return authority.cert_pem.bytes()
