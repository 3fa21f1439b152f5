"""`maskwatch init` writes a configuration that `check` accepts, and no password into it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from maskwatch.config.addresses import stream_url
from maskwatch.config.load import check_config, load
from tests.fakes.command_line import run


def test_the_written_file_can_be_used_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    assert run("init", "--camera", "entrance=rtsp://192.0.2.10/s1", "--no-broker", path) == 0
    checked = check_config(path, environ={})
    assert checked.warnings == []
    assert checked.config is not None
    assert str(stream_url(checked.config.cameras[0])) == "rtsp://192.0.2.10/s1"
    assert not checked.config.mqtt.enabled


def test_a_password_goes_to_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    cameras = ("--camera", "a=rtsp://viewer:c%40nary-1@h/s", "--camera", "a/b=rtsp://u:c%40nary-2@h/s")
    assert run("init", *cameras[:2], path) == 0
    [secret] = (tmp_path / "secrets").iterdir()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert "nary" not in path.read_text()
    assert stream_url(load(path).cameras[0]).reveal() == "rtsp://viewer:c%40nary-1@h/s"


@pytest.mark.parametrize("name", ["two words", "yes", "Ünï", "a: b", "12", "x'y", "${HOME}", "- q"])
def test_any_name_is_written_as_it_was_given(tmp_path: Path, name: str) -> None:
    path = tmp_path / "config.yaml"
    assert run("init", "--camera", f"{name}=rtsp://u:pass-1@h/s", "--no-broker", path) == 0
    [camera] = load(path, environ={}).cameras
    assert camera.name == name
    assert camera.password.reveal() == "pass-1"


@pytest.mark.parametrize(
    ("broker", "address"),
    [
        ("broker.example:1884", ("broker.example", 1884)),
        ("::1", ("::1", 1883)),
        ("[::1]:1884", ("::1", 1884)),
        ("192.0.2.1", ("192.0.2.1", 1883)),
    ],
)
def test_the_broker_is_a_host_with_an_optional_port(
    tmp_path: Path, broker: str, address: tuple[str, int]
) -> None:
    path = tmp_path / "config.yaml"
    assert run("init", "--camera", "a=rtsp://h/s", "--broker", broker, path) == 0
    mqtt = load(path, environ={}).mqtt
    assert (mqtt.host, mqtt.port) == address


def test_an_existing_file_is_kept_without_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("mine")
    assert run("init", "--camera", "a=rtsp://h/s", path) == 2
    assert "exists already" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert run("init", "--camera", "a=rtsp://h/s", "--force", path) == 0


@pytest.mark.parametrize("camera", ["a=http://h/s", "=rtsp://h/s", "rtsp://h/s", "a+b=rtsp://h/s"])
def test_a_camera_that_cannot_be_used_leaves_no_file(tmp_path: Path, camera: str) -> None:
    assert run("init", "--camera", camera, tmp_path / "config.yaml") in (2, 3)
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_a_camera_must_be_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init", tmp_path / "config.yaml") == 2
    assert "--camera NAME=ADDRESS" in capsys.readouterr().err
