"""`maskwatch init`: write a small configuration to start from."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import click

from maskwatch.errors import UsageError

if TYPE_CHECKING:
    from maskwatch.config.schema import MqttConfig

_SECRETS = "secrets"
_BROKER_TIMEOUT = 1.0
# Words that YAML reads as something else than text are left to quoting.
_PLAIN = re.compile(r"[A-Za-z][\w./:@?&=%-]*[\w/]")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null"})


@dataclass(frozen=True, slots=True)
class _Camera:
    """A camera to write; the credentials are not in its address."""

    name: str
    address: str
    username: str = ""
    password: str = ""


@click.command()
@click.argument("file", metavar="[CONFIG]", type=click.Path(path_type=Path), default=Path("config.yaml"))
@click.option(
    "--camera",
    "cameras",
    metavar="NAME=ADDRESS",
    multiple=True,
    help="A camera, such as entrance=rtsp://192.0.2.10/stream1; may be given more than once.",
)
@click.option(
    "--broker",
    metavar="HOST[:PORT]",
    default="127.0.0.1",
    show_default=True,
    help="The MQTT broker that gets the alerts.",
)
@click.option("--no-broker", is_flag=True, help="Only store violations; publish nothing.")
@click.option("--force", is_flag=True, help="Replace CONFIG if it exists.")
def init(file: Path, cameras: tuple[str, ...], broker: str, no_broker: bool, force: bool) -> None:
    r"""Write a small configuration with comments to CONFIG [default: config.yaml].

    Without --camera the cameras are asked for. A password is written to a file of mode 0600 in the
    folder `secrets` beside CONFIG, and CONFIG refers to it. Unless run by root, data and sockets are
    in the folders `data` and `run` beside CONFIG.

    \b
    Examples:
      maskwatch init
      maskwatch init --camera entrance=rtsp://192.0.2.10/stream1 --broker broker.example:1883
      maskwatch init --camera door=clip.mp4 --no-broker test.yaml
    """
    from maskwatch.cli.check import print_text
    from maskwatch.config.load import check_config
    from maskwatch.errors import ConfigError

    if file.exists() and not force:
        raise UsageError(f"{file} exists already: name another file, or give --force to replace it")
    found = [_parse_camera(text) for text in cameras] or _ask_cameras()
    written = _write(file, found, "" if no_broker else broker)
    checked = check_config(file)
    print_text(file, checked)
    if checked.config is None:
        for path in written:
            path.unlink()
        raise SystemExit(ConfigError.exit_code)
    _print_next_steps(file, checked.config.mqtt)


def _parse_camera(text: str) -> _Camera:
    """Return the camera of NAME=ADDRESS; credentials in the address are taken out of it."""
    name, equals, address = text.partition("=")
    if not (equals and name and address):
        raise UsageError("--camera: expected NAME=ADDRESS, such as entrance=rtsp://192.0.2.10/stream1")
    return _camera(name, address)


def _camera(name: str, address: str) -> _Camera:
    scheme, separator, rest = address.partition("://")
    if not separator:
        return _Camera(name, str(Path(address).absolute()))
    user, at, host = rest.rpartition("@")
    if not at:
        return _Camera(name, address)
    username, _, password = user.partition(":")
    return _Camera(name, f"{scheme}://{host}", unquote(username), unquote(password))


def _ask_cameras() -> list[_Camera]:
    """Ask for cameras until an empty name is given."""
    if not sys.stdin.isatty():
        raise UsageError("which camera? Give --camera NAME=ADDRESS, or run it on a terminal")
    cameras: list[_Camera] = []
    while name := click.prompt(
        "Name of the camera" if not cameras else "Name of another camera (empty: no more)",
        default="" if cameras else "entrance",
        show_default=not cameras,
    ):
        camera = _camera(name, click.prompt("Its address", default="rtsp://192.0.2.10/stream1"))
        if not camera.username and "://" in camera.address:
            username = click.prompt("User name (empty: none)", default="", show_default=False)
            password = click.prompt("Password", hide_input=True, default="") if username else ""
            camera = _Camera(camera.name, camera.address, username, password)
        cameras.append(camera)
    return cameras


def _write(file: Path, cameras: list[_Camera], broker: str) -> list[Path]:
    """Write the configuration and its passwords; return the written files."""
    from maskwatch.files import replace_file

    folder = file.absolute().parent
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for camera in cameras:
            if camera.password:
                path = folder / _password_file(camera.name)
                path.parent.mkdir(mode=0o700, exist_ok=True)
                path.touch(mode=0o600)
                replace_file(path, f"{camera.password}\n".encode())
                written.append(path)
        replace_file(file, _text(cameras, broker).encode())
    except OSError as error:
        raise UsageError(f"{error.filename or file}: cannot be written: {error.strerror}") from error
    return [*written, file]


def _password_file(camera: str) -> str:
    """Return the path of a camera's password file, relative to the configuration."""
    return f"{_SECRETS}/{quote(camera, safe=' ')}.password"


def _text(cameras: list[_Camera], broker: str) -> str:
    lines = [
        "# Configuration of maskwatch. `maskwatch docs config.example.yaml` explains every key.",
        "# After a change: maskwatch check, then maskwatch reload.",
        "",
    ]
    if os.geteuid():
        lines += ["# Database and pictures; sockets. Relative to this file.", "data_dir: data"]
        lines += ["runtime_dir: run", ""]
    lines.append("cameras:")
    for camera in cameras:
        lines += [f"  - name: {_scalar(camera.name)}", f"    url: {_scalar(camera.address)}"]
        if camera.username:
            lines.append(f"    username: {_scalar(camera.username)}")
        if camera.password:
            lines.append(f"    password: {_scalar('file:' + _password_file(camera.name))}")
    lines += [
        "    # rate: 5             # frames analysed per second; more costs processor time",
        "    # smallest_face: 32   # height in pixels of the smallest face to judge",
        "    # zones:              # without zones, a mask is required in the whole picture",
        "    #   - {name: door, polygon: [[0.1, 0.2], [0.9, 0.2], [0.9, 1.0], [0.1, 1.0]]}",
        "",
    ]
    return "\n".join([*lines, *_broker_lines(broker)]) + "\n"


def _broker_lines(broker: str) -> list[str]:
    if not broker:
        return ["# Violations are stored, and not published.", "mqtt: {enabled: false}"]
    host, port = _host_and_port(broker)
    lines = ["# The broker that gets the alerts, under the topics maskwatch/...", "mqtt:"]
    lines += [f"  host: {_scalar(host)}", *([f"  port: {port}"] if port else [])]
    return [*lines, "  # username: maskwatch", "  # password: file:secrets/mqtt.password"]


def _host_and_port(broker: str) -> tuple[str, str]:
    """Return host and port ("" if not given) of HOST[:PORT]; an IPv6 address may be in brackets."""
    bracketed = re.fullmatch(r"\[(?P<host>[^\]]+)\](?::(?P<port>\d+))?", broker)
    if bracketed:
        return bracketed["host"], bracketed["port"] or ""
    host, colon, port = broker.rpartition(":")
    if broker.count(":") != 1:
        return broker, ""
    if not (host and colon and port.isdigit()):
        raise UsageError(f"--broker: expected HOST or HOST:PORT, got {broker!r}")
    return host, port


def _scalar(text: str) -> str:
    """Return `text` as YAML, quoted where YAML or maskwatch would read it as something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    return json.dumps(text.replace("${", "$${"), ensure_ascii=False)


def _print_next_steps(file: Path, mqtt: MqttConfig) -> None:
    from maskwatch.config.addresses import bracketed

    if mqtt.enabled and not _answers(mqtt.host, mqtt.port):
        click.echo(
            f"No broker answers at {bracketed(mqtt.host)}:{mqtt.port} now. Install one (Debian, Ubuntu: "
            "apt install mosquitto; Fedora: dnf install mosquitto), or write `mqtt: {enabled: false}`."
        )
    click.echo(f"Next: maskwatch run --config {file}")


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _BROKER_TIMEOUT):
            return True
    except OSError:
        return False
