"""The configuration file: defaults, durations, refusals that name the key and the way out."""

import ssl
from pathlib import Path

import orjson
import pytest

from streams.config import Config, load_config
from streams.config_example import PATH, example_toml
from streams.config_sections import Kafka
from streams.durations import format_duration, parse_duration
from streams.engine.spec import EngineSpec
from streams.errors import ConfigError
from streams.monitor import Monitor
from tests.support.kafka.secure import Papers


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


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def kafka_of(tmp_path: Path, **keys: object) -> Kafka:
    text = "".join(f"{key} = {orjson.dumps(value, default=str).decode()}\n" for key, value in keys.items())
    return load_config(written(tmp_path, f"[kafka]\n{text}")).kafka


def test_sasl_without_a_password_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUNNELWATCH_KAFKA_SASL_PASSWORD", raising=False)
    kafka = kafka_of(tmp_path, security_protocol="SASL_PLAINTEXT", sasl_username="u")
    with pytest.raises(ConfigError, match="sasl_password_file"):
        kafka.security()
    monkeypatch.setenv("FUNNELWATCH_KAFKA_SASL_PASSWORD", "secret-7")
    assert kafka.security()["sasl_plain_password"] == "secret-7"
    assert "secret-7" not in repr(kafka)


def test_the_password_comes_from_its_file_without_the_end_of_the_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("se cret-7\n", encoding="utf-8")
    kafka = kafka_of(tmp_path, security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password_file=file)
    assert kafka.security()["sasl_plain_password"] == "se cret-7"


def test_a_password_file_that_is_no_text_is_refused_without_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"secret-7\xff")
    kafka = kafka_of(tmp_path, security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password_file=file)
    with pytest.raises(ConfigError, match="is no UTF-8 text") as refused:
        kafka.security()
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_password_written_into_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sasl_password_file") as refused:
        kafka_of(tmp_path, sasl_password="secret-7")
    assert "secret-7" not in str(refused.value)


@pytest.mark.parametrize(
    ("protocol", "key"),
    [
        ("PLAINTEXT", "sasl_username"),
        ("SSL", "sasl_password_file"),
        ("PLAINTEXT", "ssl_cafile"),
        ("SASL_PLAINTEXT", "ssl_certfile"),
    ],
)
def test_what_the_protocol_would_pass_over_is_refused(tmp_path: Path, protocol: str, key: str) -> None:
    with pytest.raises(ConfigError, match=f"kafka.{key} = 'x': is not used by kafka.security_protocol = {protocol}"):
        kafka_of(tmp_path, security_protocol=protocol, **{key: "x"}).security()


def test_tls_verifies_the_certificate_and_its_host_until_told_otherwise(tmp_path: Path, papers: Papers) -> None:
    context = kafka_of(tmp_path, security_protocol="SSL", ssl_cafile=papers.ca).security()["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert [dict(pair[0] for pair in one["subject"])["organizationName"] for one in context.get_ca_certs()]
    kafka = kafka_of(tmp_path, security_protocol="SSL", ssl_cafile=papers.ca, ssl_check_hostname=False)
    context = kafka.security()["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)


def test_a_certificate_may_hold_its_key(tmp_path: Path, papers: Papers) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(papers.certificate.read_bytes() + papers.key.read_bytes())
    assert "ssl_context" in kafka_of(tmp_path, security_protocol="SSL", ssl_certfile=both).security()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"ssl_cafile": "none.pem"}, "kafka.ssl_cafile = 'none.pem': cannot be read: No such file"),
        ({"ssl_cafile": "key"}, "kafka.ssl_cafile = "),
        ({"ssl_keyfile": "key"}, "is the key of no certificate"),
        ({"ssl_certfile": "certificate", "ssl_keyfile": "none.key"}, "kafka.ssl_keyfile = 'none.key': cannot be read"),
        ({"ssl_certfile": "certificate", "ssl_keyfile": "foreign_key"}, "does not belong to its key"),
        ({"ssl_certfile": "certificate", "ssl_keyfile": "locked_key"}, "is encrypted; set kafka.ssl_key_password_file"),
    ],
)
def test_a_file_of_tls_that_cannot_be_used_is_named(
    tmp_path: Path, papers: Papers, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], said: str
) -> None:
    monkeypatch.delenv("FUNNELWATCH_KAFKA_SSL_KEY_PASSWORD", raising=False)
    kafka = kafka_of(
        tmp_path, security_protocol="SSL", **{key: getattr(papers, value, value) for key, value in keys.items()}
    )
    with pytest.raises(ConfigError) as refused:
        kafka.security()
    assert said in str(refused.value)
    assert refused.value.way_out


def test_an_encrypted_key_takes_its_password_from_the_environment_and_refuses_a_wrong_one(
    tmp_path: Path, papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"ssl_certfile": papers.certificate, "ssl_keyfile": papers.locked_key}
    kafka = kafka_of(tmp_path, security_protocol="SSL", **keys)
    monkeypatch.setenv("FUNNELWATCH_KAFKA_SSL_KEY_PASSWORD", papers.key_password)
    assert "ssl_context" in kafka.security()
    monkeypatch.setenv("FUNNELWATCH_KAFKA_SSL_KEY_PASSWORD", "wrong-7")
    with pytest.raises(ConfigError, match="cannot be used") as refused:
        kafka.security()
    assert "wrong-7" not in str(refused.value)


def test_a_kpi_is_given_to_a_detector_by_name(tmp_path: Path) -> None:
    text = '[detection]\ndetectors = [{kpi = "payment_success_ratio", name = "river.gaussian"}]'
    spec = load_config(written(tmp_path, text)).monitor_spec()
    assert spec.detectors == (("payment_success_ratio", "river.gaussian"),)
    assert Monitor(spec).spec.detectors == spec.detectors


def test_an_unknown_detector_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    path = written(tmp_path, '[detection]\ndetectors = [{kpi = "orders", name = "river.gausian"}]')
    with pytest.raises(ConfigError, match=r"detection\.detectors.*river\.gaussian.*threshold"):
        load_config(path)


@pytest.mark.parametrize("kpi", ["no_such_ratio", "paid_traffic_ratio", "refund_ratio"])
def test_a_kpi_that_is_not_judged_is_refused_with_those_that_are(tmp_path: Path, kpi: str) -> None:
    path = written(tmp_path, f'[detection]\ndetectors = [{{kpi = "{kpi}", name = "threshold"}}]')
    with pytest.raises(ConfigError, match=rf"detection\.detectors.*{kpi}.*payment_success_ratio"):
        load_config(path).monitor_spec()
