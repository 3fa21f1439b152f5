"""What is told to systemd (sd_notify), where there is one; silent where there is none."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

__all__ = ["Notifier"]


class Notifier:
    """Talks to the socket that NOTIFY_SOCKET names; never blocks and never fails.

    Args:
        environ: where systemd put its variables; default: this process's environment.

    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self.watchdog = _watchdog(environ)

    def ready(self) -> None:
        """Say that start-up, or a reload, is done."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Say in words how things are, for `systemctl status`."""
        self._send("STATUS=" + text.replace("\n", " "))

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.watchdog:
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Say that a reload begins, and when, as newer versions of systemd ask."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """Say that the end begins."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _send(self, text: str) -> None:
        if self._address:
            with contextlib.suppress(OSError):  # systemd may be busy, or gone: not our trouble
                self._socket.sendto(text.encode(), self._address)


def _watchdog(environ: Mapping[str, str]) -> float:
    """Return the seconds within which the watchdog must be fed, 0 if there is none for us."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return int(environ.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return 0.0
