"""The warnings of `maskwatch check`: settings that work, but are insecure or probably a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from maskwatch.config.addresses import is_network_address
from maskwatch.config.diagnostics import Diagnostics, KeyPath
from maskwatch.config.schema import CameraAuth, CameraConfig, Config, MetricsConfig, MqttConfig, Pictures
from maskwatch.config.substitute import WITHHELD_SECRET
from maskwatch.domain.visible_text import character_name, hidden_character
from maskwatch.secrets import Secret, is_own_word

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_READABLE_BY_OTHERS = 0o044


def lint(config: Config, path: Path, diagnostics: Diagnostics) -> None:
    """Add every warning about `config`, which was read from `path` without problems."""
    _secrets_in_file(path, diagnostics)
    for key, secret in _secrets(config, ()):
        _invisible(key, secret.reveal(), diagnostics)
    for index, camera in enumerate(config.cameras):
        _camera(("cameras", index), camera, diagnostics)
    if config.mqtt.enabled:
        _mqtt(config.mqtt, diagnostics)
    _metrics(config.metrics, diagnostics)
    if config.links.enabled:
        _links(config, diagnostics)
    if not any(camera.enabled for camera in config.cameras):
        diagnostics.add_warning(("cameras",), "no camera is enabled: nothing would be watched")


def _invisible(key: KeyPath, text: str, diagnostics: Diagnostics) -> None:
    hint = "remove it, unless it is meant"
    hidden = hidden_character(text.strip())
    if text != text.strip():
        diagnostics.add_warning(key, "begins or ends with a blank", hint)
    elif hidden:
        diagnostics.add_warning(
            key, f"holds a character that is not visible: {character_name(hidden)}", hint
        )


def _secrets(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, Secret]]:
    """Yield every secret of a section with its key path."""
    match value:
        case Secret():
            yield path, value
        case msgspec.Struct():
            for name in value.__struct_fields__:
                yield from _secrets(getattr(value, name), (*path, name))
        case tuple():
            for index, item in enumerate(value):
                yield from _secrets(item, (*path, index))


def _secrets_in_file(path: Path, diagnostics: Diagnostics) -> None:
    for key in diagnostics.literal_secrets:
        diagnostics.add_warning(
            key,
            "the secret itself is in the file",
            "refer to it: ${NAME}, file:/path or credential:name",
        )
    if diagnostics.literal_secrets and path.stat().st_mode & _READABLE_BY_OTHERS:
        diagnostics.add_warning((), "holds a secret and can be read by others", f"chmod 600 {path}")


def _camera(path: KeyPath, camera: CameraConfig, diagnostics: Diagnostics) -> None:
    if camera.username and not camera.password:
        diagnostics.add_warning((*path, "username"), "has no password")
    _password_hidden(path, camera.password, diagnostics)
    if not camera.tls_verify:
        message = "another device could pose as this camera"
        diagnostics.add_warning((*path, "tls_verify"), message, "trust the camera's certificate instead")
    if camera.auth is CameraAuth.ANY and camera.url.reveal().lower().startswith("rtsp://"):
        message = "the password may be sent in clear"
        diagnostics.add_warning((*path, "auth"), message, "enable Digest or rtsps in the camera")
    if camera.pictures is Pictures.SUBJECT:
        diagnostics.add_warning((*path, "pictures"), "faces are stored and sent without anonymization")
    for key, url in (("url", camera.url), ("substream", camera.substream)):
        name = "" if url is None else url.reveal()
        if name and not is_network_address(name) and not Path(name).is_file():
            diagnostics.add_warning((*path, key), f"there is no file {name} now")


def _mqtt(mqtt: MqttConfig, diagnostics: Diagnostics) -> None:
    _password_hidden(("mqtt",), mqtt.password, diagnostics)
    if mqtt.password and not mqtt.tls and mqtt.host not in _LOOPBACK:
        message = "the password is sent to the broker unencrypted"
        diagnostics.add_warning(("mqtt", "tls"), message, "set `tls: true`")
    if mqtt.tls and mqtt.port == 1883:
        diagnostics.add_warning(("mqtt", "port"), "1883 is the port without TLS", "with TLS it is 8883")
    if not mqtt.tls and mqtt.port == 8883:
        diagnostics.add_warning(("mqtt", "port"), "8883 is the port with TLS", "set `tls: true`")


def _metrics(metrics: MetricsConfig, diagnostics: Diagnostics) -> None:
    if metrics.enabled and metrics.host not in _LOOPBACK:
        message = "everyone who reaches this address can read the metrics"
        diagnostics.add_warning(
            ("metrics", "host"), message, "keep 127.0.0.1, or restrict access by a firewall"
        )


def _links(config: Config, diagnostics: Diagnostics) -> None:
    address = urlsplit(config.links.address)
    if address.scheme == "http" and address.hostname not in _LOOPBACK:
        message = "anyone who reads the network traffic can acknowledge"
        diagnostics.add_warning(("links", "address"), message, "use a proxy with TLS: https://...")
    if not config.links.address and config.links.host in _LOOPBACK:
        message = "the links lead to this machine's loopback address and work on it only"
        diagnostics.add_warning(
            ("links", "address"), message, "set the address by which people reach it"
        )
    if not any(channel.url or channel.webhook for channel in config.people):
        diagnostics.add_warning(
            ("links", "enabled"), "no channel of `people` that would send links is on"
        )


def _password_hidden(path: KeyPath, password: Secret, diagnostics: Diagnostics) -> None:
    """Warn of a password that cannot be removed from the messages of other libraries."""
    key, value = (*path, "password"), password.reveal()
    if 0 < len(value) < 4:
        message = "too short to be recognized and removed from messages of other libraries"
        diagnostics.add_warning(key, message, "use 4 characters or more")
    elif value != WITHHELD_SECRET and is_own_word(value):
        message = "is a common word, which cannot be removed from messages"
        diagnostics.add_warning(key, message, "use a password with digits")
