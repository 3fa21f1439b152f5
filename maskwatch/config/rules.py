"""What must hold between keys, and what a single key's type cannot say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from maskwatch.config.addresses import address_fault, is_network_address
from maskwatch.config.diagnostics import Diagnostics, KeyPath, suggestion
from maskwatch.config.schema import (
    CameraConfig,
    ChannelConfig,
    Config,
    LinksConfig,
    MqttConfig,
    Pictures,
    Schedule,
    ZoneConfig,
)
from maskwatch.config.substitute import WITHHELD, WITHHELD_SECRET
from maskwatch.config.templates import template_fault
from maskwatch.files import require_regular

__all__ = ["apply_rules", "polygon_fault"]

Corner = tuple[float, float]
_LEAST_AREA = 1e-6  # of the picture: about two pixels of 1080p


def polygon_fault(corners: Sequence[Corner]) -> tuple[str | None, str]:
    """Return what is wrong with a polygon's corners (None: nothing) and a hint."""
    count = len(corners)
    if count < 3:
        return f"expected at least 3 corners, got {count}", ""
    edges = [(corners[i], corners[(i + 1) % count]) for i in range(count)]
    for i, (start, end) in enumerate(edges):
        if start == end:
            hint = "the outline closes by itself" if i == count - 1 else ""
            return f"corner {(i + 1) % count + 1} is the same as corner {i + 1}", hint
    for i, (start, end) in enumerate(edges):
        for j in range(i + 2, count - (i == 0)):
            if _meet(start, end, *edges[j]):
                return f"the edges from corner {i + 1} and from corner {j + 1} cross", _ORDER
    if abs(_doubled_area(corners)) < 2 * _LEAST_AREA:
        return "the corners lie in one line: nothing is inside", ""
    return None, ""


_ORDER = "list the corners in order around the zone"


def _doubled_area(corners: Sequence[Corner]) -> float:
    """Return twice the signed area (the shoelace formula)."""
    following = [*corners[1:], corners[0]]
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, following, strict=True))


def _turn(a: Corner, b: Corner, c: Corner) -> float:
    """Return on which side of the line a-b the point c lies: the sign, 0 on the line."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _meet(a: Corner, b: Corner, c: Corner, d: Corner) -> bool:
    """Return whether the segments a-b and c-d have a point in common."""
    of_c, of_d, of_a, of_b = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if ((of_c > 0) != (of_d > 0)) and ((of_a > 0) != (of_b > 0)) and 0 not in (of_a, of_b, of_c, of_d):
        return True
    touching = ((of_c, a, b, c), (of_d, a, b, d), (of_a, c, d, a), (of_b, c, d, b))
    return any(side == 0 and _within(p, q, point) for side, p, q, point in touching)


def _within(a: Corner, b: Corner, point: Corner) -> bool:
    """Return whether `point`, known to be on the line a-b, lies between a and b."""
    return min(a[0], b[0]) <= point[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= point[1] <= max(
        a[1], b[1]
    )


_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# A Unix socket's address holds 108 bytes, the last of them zero.
_LONGEST_SOCKET = 107
_SOCKET_NAMES = ("recorder.sock", "control.sock")
# Characters; 32 random ones of base64 are 192 bits.
_LEAST_KEY = 32


def apply_rules(config: Config, diagnostics: Diagnostics, *, files: bool = True) -> None:
    """Note every broken rule; keys that are wrong already are left alone.

    With `files`, those that are named (certificates, models) must be there.
    """
    rules = _Rules(diagnostics, files=files)
    rules.unique(("cameras",), [camera.name for camera in config.cameras])
    for index, camera in enumerate(config.cameras):
        rules.camera(("cameras", index), camera)
    rules.mqtt(("mqtt",), config.mqtt)
    rules.unique(("people",), [channel.name for channel in config.people])
    for index, channel in enumerate(config.people):
        rules.channel(("people", index), channel, [camera.name for camera in config.cameras])
    rules.links(("links",), config.links)
    rules.ports(config)
    rules.directories(config)
    for key, name in (("model", config.model), ("face_weights", config.face_weights)):
        rules.file((key,), name)


class _Rules:
    """The rules of every section; each notes what it finds at the key it is about."""

    def __init__(self, diagnostics: Diagnostics, *, files: bool) -> None:
        self._diagnostics = diagnostics
        self._files = files

    def _say(self, path: KeyPath, message: str | None, hint: str = "") -> None:
        if message and not self._diagnostics.is_wrong(path):
            self._diagnostics.wrong(path, message, hint)

    def unique(self, path: KeyPath, names: Sequence[str]) -> None:
        """No two entries of a list share a name, and none has spaces around it."""
        for index, name in enumerate(names):
            at = (*path, index, "name")
            if name and name in names[:index]:
                self._say(
                    at, f"{name!r} is taken by {path[-1]}[{names.index(name)}]", "names are unique"
                )
            if name != name.strip():
                self._say(at, f"{name!r} begins or ends with a space")

    def camera(self, path: KeyPath, camera: CameraConfig) -> None:
        """The rules of one camera."""
        self._address((*path, "url"), camera.url.reveal(), camera)
        if camera.substream is not None:
            self._address((*path, "substream"), camera.substream.reveal(), camera)
        if camera.password and not camera.username:
            self._say((*path, "password"), "a password without `username`")
        if camera.pictures is Pictures.VAULT and not camera.vault_key:
            self._say((*path, "vault_key"), "`pictures: vault` needs it", "maskwatch vault key FILE")
        self._time_zone((*path, "time_zone"), camera.time_zone)
        self._schedule((*path, "schedule"), camera.schedule)
        self.unique((*path, "zones"), [zone.name for zone in camera.zones])
        for index, zone in enumerate(camera.zones):
            self._zone((*path, "zones", index), zone)

    def _address(self, path: KeyPath, url: str, camera: CameraConfig) -> None:
        self._say(path, *address_fault(url))
        if camera.username and "@" in url and is_network_address(url):
            self._say(path, "credentials stand here and in `username`", "keep one of the two")

    def _time_zone(self, path: KeyPath, name: str) -> None:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            said = f"{name!r} is no time zone of the IANA list, such as Europe/Berlin"
            self._say(path, said, suggestion(name, available_timezones()))

    def _schedule(self, path: KeyPath, schedule: Schedule) -> None:
        if not schedule.days:
            self._say((*path, "days"), "no day is left on which the rule holds")
        if schedule.start == schedule.end:
            self._say(
                (*path, "end"),
                "is the same time as `start`: the rule would never hold",
                "leave both out for the whole day",
            )
        for index, day in enumerate(schedule.except_dates):
            self._say((*path, "except_dates", index), _date_fault(day))

    def _zone(self, path: KeyPath, zone: ZoneConfig) -> None:
        self._say((*path, "polygon"), *polygon_fault(zone.polygon))
        self._schedule((*path, "schedule"), zone.schedule)

    def mqtt(self, path: KeyPath, mqtt: MqttConfig) -> None:
        """The rules of the broker's section."""
        if "://" in mqtt.host or "/" in mqtt.host:
            self._say((*path, "host"), "is a name or an address, not a URL", "see `port` and `tls`")
        if mqtt.topic_prefix.startswith(("$", "/")) or mqtt.topic_prefix.endswith("/"):
            self._say((*path, "topic_prefix"), "must not begin with $ or /, nor end with /")
        if mqtt.password and not mqtt.username:
            self._say((*path, "password"), "a password without `username`")
        if bool(mqtt.client_cert) != bool(mqtt.client_key):
            key = "client_cert" if mqtt.client_cert else "client_key"
            self._say((*path, key), "`client_cert` and `client_key` need each other")
        for key, name in _certificates(mqtt):
            if name and not mqtt.tls and not self._diagnostics.is_wrong((*path, "tls")):
                self._say((*path, key), "has no effect without `tls: true`")
            self.file((*path, key), name)

    def channel(self, path: KeyPath, channel: ChannelConfig, cameras: Sequence[str]) -> None:
        """The rules of one way to tell people."""
        self._time_zone((*path, "time_zone"), channel.time_zone)
        if channel.url and channel.webhook:
            self._say((*path, "webhook"), "`url` and `webhook` stand together", "keep one of the two")
        if channel.webhook:
            if not channel.webhook.reveal().startswith(("http://", "https://", WITHHELD)):
                self._say((*path, "webhook"), "is no http:// or https:// address")
            if not channel.key:
                self._say((*path, "key"), "a webhook needs a key to sign with")
        if bool(channel.quiet_start) != bool(channel.quiet_end):
            key = "quiet_start" if channel.quiet_start else "quiet_end"
            self._say((*path, key), "`quiet_start` and `quiet_end` need each other")
        for index, name in enumerate(channel.cameras):
            if name not in cameras:
                self._say((*path, "cameras", index), f"{name!r} is no camera", suggestion(name, cameras))
        for key, text in (("title", channel.title), ("body", channel.body)):
            self._say((*path, key), template_fault(text))

    def links(self, path: KeyPath, links: LinksConfig) -> None:
        """The rules of the links to acknowledge."""
        key = links.key.reveal()
        if links.enabled and key != WITHHELD_SECRET and len(key) < _LEAST_KEY:
            said = f"links are signed with a key of {_LEAST_KEY} characters or more"
            self._say((*path, "key"), said, "openssl rand -base64 32")
        if links.address and not re.fullmatch(r"https?://[^\s?#]+", links.address):
            self._say((*path, "address"), "is no http:// or https:// address without ? and #")

    def ports(self, config: Config) -> None:
        """Two ends do not share an address; nor does the broker live at one of them."""
        mqtt, metrics, links = config.mqtt, config.metrics, config.links
        if metrics.enabled and links.enabled and metrics.port == links.port:
            self._say(("links", "port"), f"port {links.port} is that of `metrics.port`")
        same_machine = mqtt.host in _LOOPBACK or mqtt.host == metrics.host
        if mqtt.enabled and metrics.enabled and same_machine and mqtt.port == metrics.port:
            self._say(("metrics", "port"), f"port {metrics.port} is the broker's (`mqtt.port`)")

    def directories(self, config: Config) -> None:
        """The two directories are apart, and sockets fit into the runtime one."""
        if config.data_dir == config.runtime_dir:
            self._say(("runtime_dir",), "must not be the same as `data_dir`")
        for key, name in (("data_dir", config.data_dir), ("runtime_dir", config.runtime_dir)):
            if "\0" in name or (Path(name).exists() and not Path(name).is_dir()):
                self._say((key,), "is not a directory")
        longest = max(len(f"{config.runtime_dir}/{name}".encode()) for name in _SOCKET_NAMES)
        if longest > _LONGEST_SOCKET:
            said = f"too long by {longest - _LONGEST_SOCKET} bytes for the sockets in it"
            self._say(("runtime_dir",), said)

    def file(self, path: KeyPath, name: str) -> None:
        """A file that is named is there and can be read."""
        if name and self._files:
            self._say(path, _file_fault(name))


def _certificates(mqtt: MqttConfig) -> Iterable[tuple[str, str]]:
    return (
        ("ca_file", mqtt.ca_file),
        ("client_cert", mqtt.client_cert),
        ("client_key", mqtt.client_key),
    )


def _date_fault(text: str) -> str | None:
    fault = f"expected a date, YYYY-MM-DD, got {text!r}"
    try:
        return None if date.fromisoformat(text).isoformat() == text else fault
    except ValueError:
        return fault


def _file_fault(name: str) -> str | None:
    try:
        require_regular(Path(name))
        with Path(name).open("rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        return f"{name} cannot be read: {reason}"
    return None
