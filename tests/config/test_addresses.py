"""Where a camera's credentials are put into its address: here and nowhere else."""

from __future__ import annotations

import pytest

from maskwatch.config.addresses import bracketed, host_and_port, stream_url
from maskwatch.config.schema import CameraConfig, Config, MetricsConfig, MqttConfig
from maskwatch.config.summary import summary
from maskwatch.secrets import Secret, SecretUrl


def _camera(url: str, sub: str | None = None, user: str = "", password: str = "") -> CameraConfig:
    substream = SecretUrl(sub) if sub else None
    return CameraConfig(
        name="a", url=SecretUrl(url), substream=substream, username=user, password=Secret(password)
    )


def test_username_and_password_are_percent_encoded_into_the_address() -> None:
    url = stream_url(_camera("rtsp://h:554/s?a=b", user="us er", password="p@:/w"))
    assert url.reveal() == "rtsp://us%20er:p%40%3A%2Fw@h:554/s?a=b"
    assert str(url) == "rtsp://***@h:554/s?a=b"


def test_the_substream_is_opened_unless_the_main_stream_is_requested() -> None:
    camera = _camera("rtsp://h/main", "rtsp://h/sub", "u", "password")
    assert stream_url(camera).reveal() == "rtsp://u:password@h/sub"
    assert stream_url(camera, main=True).reveal() == "rtsp://u:password@h/main"


def test_credentials_in_the_address_stay() -> None:
    assert stream_url(_camera("rtsp://u:p@h/s")).reveal() == "rtsp://u:p@h/s"


def test_a_files_path_gets_no_credentials() -> None:
    assert stream_url(_camera("/clips/a.mp4", user="u", password="password")).reveal() == "/clips/a.mp4"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("rtsp://u:p@cam.example:8554/a", ("cam.example", 8554)),
        ("rtsp://cam.example/a", ("cam.example", 554)),
        ("rtsps://cam.example/a", ("cam.example", 322)),
        ("rtsp://[2001:db8::1]:554/a", ("2001:db8::1", 554)),
        ("/var/clips/a.mp4", None),
    ],
)
def test_host_and_port_are_read_from_a_cameras_address(
    url: str, address: tuple[str, int] | None
) -> None:
    assert host_and_port(SecretUrl(url)) == address


@pytest.mark.parametrize(
    ("host", "written"),
    [("::1", "[::1]"), ("127.0.0.1", "127.0.0.1"), ("broker.example", "broker.example")],
)
def test_an_ipv6_address_is_written_in_brackets(host: str, written: str) -> None:
    assert bracketed(host) == written
    config = Config(cameras=(), mqtt=MqttConfig(host=host), metrics=MetricsConfig(host=host))
    assert f"MQTT 5 at {written}:1883" in summary(config)
    assert f"http://{written}:9464" in summary(config)
