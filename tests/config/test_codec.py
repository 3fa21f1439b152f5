"""Secrets between our own processes: they pass where they must, and nowhere else."""

from __future__ import annotations

import msgspec
import pytest

from maskwatch.config.codec import dec_hook, enc_hook, for_recorder, for_worker
from maskwatch.config.schema import CameraConfig, Config, LinksConfig, MqttConfig
from maskwatch.secrets import Secret, SecretUrl

CONFIG = Config(
    cameras=(
        CameraConfig(
            name="a", url=SecretUrl("rtsp://u:canary-a@h/s"), substream=SecretUrl("rtsp://h/t")
        ),
        CameraConfig(
            name="b", url=SecretUrl("rtsp://h/s"), username="user-b", password=Secret("canary-b")
        ),
    ),
    mqtt=MqttConfig(username="m", password=Secret("canary-mqtt")),
    links=LinksConfig(enabled=True, key=Secret("canary-links")),
)


def _encoded(config: Config) -> bytes:
    return msgspec.json.encode(config, enc_hook=enc_hook)


def test_a_configuration_survives_the_wire_with_its_secrets() -> None:
    back = msgspec.json.decode(_encoded(CONFIG), type=Config, dec_hook=dec_hook)
    assert back == CONFIG
    assert type(back.cameras[0].url) is SecretUrl
    assert back.mqtt.password.reveal() == "canary-mqtt"


def test_an_encoder_without_the_hook_writes_no_secret() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode(CONFIG)
    with pytest.raises(TypeError):
        msgspec.to_builtins(CONFIG)


def test_a_worker_gets_the_secrets_of_its_own_camera_only() -> None:
    sent = _encoded(for_worker(CONFIG, "b"))
    assert b"canary-b" in sent
    assert b"canary-a" not in sent
    assert b"canary-mqtt" not in sent
    assert b"canary-links" not in sent
    with pytest.raises(KeyError):
        for_worker(CONFIG, "c")


def test_the_recorder_gets_the_brokers_secret_and_no_cameras() -> None:
    sent = _encoded(for_recorder(CONFIG))
    assert b"canary-mqtt" in sent
    assert b"canary-a" not in sent
    assert b"canary-b" not in sent
    assert b"user-b" not in sent


def test_the_hooks_reject_other_types() -> None:
    with pytest.raises(TypeError):
        enc_hook(object())
    with pytest.raises(NotImplementedError):
        dec_hook(dict, "x")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"5", type=Secret, dec_hook=dec_hook)
