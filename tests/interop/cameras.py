"""Starts the cameras of cells of the matrix, and names their addresses."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

from maskwatch.lab.rtsp import RtspServer
from tests.fakes.certificates import self_signed
from tests.fakes.clips import picture, write_clip
from tests.interop.live555 import built_camera
from tests.interop.matrix import Cell

GSTREAMER = ["/usr/bin/python3", str(Path(__file__).with_name("gstreamer_camera.py"))]
"""The system's Python: GStreamer's bindings are not on PyPI."""
SIZE = (160, 128)
"""Of every picture, as stored."""
ASPECTS = {"square": Fraction(1), "narrow": Fraction(1, 2), "wide": Fraction(2)}
RATE = 10
"""Pictures a second."""

_USER, _PASSWORD = "ann", "CANARY 1"
_AUTH = {"basic": "basic", "md5": "digest", "sha256": "digest-sha256"}
_CLOCKS = {"slow": 0.8, "fast": 1.25, "still": 0.0}
_LOOPS = 40  # of live555's files, which are sent once
_SET_AFTER_S = 3.0

# Their texture stands still, so that no camera counts as moved; their numbers change.
_PICTURES = [picture(40 * (number % 25), SIZE) for number in range(60)]


class Cameras:
    """The cameras of these cells; `urls` maps the name of each to its address, with the login."""

    def __init__(self, folder: Path) -> None:
        self.urls: dict[str, str] = {}
        self._folder = folder
        self._certificate = self_signed(folder)
        self._stack = ExitStack()

    @classmethod
    @contextmanager
    def of(cls, cells: list[Cell], folder: Path) -> Iterator[Cameras]:
        cameras = cls(folder)
        servers: dict[tuple[str, bool, str], list[Cell]] = defaultdict(list)
        for cell in cells:
            servers[cell.server, cell.transport == "tls", cell.login].append(cell)
        with cameras._stack:
            for (server, tls, login), served in servers.items():
                start = {
                    "lab": cameras._lab,
                    "gstreamer": cameras._gstreamer,
                    "live555": cameras._live555,
                }
                start[server](served, login, tls=tls)
            yield cameras

    def _clip(self, cell: Cell, suffix: str = "") -> Path:
        suffix = suffix or ("mov" if cell.codec == "mjpeg" else "mp4")
        path = self._folder / f"{cell.codec}-{cell.pixels}-{cell.refresh == 'intra'}.{suffix}"
        if not path.exists():
            write_clip(
                path,
                _PICTURES,
                codec=cell.codec,
                rate=RATE,
                gop=2 * RATE,
                aspect=ASPECTS[cell.pixels],
                intra_refresh=cell.refresh == "intra",
            )
        return path

    def _name(self, cell: Cell, port: int, *, tls: bool) -> None:
        login = f"{_USER}:{_PASSWORD.replace(' ', '%20')}"
        scheme = "rtsps" if tls else "rtsp"
        self.urls[cell.name] = f"{scheme}://{login}@127.0.0.1:{port}/{cell.name}"

    def _lab(self, cells: list[Cell], login: str, *, tls: bool) -> None:
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
        server = RtspServer(users={_USER: _PASSWORD}, auth=_AUTH[login], tls=context)
        self._stack.enter_context(server)
        for cell in cells:
            faults = server.add(cell.name, self._clip(cell), start="now")
            faults.join_anywhere = cell.refresh != "key"
            faults.clock_rate = _CLOCKS.get(cell.clock, 1.0)
            if cell.clock == "set":
                self._stack.enter_context(_set_again_and_again(faults))
            self._name(cell, server.port, tls=tls)

    def _gstreamer(self, cells: list[Cell], login: str, *, tls: bool) -> None:
        clips = [f"{cell.name}={self._clip(cell)}" for cell in cells]
        basic = ["--basic"] if login == "basic" else []
        more = ["--tls", str(self._certificate)] if tls else []
        self._process(
            [*GSTREAMER, *clips, "--user", f"{_USER}:{_PASSWORD}", *basic, *more], cells, tls=tls
        )

    def _live555(self, cells: list[Cell], _login: str, *, tls: bool) -> None:
        files = []
        for cell in cells:
            suffix = {"h264": "264", "hevc": "265"}[cell.codec]
            file = self._folder / f"{cell.name}.{suffix}"
            file.write_bytes(self._clip(cell, suffix).read_bytes() * _LOOPS)
            files.append(f"{cell.name}={file}")
        pem = str(self._certificate)
        more = ["--tls", pem, pem] if tls else []
        command = [str(built_camera()), "--user", f"{_USER}:{_PASSWORD}", *more, *files]
        self._process(command, cells, tls=tls)

    def _process(self, command: list[str], cells: list[Cell], *, tls: bool) -> None:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        word, _, port = process.stdout.readline().partition(" ")
        assert word == "ready", command
        for cell in cells:
            self._name(cell, int(port), tls=tls)


@contextmanager
def _set_again_and_again(faults: object) -> Iterator[None]:
    """Set a camera's clock an hour back and forth."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(_SET_AFTER_S):
            faults.clock_offset = 0.0 if faults.clock_offset else -3600.0  # type: ignore[attr-defined]

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
