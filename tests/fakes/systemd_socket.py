"""A socket in the place of systemd's, which keeps what a daemon notifies."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self


class SystemdSocket:
    """Give the daemon `env`; `watchdog` is the interval in seconds within which it must be fed."""

    def __init__(self, folder: Path, watchdog: float = 0.0) -> None:
        path = folder / "notify"
        self.env = {"NOTIFY_SOCKET": str(path)}
        if watchdog:
            self.env["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self._status = ""
        self.ready = False
        self.fed_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def read(self) -> None:
        """Take over what has arrived."""
        with contextlib.suppress(BlockingIOError):
            while True:
                name, _, value = self._socket.recv(65536).decode().partition("=")
                if name == "STATUS":
                    self._status = value
                elif name == "WATCHDOG":
                    self.fed_at = time.monotonic()
                elif name == "READY":
                    self.ready = True

    @property
    def status(self) -> str:
        """The newest status text."""
        self.read()
        return self._status

    def fed_since(self, moment: float) -> bool:
        """Return whether the watchdog was fed after `moment` (monotonic); read often for this."""
        self.read()
        return self.fed_at > moment
