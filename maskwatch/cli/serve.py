"""`maskwatch serve clip.mp4`: video files as RTSP cameras, for tests of the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from maskwatch.lab.rtsp import RtspServer


@click.command()
@click.argument("clips", nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8554,
    show_default=True,
    help="Port to listen on; 0: any free one.",
)
@click.option("--user", help="Name that clients must log in with; the password is in --password-env.")
@click.option(
    "--password-env",
    default="MASKWATCH_SERVE_PASSWORD",
    show_default=True,
    help="Environment variable with the password.",
)
@click.option(
    "--auth",
    type=click.Choice(["digest", "basic"]),
    default="digest",
    show_default=True,
    help="Method of the login.",
)
@click.option("--once", is_flag=True, help="Play each clip once and hold its last picture.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="[NAME:]FAULT[=VALUE]",
    help="Fault from the start; may be given more than once. Standard input changes faults later.",
)
def serve(
    clips: tuple[str, ...],
    host: str,
    port: int,
    user: str | None,
    password_env: str,
    auth: str,
    once: bool,
    faults: tuple[str, ...],
) -> None:
    r"""Serve the H.264, H.265 or MJPEG files CLIPS as live cameras, looped, over TCP and UDP.

    A camera is named after its file, or as in NAME=FILE. Lines on standard input change faults
    while clients are connected: `drop=0.05`, `hall:stall`, `hall:clear`. The faults are corrupt
    and drop (share of packets, 0 to 1), omit (share of whole pictures, with no gap in the numbers),
    stall, silent, garbage, drip (bytes a second), status (401, 404, ...), close, no_video,
    join_anywhere (begin between key pictures), clock_rate (1 is right; 0 stands still); `clear` ends
    every fault.

    \b
    Examples:
      maskwatch serve clip.mp4
      maskwatch serve hall=a.mp4 door=b.mp4 --port 9554 --fault door:drop=0.02
      MASKWATCH_SERVE_PASSWORD=secret maskwatch serve clip.mp4 --user admin
    """
    from contextlib import closing

    from maskwatch.errors import PortInUseError
    from maskwatch.lab.rtsp import RtspServer

    server = RtspServer(host, port, users=_users(user, password_env), auth=auth)
    with closing(server):
        try:
            server.start()
        except OSError as error:
            raise PortInUseError(f"cannot listen on {host}:{port}: {error.strerror}") from None
        names = _add(server, clips, once)
        for command in faults:
            _apply(server, names, command)
        _read_commands(server, names)


def _users(user: str | None, password_env: str) -> dict[str, str]:
    import os

    from maskwatch.errors import SecretError
    from maskwatch.secrets import Secret

    if user is None:
        return {}
    password = os.environ.get(password_env)
    if not password:
        raise SecretError(f"set the environment variable {password_env} to the password of {user}")
    return {user: Secret(password).reveal()}


def _add(server: RtspServer, clips: tuple[str, ...], once: bool) -> list[str]:
    """Serve every clip, print its address, and return the names."""
    from maskwatch.secrets import redact

    names = []
    for clip in clips:
        name, sign, path = clip.partition("=")
        name, path = (name, path) if sign else (Path(clip).stem, clip)
        server.add(name, path, loop=not once, hold_last=once)
        found = server.clip(name)
        click.echo(
            f"{redact(server.url(name))}  {found.codec.value} {found.width}x{found.height} "
            f"{found.rate:.1f} fps, {found.seconds:.1f} s"
        )
        names.append(name)
    return names


def _apply(server: RtspServer, names: list[str], line: str) -> None:
    """Apply a fault command to the camera that it names, or to all. Raises UsageError."""
    from maskwatch.errors import UsageError

    name, colon, words = line.strip().rpartition(":")
    if colon and name not in names:
        raise UsageError(f"no camera {name!r}, expected one of {', '.join(names)}")
    try:
        for each in [name] if colon else names:
            server.faults(each).apply(words)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _read_commands(server: RtspServer, names: list[str]) -> None:
    """Apply commands from standard input until an interrupt; the end of the input is ignored."""
    import signal
    import sys

    from maskwatch.errors import UsageError

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for line in filter(str.strip, sys.stdin):
            try:
                _apply(server, names, line)
                click.echo(f"done: {line.strip()}")
            except UsageError as error:
                click.echo(str(error), err=True)
        signal.pause()
    except KeyboardInterrupt:
        click.echo("stopped")
