"""A secret that came in by any way comes out by none."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from io import StringIO
from pathlib import Path

import msgspec
import pytest

from maskwatch.config.addresses import stream_url
from maskwatch.config.json_schema import json_schema
from maskwatch.config.load import check_config, load
from maskwatch.config.schema import Config, LogConfig, LogFormat
from maskwatch.config.summary import summary
from maskwatch.ipc.messages import Configure
from maskwatch.secrets import redact
from maskwatch.telemetry.logs import setup

CANARY = "c4nary/pass@word#'\"\\?"
ENCODED = "c4nary%2Fpass%40word%23%27%22%5C%3F"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration into which the canary came by environment, file, credential and literally."""
    (tmp_path / "secret").write_text(f"{CANARY}\n")
    (tmp_path / "mqtt").write_text(CANARY)
    path = tmp_path / "c.yaml"
    path.write_text(
        f"""\
cameras:
  - {{name: a, url: "rtsp://u:${{PW}}@h/a", substream: "rtsp://u:{ENCODED}@h/b"}}
  - {{name: b, url: rtsp://h/b, username: u, password: "file:secret"}}
mqtt: {{username: m, password: "credential:mqtt"}}
links: {{enabled: true, key: "a long key of thirty-two letters ${{PW}}"}}
"""
    )
    return load(path, environ={"PW": CANARY}, credentials_dir=tmp_path)


def _assert_clean(text: str) -> None:
    assert "c4nary" not in text, text


def test_the_secrets_are_in_the_configuration(config: Config) -> None:
    assert config.mqtt.password.reveal() == CANARY
    assert CANARY in config.links.key.reveal()
    assert config.cameras[1].password.reveal() == CANARY
    assert ENCODED in stream_url(config.cameras[1]).reveal()
    assert ENCODED in config.cameras[0].url.reveal()


def test_no_representation_shows_them(config: Config) -> None:
    message = Configure(config=config, recorder="/run/r.sock")
    for thing in (
        config,
        config.mqtt,
        config.links,
        config.cameras,
        message,
        *map(stream_url, config.cameras),
    ):
        for text in (repr(thing), str(thing), f"{thing}", f"{thing!r:>5}", "%s" % (thing,)):  # noqa: UP031 - every way
            _assert_clean(text)
    _assert_clean(summary(config))


def test_no_encoder_writes_them_without_the_hook(config: Config) -> None:
    for encode in (msgspec.json.encode, msgspec.msgpack.encode, json.dumps, msgspec.to_builtins):
        with pytest.raises(TypeError) as caught:
            encode(config.mqtt.password)
        _assert_clean(str(caught.value))


def test_a_secret_is_not_pickled(config: Config) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(config.mqtt.password)


@pytest.mark.parametrize(
    "key",
    [
        "node: ' ${PW}'",
        "model: models/${PW}.json",
        "data_dir: ${PW}/x",
        "runtime_dir: /run/${PW}/${LONG}",
        "mqtt: {host: '${PW}/x'}",
        "mqtt: {tls: true, ca_file: '${PW}'}",
        "mqtt: {topic_prefix: '/${PW}'}",
        "metrics: {port: '${PW}'}",
        "log: {level: '${PW}'}",
        "people: [{name: p, cameras: ['${PW}']}]",
        "people: [{name: p, title: '{${PW}}'}]",
    ],
)
def test_a_secret_that_was_named_in_the_wrong_place_is_not_repeated(tmp_path: Path, key: str) -> None:
    path = tmp_path / "c.yaml"
    camera = "cameras: [{name: a, url: rtsp://h/s, time_zone: '${PW}'}, {name: '${PW}', url: /${PW}}]"
    path.write_text(f"{camera}\n{key}\n")
    environ = {"PW": "c4nary", "LONG": "x" * 100}
    found = check_config(path, environ=environ)
    assert found.problems
    _assert_clean("\n".join(map(str, found.problems + found.warnings)))
    path.write_text("cameras: [{name: a, url: '/${PW}.mp4'}]\n")
    (warning,) = check_config(path, environ=environ).warnings
    assert warning.message == "there is no file /${PW}.mp4 now"


def _fail(message: str) -> None:
    raise OSError(message)


@pytest.mark.parametrize("form", list(LogFormat))
@pytest.mark.usefixtures("fresh_logging")
def test_no_log_line_shows_them_in_any_form(config: Config, form: LogFormat) -> None:
    out = StringIO()
    setup(LogConfig(format=form, level="debug"), "worker", "a", stream=out)
    logger = logging.getLogger("maskwatch.test")
    url = config.cameras[0].url.reveal()
    logger.info("config %s", config)
    logger.info("raw %s %r", CANARY, CANARY)
    logger.info("open %s", url, extra={"url": url, "why": CANARY})
    logger.info("as JSON " + json.dumps({"pw": CANARY}))  # noqa: G003 - as a careless library does
    try:
        _fail(f"cannot open {url}: {CANARY!r}")
    except OSError:
        logger.exception("failed")
        logging.getLogger("libav.rtsp").warning("401 for %s", url, stack_info=True)
    assert len(out.getvalue().splitlines()) == 6
    _assert_clean(out.getvalue())


def test_ffmpegs_own_errors_are_redacted(config: Config) -> None:
    url = config.cameras[0].url.reveal()
    said = f"[Errno 1482175736] Server returned 401 Unauthorized (authorization failed): '{url}'"
    _assert_clean(redact(said))
    try:
        _fail(said)
    except OSError:
        _assert_clean(redact(traceback.format_exc()))


def test_the_json_schema_does_not_contain_them(config: Config) -> None:
    assert config.cameras
    _assert_clean(json_schema())
