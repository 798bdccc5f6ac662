"""The command: a request becomes a file or records on the topics that the configuration watches."""

from __future__ import annotations

import pytest

from streams.config import Config
from streams.errors import InputError
from streams.simulate import Shop
from streams.simulate.command import SimulateRequest, run_simulation, shop_spec

NOON_MS = 1_772_337_600_000
CONFIG = Config.model_validate(
    {
        "shop": {"timezone": "Asia/Shanghai", "currency": "USD"},
        "source": [{"topic": "web"}, {"topic": "tills"}],
    }
)


def test_a_file_is_written_from_the_moment_on_the_clock_of_the_shop(tmp_path):
    request = SimulateRequest(
        config=CONFIG,
        out=tmp_path / "day.jsonl",
        rate=30,
        start="2026-03-01T12:00",
        length_ms=120_000,
        incidents=("bots@+1m/30s",),
    )
    told = run_simulation(request)
    assert told["start_ms"] == NOON_MS
    assert told["records"] == len((tmp_path / "day.jsonl").read_bytes().splitlines())
    assert told["incidents"][0]["start_ms"] == NOON_MS + 60_000
    assert (tmp_path / "day.labels.json").exists()


def test_the_shop_speaks_to_the_topics_of_the_configuration_in_its_currency():
    spec = shop_spec(SimulateRequest(config=CONFIG), NOON_MS)
    records = list(Shop(spec).events(NOON_MS, NOON_MS + 60_000))
    assert {record.topic for record in records} == {"web", "tills"}
    assert any(b'"currency":"USD"' in record.value for record in records)


def test_without_a_start_the_span_ends_now(tmp_path):
    told = run_simulation(SimulateRequest(config=CONFIG, out=tmp_path / "hour.jsonl", rate=1, length_ms=60_000))
    assert told["end_ms"] - told["start_ms"] == 60_000


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"follow": True}, "--follow"),
        ({"start": "noon"}, "--start"),
        ({"start": "1960-01-01T00:00Z"}, "--start"),
        ({"incidents": ("bots",)}, "incident"),
    ],
)
def test_a_request_that_cannot_be_met_names_the_option(tmp_path, change, word):
    with pytest.raises(InputError, match=word):
        run_simulation(SimulateRequest(**{"config": CONFIG, "out": tmp_path / "x.jsonl", **change}))


def test_a_source_of_another_format_is_not_written_to():
    config = Config.model_validate({"source": [{"topic": "web", "format": "ga4"}]})
    with pytest.raises(InputError, match="ga4"):
        run_simulation(SimulateRequest(config=config))
