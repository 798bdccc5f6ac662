"""The configuration file: defaults, durations, refusals that name the key and the way out."""

from pathlib import Path

import pytest

from streams.config import Config, load_config
from streams.config_example import PATH, example_toml
from streams.durations import format_duration, parse_duration
from streams.engine.spec import EngineSpec
from streams.errors import ConfigError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "shop.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_every_default_is_that_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUNNELWATCH_SALT", raising=False)
    assert load_config().engine_spec() == EngineSpec()


def test_the_example_file_holds_every_key_with_its_default() -> None:
    assert PATH.read_text(encoding="utf-8") == example_toml(), "run `make generate`"
    assert load_config(PATH) == Config()
    for section, field in Config.model_fields.items():
        for key in getattr(field.annotation, "model_fields", {}):
            assert f"\n{key} = " in example_toml(), f"{section}.{key}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[time]\nwindw = "7s"', "time.windw = '7s': unknown key; did you mean \"window\"?"),
        ("[time]\nwindow = 7", "time.window = 7: write a duration with its unit"),
        ('[time]\nwindow = "7 parsecs"', "is no duration"),
        ('[time]\nwindow = "7s"', "a day is no multiple"),
        ('[time]\nwindow = "0s"', "window"),
        ("[metrics]\nport = 70001", "metrics.port = 70001"),
        ('[[source]]\ntopic = "a"\n[[source]]\ntopic = "a"', "names a topic twice"),
        ('[segments]\nsession = ["device", "device"]', "names a dimension twice"),
        ('[segments]\npairs = [["device", "device"]]', "segments.pairs"),
        ("[kafka", "is no TOML"),
    ],
)
def test_a_mistake_is_refused_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(written(tmp_path, text))
    assert said in str(refused.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match="no-such"):
        load_config("no-such.toml")


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, '[kafka]\nbootstrap = "a:1"')
    assert load_config(path).kafka.bootstrap == "a:1"
    monkeypatch.setenv("FUNNELWATCH_KAFKA_BOOTSTRAP", "b:2")
    assert load_config(path).kafka.bootstrap == "b:2"


def test_the_salt_comes_from_its_file_and_is_never_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUNNELWATCH_SALT", raising=False)
    salt = tmp_path / "salt"
    salt.write_text("pepper\n", encoding="utf-8")
    spec = load_config(written(tmp_path, f'[privacy]\nsalt_file = "{salt}"')).engine_spec()
    assert spec.salt == "pepper"
    assert "pepper" not in repr(spec)


@pytest.mark.parametrize("ms", [0, 1, 999, 1_000, 61_001, 5_400_000, 90_061_007])
def test_a_duration_reads_back(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms


def test_a_kpi_of_the_file_joins_the_catalogue(tmp_path: Path) -> None:
    text = """[[kpi]]
name = "cancel_ratio"
numerator = ["orders_cancelled"]
denominator = ["orders_placed"]
hurts = "up"
"""
    kpi = load_config(written(tmp_path, text)).monitor_spec().kpis[-1]
    assert (kpi.name, kpi.hurts, kpi.counts({"orders_cancelled": 3, "orders_placed": 7})) == (
        "cancel_ratio",
        "up",
        (3, 7),
    )


def test_a_kpi_over_an_unknown_counter_is_refused(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, '[[kpi]]\nname = "x"\nnumerator = ["orders_canceled"]'))
    with pytest.raises(ConfigError, match="orders_cancelled"):
        config.catalogue()


def test_a_note_without_an_offset_is_on_the_clock_of_the_shop(tmp_path: Path) -> None:
    text = (
        '[shop]\ntimezone = "Asia/Shanghai"\n[[note]]\nname = "sale"\n'
        "start = 2026-06-18T08:00:00\nend = 2026-06-18T02:00:00Z"
    )
    note = load_config(written(tmp_path, text)).monitor_spec().notes[0]
    assert (note.end_ms - note.start_ms, note.start_ms % 86_400_000) == (2 * 3_600_000, 0)


def test_sasl_without_a_password_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUNNELWATCH_KAFKA_SASL_PASSWORD", raising=False)
    kafka = load_config(written(tmp_path, '[kafka]\nsecurity_protocol = "SASL_PLAINTEXT"\nsasl_username = "u"')).kafka
    with pytest.raises(ConfigError, match="sasl_password_file"):
        kafka.security()
    monkeypatch.setenv("FUNNELWATCH_KAFKA_SASL_PASSWORD", "secret-7")
    assert kafka.security()["sasl_plain_password"] == "secret-7"
    assert "secret-7" not in repr(kafka)
