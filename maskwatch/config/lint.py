"""What works, but not as a careful operator would have it: the warnings of `maskwatch check`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from maskwatch.config.addresses import is_network_address
from maskwatch.config.diagnostics import Diagnostics, KeyPath
from maskwatch.config.schema import CameraConfig, Config, MetricsConfig, MqttConfig, Pictures
from maskwatch.secrets import Secret

__all__ = ["lint"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_READABLE_BY_OTHERS = 0o044


def lint(config: Config, path: Path, diagnostics: Diagnostics) -> None:
    """Note every warning about a configuration without problems that stands in the file `path`."""
    _secrets_in_file(path, diagnostics)
    for index, camera in enumerate(config.cameras):
        _camera(("cameras", index), camera, diagnostics)
    if config.mqtt.enabled:
        _mqtt(config.mqtt, diagnostics)
    _metrics(config.metrics, diagnostics)
    if config.links.enabled:
        _links(config, diagnostics)
    if not any(camera.enabled for camera in config.cameras):
        diagnostics.doubtful(("cameras",), "no camera is enabled: nothing would be watched")


def _secrets_in_file(path: Path, diagnostics: Diagnostics) -> None:
    for key in diagnostics.literal_secrets:
        diagnostics.doubtful(
            key,
            "the secret itself stands in the file",
            "refer to it: ${NAME}, file:/path or credential:name",
        )
    if diagnostics.literal_secrets and path.stat().st_mode & _READABLE_BY_OTHERS:
        diagnostics.doubtful((), "holds a secret and can be read by others", f"chmod 600 {path}")


def _camera(at: KeyPath, camera: CameraConfig, diagnostics: Diagnostics) -> None:
    if camera.username and not camera.password:
        diagnostics.doubtful((*at, "username"), "has no password")
    _short(at, camera.password, diagnostics)
    if not camera.tls_verify:
        said = "a stranger could pose as this camera"
        diagnostics.doubtful((*at, "tls_verify"), said, "trust the camera's certificate instead")
    if camera.pictures is Pictures.SUBJECT:
        diagnostics.doubtful((*at, "pictures"), "faces are stored and sent as they are")
    for key, url in (("url", camera.url), ("substream", camera.substream)):
        name = "" if url is None else url.reveal()
        if name and not is_network_address(name) and not Path(name).is_file():
            diagnostics.doubtful((*at, key), f"there is no file {name} now")


def _mqtt(mqtt: MqttConfig, diagnostics: Diagnostics) -> None:
    _short(("mqtt",), mqtt.password, diagnostics)
    if mqtt.password and not mqtt.tls and mqtt.host not in _LOOPBACK:
        said = "the password travels to the broker unencrypted"
        diagnostics.doubtful(("mqtt", "tls"), said, "set `tls: true`")
    if mqtt.tls and mqtt.port == 1883:
        diagnostics.doubtful(("mqtt", "port"), "1883 is the port without TLS", "with TLS it is 8883")
    if not mqtt.tls and mqtt.port == 8883:
        diagnostics.doubtful(("mqtt", "port"), "8883 is the port with TLS", "set `tls: true`")


def _metrics(metrics: MetricsConfig, diagnostics: Diagnostics) -> None:
    if metrics.enabled and metrics.host not in _LOOPBACK:
        said = "everyone who reaches this address can read the metrics"
        diagnostics.doubtful(("metrics", "host"), said, "keep 127.0.0.1, or guard it by a firewall")


def _links(config: Config, diagnostics: Diagnostics) -> None:
    address = urlsplit(config.links.address)
    if address.scheme == "http" and address.hostname not in _LOOPBACK:
        said = "who listens on the way can acknowledge"
        diagnostics.doubtful(("links", "address"), said, "put a proxy with TLS before it: https://...")
    if not config.links.address and config.links.host in _LOOPBACK:
        said = "the links lead to this machine's loopback address: they work here only"
        diagnostics.doubtful(("links", "address"), said, "set the address by which people reach it")
    if not any(channel.url or channel.webhook for channel in config.people):
        diagnostics.doubtful(("links", "enabled"), "no channel of `people` is on that would send links")


def _short(at: KeyPath, password: Secret, diagnostics: Diagnostics) -> None:
    if 0 < len(password.reveal()) < 4:
        said = "too short to be recognized and removed from messages of other libraries"
        diagnostics.doubtful((*at, "password"), said, "use 4 characters or more")
