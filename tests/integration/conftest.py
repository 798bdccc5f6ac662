"""One broker of each kind for all integration tests; every test has topics of its own."""

import uuid
from collections.abc import Iterator

import pytest

from tests.support.brokers import BROKERS, running_broker


@pytest.fixture(scope="session", params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Iterator[str]:
    with running_broker(request.param) as bootstrap:
        yield bootstrap


@pytest.fixture
def name() -> str:
    return f"t{uuid.uuid4().hex[:8]}"
