"""The metrics page over real sockets."""

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from streams.errors import ConfigError
from streams.telemetry.server import MetricsServer
from streams.telemetry.view import View
from tests.support.prometheus import busy_view


@pytest.fixture
def server() -> Iterator[tuple[View, MetricsServer]]:
    view = busy_view()
    with MetricsServer(view, port=0) as running:
        yield view, running


def get(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_the_page_is_read_in_the_format_that_is_asked_for(server: tuple[View, MetricsServer]) -> None:
    _, running = server
    status, body, headers = get(f"{running.url}/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert b"funnel_kpi_value{" in body
    _, body, headers = get(f"{running.url}/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_a_newer_prometheus_that_takes_names_in_utf8_gets_a_type_it_knows(server: tuple[View, MetricsServer]) -> None:
    accept = (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2"
    )
    _, body, headers = get(f"{server[1].url}/metrics", Accept=accept)
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert b"\nfunnel_records_total 200.0\n" in body


def test_no_series_says_when_it_was_created(server: tuple[View, MetricsServer]) -> None:
    _, running = server
    assert b"_created" not in get(f"{running.url}/metrics", Accept="application/openmetrics-text; version=1.0.0")[1]


def test_a_client_that_takes_gzip_gets_it(server: tuple[View, MetricsServer]) -> None:
    _, running = server
    _, body, headers = get(f"{running.url}/metrics", **{"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"
    assert b"funnel_records_total" in gzip.decompress(body)


def test_ready_only_while_ready_and_healthy(server: tuple[View, MetricsServer]) -> None:
    view, running = server
    assert get(f"{running.url}/readyz")[0] == 200
    view.starting()
    assert get(f"{running.url}/readyz")[0] == 503
    assert get(f"{running.url}/healthz")[0] == 200
    view.ready()
    view.health("no batch finished for 61 s")
    assert get(f"{running.url}/readyz")[0] == 503
    status, body, _ = get(f"{running.url}/healthz")
    assert status == 503
    assert json.loads(body) == {"phase": "ready", "problem": "no batch finished for 61 s", "worker": "w-1"}
    view.health(None)
    assert get(f"{running.url}/healthz")[0] == 200


def test_another_path_says_what_is_here(server: tuple[View, MetricsServer]) -> None:
    status, body, _ = get(f"{server[1].url}/")
    assert status == 404
    assert b"/metrics" in body


def test_the_port_is_free_again_after_the_stop() -> None:
    first = MetricsServer(View(), port=0).start()
    port = first.port
    first.stop()
    first.stop()
    with MetricsServer(View(), port=port) as second:
        assert get(f"{second.url}/healthz")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
def test_an_address_that_cannot_be_bound_is_a_clear_error(server: tuple[View, MetricsServer], host: str) -> None:
    taken = server[1].port
    with pytest.raises(ConfigError, match=rf"metrics = '{host}:{taken}': cannot be bound.*free port"):
        MetricsServer(View(), host=host, port=taken).start()
