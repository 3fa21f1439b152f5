"""Rules between keys, and rules that the type of a single key cannot express."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from maskwatch.config.addresses import (
    address_fault,
    host_fault,
    host_part_fault,
    is_network_address,
    redirect_host,
)
from maskwatch.config.diagnostics import Diagnostics, KeyPath
from maskwatch.config.polygons import polygon_fault
from maskwatch.config.schema import (
    CameraConfig,
    ChannelConfig,
    Config,
    LinksConfig,
    MetricsConfig,
    MqttConfig,
    Pictures,
    Schedule,
    ZoneConfig,
)
from maskwatch.config.substitute import WITHHELD, WITHHELD_SECRET
from maskwatch.config.templates import template_fault
from maskwatch.config.tls import TlsFileError, client_context, trusting
from maskwatch.files import MIB, open_regular
from maskwatch.secrets import Secret
from maskwatch.temporary import is_temporary

# Certificates, a manifest, the weights of the face detector.
_MAX_FILE = 16 * MIB
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# A Unix socket's address holds 108 bytes, the last of them zero.
_MAX_SOCKET_PATH = 107
_SOCKET_NAMES = ("recorder.sock", "control.sock")
# Characters; 32 random ones of base64 are 192 bits.
_MIN_KEY_LENGTH = 32


def apply_rules(config: Config, diagnostics: Diagnostics, *, files: bool = True) -> None:
    """Report every broken rule at keys without an earlier problem.

    With `files`, named files (certificates, models) must exist and be readable.
    """
    rules = _Rules(diagnostics, files=files)
    rules.unique(("cameras",), [camera.name for camera in config.cameras])
    for index, camera in enumerate(config.cameras):
        rules.camera(("cameras", index), camera)
    rules.mqtt(("mqtt",), config.mqtt)
    rules.unique(("people",), [channel.name for channel in config.people])
    cameras = {camera.name: None for camera in config.cameras}
    for index, channel in enumerate(config.people):
        rules.channel(("people", index), channel, cameras)
    rules.links(("links",), config.links)
    rules.metrics(("metrics",), config.metrics)
    rules.ports(config)
    rules.directories(config)
    for key, name in (("model", config.model), ("face_weights", config.face_weights)):
        rules.file((key,), name)


class _Rules:
    """The rules of every section; each reports at the key that it concerns."""

    def __init__(self, diagnostics: Diagnostics, *, files: bool) -> None:
        self._diagnostics = diagnostics
        self._files = files
        self._authorities: dict[str, TlsFileError | None] = {}

    def _report(self, path: KeyPath, message: str | None, hint: str = "") -> None:
        if message and not self._diagnostics.has_problem(path):
            self._diagnostics.add_problem(path, message, hint)

    def unique(self, path: KeyPath, names: Sequence[str]) -> None:
        """Names of a list's entries are unique and have no spaces around them."""
        first: dict[str, int] = {}
        for index, name in enumerate(names):
            key = (*path, index, "name")
            if name and first.setdefault(name, index) != index:
                self._report(key, f"{name!r} is taken by {path[-1]}[{first[name]}]", "names are unique")
            if name != name.strip():
                self._report(key, f"{name!r} begins or ends with a space")

    def camera(self, path: KeyPath, camera: CameraConfig) -> None:
        """The rules of one camera."""
        self._address((*path, "url"), camera.url.reveal(), camera)
        if camera.substream is not None:
            self._address((*path, "substream"), camera.substream.reveal(), camera)
        for index, host in enumerate(camera.redirect_hosts):
            self._redirect_host((*path, "redirect_hosts", index), host)
        if _is_set(camera.password) and not camera.username:
            self._report((*path, "password"), "a password without `username`")
        if camera.pictures is Pictures.VAULT and not camera.vault_key:
            self._report((*path, "vault_key"), "`pictures: vault` needs it", "maskwatch vault key FILE")
        self._authority((*path, "ca_file"), camera.ca_file)
        self._time_zone((*path, "time_zone"), camera.time_zone)
        self._schedule((*path, "schedule"), camera.schedule)
        self.unique((*path, "zones"), [zone.name for zone in camera.zones])
        for index, zone in enumerate(camera.zones):
            self._zone((*path, "zones", index), zone)

    def _address(self, path: KeyPath, url: str, camera: CameraConfig) -> None:
        self._report(path, *address_fault(url))
        if camera.username and "@" in url and is_network_address(url):
            self._report(path, "credentials are here and in `username`", "keep one of the two")

    def _authority(self, path: KeyPath, name: str) -> None:
        """A camera's certificates can be used; many cameras may name one file."""
        self.file(path, name)
        if not name or not self._files or self._diagnostics.has_problem(path):
            return
        if name not in self._authorities:
            self._authorities[name] = _authority_fault(name)
        fault = self._authorities[name]
        if fault is not None:
            self._report(path, fault.message, fault.hint)

    def _redirect_host(self, path: KeyPath, text: str) -> None:
        try:
            redirect_host(text)
        except ValueError:
            message = f"expected HOST or HOST:PORT, got {text!r}"
            self._report(path, message, "without rtsp://, path and credentials; IPv6 in brackets")

    def _time_zone(self, path: KeyPath, name: str) -> None:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            message = f"{name!r} is no time zone of the IANA list, such as Europe/Berlin"
            self._report(path, message, self._diagnostics.suggestion(name, _time_zones()))

    def _schedule(self, path: KeyPath, schedule: Schedule) -> None:
        if not schedule.days:
            self._report((*path, "days"), "the list is empty: the rule would never hold")
        if schedule.start == schedule.end:
            self._report(
                (*path, "end"),
                "is the same time as `start`: the rule would never hold",
                "leave both out for the whole day",
            )
        for index, day in enumerate(schedule.except_dates):
            self._report((*path, "except_dates", index), _date_fault(day))

    def _zone(self, path: KeyPath, zone: ZoneConfig) -> None:
        self._report((*path, "polygon"), *polygon_fault(zone.polygon))
        self._schedule((*path, "schedule"), zone.schedule)

    def mqtt(self, path: KeyPath, mqtt: MqttConfig) -> None:
        """The rules of the broker's section."""
        self._report((*path, "host"), *host_fault(mqtt.host))
        if mqtt.topic_prefix.startswith(("$", "/")) or mqtt.topic_prefix.endswith("/"):
            self._report((*path, "topic_prefix"), "must not begin with $ or /, nor end with /")
        if _is_set(mqtt.password) and not mqtt.username:
            self._report((*path, "password"), "a password without `username`")
        if bool(mqtt.client_cert) != bool(mqtt.client_key):
            key = "client_cert" if mqtt.client_cert else "client_key"
            self._report((*path, key), "`client_cert` and `client_key` need each other")
        for key, name in _certificates(mqtt):
            if name and not mqtt.tls and not self._diagnostics.has_problem((*path, "tls")):
                self._report((*path, key), "has no effect without `tls: true`")
            self.file((*path, key), name)
        self._tls_files(path, mqtt)

    def _tls_files(self, path: KeyPath, mqtt: MqttConfig) -> None:
        """The files can be used as the recorder will use them."""
        keys = [(*path, key) for key, _ in _certificates(mqtt)]
        if not (mqtt.enabled and mqtt.tls and self._files) or any(
            map(self._diagnostics.has_problem, keys)
        ):
            return
        try:
            client_context(mqtt)
        except TlsFileError as fault:
            self._report((*path, fault.key), fault.message, fault.hint)

    def channel(self, path: KeyPath, channel: ChannelConfig, cameras: Collection[str]) -> None:
        """The rules of one channel of `people`."""
        self._time_zone((*path, "time_zone"), channel.time_zone)
        if _is_set(channel.url) and _is_set(channel.webhook):
            self._report(
                (*path, "webhook"), "`url` and `webhook` exclude each other", "keep one of the two"
            )
        if _is_set(channel.webhook):
            if not channel.webhook.reveal().startswith(("http://", "https://")):
                self._report((*path, "webhook"), "is not an http:// or https:// address")
            self._report((*path, "webhook"), *host_part_fault(channel.webhook.reveal()))
            if not channel.key:
                self._report((*path, "key"), "a webhook needs a key to sign with")
        if bool(channel.quiet_start) != bool(channel.quiet_end):
            key = "quiet_start" if channel.quiet_start else "quiet_end"
            self._report((*path, key), "`quiet_start` and `quiet_end` need each other")
        for index, name in enumerate(channel.cameras):
            if name not in cameras:
                self._report(
                    (*path, "cameras", index),
                    f"{name!r} is not a camera of this file",
                    self._diagnostics.suggestion(name, cameras),
                )
        for key, text in (("title", channel.title), ("body", channel.body)):
            self._report((*path, key), template_fault(text))

    def links(self, path: KeyPath, links: LinksConfig) -> None:
        """The rules of the links to acknowledge."""
        key = links.key.reveal()
        if links.enabled and key != WITHHELD_SECRET and len(key) < _MIN_KEY_LENGTH:
            message = f"links are signed with a key of {_MIN_KEY_LENGTH} characters or more"
            self._report((*path, "key"), message, "openssl rand -base64 32")
        if links.address and not re.fullmatch(r"https?://[^\s?#]+", links.address):
            self._report((*path, "address"), "is not an http:// or https:// address without ? and #")
        if links.address:
            self._report((*path, "address"), *host_part_fault(links.address))
        self._report((*path, "host"), *host_fault(links.host))

    def metrics(self, path: KeyPath, metrics: MetricsConfig) -> None:
        """The rule of the metrics' section."""
        self._report((*path, "host"), *host_fault(metrics.host))

    def ports(self, config: Config) -> None:
        """The two HTTP servers and the broker have different ports."""
        mqtt, metrics, links = config.mqtt, config.metrics, config.links
        if metrics.enabled and links.enabled and metrics.port == links.port:
            self._report(("links", "port"), f"port {links.port} is also `metrics.port`")
        same_machine = mqtt.host in _LOOPBACK or mqtt.host == metrics.host
        if mqtt.enabled and metrics.enabled and same_machine and mqtt.port == metrics.port:
            self._report(("metrics", "port"), f"port {metrics.port} is also the broker's (`mqtt.port`)")

    def directories(self, config: Config) -> None:
        """The two directories differ, and the paths of sockets are short enough."""
        if config.data_dir == config.runtime_dir:
            self._report(("runtime_dir",), "must not be the same as `data_dir`")
        for key, name in (("data_dir", config.data_dir), ("runtime_dir", config.runtime_dir)):
            if "\0" in name or (Path(name).exists() and not Path(name).is_dir()):
                self._report((key,), "is not a directory")
        longest = max(len(f"{config.runtime_dir}/{name}".encode()) for name in _SOCKET_NAMES)
        if longest > _MAX_SOCKET_PATH:
            message = f"too long by {longest - _MAX_SOCKET_PATH} bytes for the sockets in it"
            self._report(("runtime_dir",), message)

    def file(self, path: KeyPath, name: str) -> None:
        """A named file exists, can be read, and is not too large to be loaded."""
        if name and self._files:
            fault, temporary = _file_fault(name, _MAX_FILE)
            if fault and temporary and not self._diagnostics.has_problem(path):
                self._diagnostics.add_unavailable(path, fault)
            self._report(path, fault)


@functools.cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _is_set(secret: Secret) -> bool:
    """Return whether a secret has a value; one that is withheld may turn out to be empty."""
    return secret.reveal() not in ("", WITHHELD, WITHHELD_SECRET)


def _certificates(mqtt: MqttConfig) -> Iterable[tuple[str, str]]:
    return (
        ("ca_file", mqtt.ca_file),
        ("client_cert", mqtt.client_cert),
        ("client_key", mqtt.client_key),
    )


def _authority_fault(name: str) -> TlsFileError | None:
    try:
        trusting(name)
    except TlsFileError as fault:
        return fault
    return None


def _date_fault(text: str) -> str | None:
    fault = f"expected a date, YYYY-MM-DD, got {text!r}"
    try:
        return None if date.fromisoformat(text).isoformat() == text else fault
    except ValueError:
        return fault


def _file_fault(name: str, max_bytes: int) -> tuple[str | None, bool]:
    """Return what is wrong with a file (None: nothing), and whether that may pass."""
    try:
        with open_regular(Path(name)) as file:
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        return f"{name} cannot be read: {reason}", is_temporary(error)
    return (f"{name} is larger than {max_bytes // MIB} MiB" if size > max_bytes else None), False
