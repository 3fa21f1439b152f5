"""Whether the daemon works, and whether it does what it is for: for /healthz, /readyz and systemd."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping, Sequence

from maskwatch.clock import Clock
from maskwatch.domain import CameraState, CameraStatus
from maskwatch.telemetry.http import HealthStatus

__all__ = ["Readiness", "SystemdNotifier"]


class SystemdNotifier:
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


_STUCK = 10.0
_NAMED = 5


class Readiness:
    """Updated by the main loop; `healthy` and `ready` may be called from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turned = clock.monotonic()
        self._condition = HealthStatus(ok=False, detail="starting")

    def turned(self) -> None:
        """The main loop has come round once more."""
        self._turned = self._clock.monotonic()

    def healthy(self) -> HealthStatus:
        """Whether the main loop turns."""
        still = self._clock.monotonic() - self._turned
        if still > _STUCK:
            return HealthStatus(ok=False, detail=f"the main loop has stood still for {still:.0f} s")
        return HealthStatus(ok=True, detail="the main loop turns")

    def ready(self) -> HealthStatus:
        """Whether cameras are watched and violations stored, in words."""
        healthy = self.healthy()
        return self._condition if healthy.ok else healthy

    def look(
        self, statuses: Sequence[CameraStatus], *, recording: bool, given: bool, trouble: str = ""
    ) -> HealthStatus:
        """Judge anew, and return what `ready` says from now on.

        Args:
            statuses: of all cameras.
            recording: whether the recorder runs.
            given: whether every camera has been given its worker.
            trouble: why the recorder cannot store now, "" if it can.

        """
        wanted = [s for s in statuses if s.state is not CameraState.DISABLED]
        live = [s for s in wanted if s.state in (CameraState.LIVE, CameraState.BLIND)]
        words = [f"{len(live)} of {len(wanted)} cameras live"]
        words += [f"{s.camera}: {s.state}" for s in wanted if s not in live][:_NAMED]
        words += [] if recording else ["the recorder does not run"]
        words += [f"the recorder cannot store now: {trouble}"] if trouble else []
        words += [] if given else ["still starting"]
        watching = bool(live) or not wanted
        self._condition = HealthStatus(
            ok=given and recording and not trouble and watching, detail="; ".join(words)
        )
        return self._condition
