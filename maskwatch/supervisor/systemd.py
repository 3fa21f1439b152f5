"""The notification protocol of systemd (sd_notify): readiness, status text and watchdog."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class SystemdNotifier:
    """Sends to the socket that NOTIFY_SOCKET names; never blocks and never fails.

    `watchdog` is the number of seconds within which `alive` must be called, 0 without a watchdog.

    `environ` holds systemd's variables; default: this process's environment.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        name = environ.get("NOTIFY_SOCKET", "")
        self.watchdog = _watchdog(environ)
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)  # noqa: FBT003 - the socket's own signature

    def ready(self) -> None:
        """Report that start-up, or a reload, is complete."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        self._send("STATUS=" + text.replace("\n", " "))

    def alive(self) -> None:
        """Reset the watchdog's timer, if there is one."""
        if self.watchdog:
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Report that a reload begins, with its time, which systemd 253 and later require."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def close(self) -> None:
        self._socket.close()

    def _send(self, text: str) -> None:
        if self._address:
            with contextlib.suppress(OSError):  # systemd may be busy or gone; nothing depends on it
                self._socket.sendto(text.encode(), self._address)


def _watchdog(environ: Mapping[str, str]) -> float:
    """Return the watchdog's interval in seconds, 0 if there is none or it watches another process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return int(environ.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return 0.0
