"""Whether the daemon works, and whether it does what it is for: for /healthz, /readyz and systemd."""

from __future__ import annotations

from collections.abc import Sequence

from maskwatch.clock import Clock
from maskwatch.domain import CameraState, CameraStatus
from maskwatch.telemetry.http import Condition

__all__ = ["Readiness"]

_STUCK = 10.0
_NAMED = 5


class Readiness:
    """Updated by the main loop; `healthy` and `ready` may be called from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turned = clock.monotonic()
        self._condition = Condition(ok=False, detail="starting")

    def turned(self) -> None:
        """The main loop has come round once more."""
        self._turned = self._clock.monotonic()

    def healthy(self) -> Condition:
        """Whether the main loop turns."""
        still = self._clock.monotonic() - self._turned
        if still > _STUCK:
            return Condition(ok=False, detail=f"the main loop has stood still for {still:.0f} s")
        return Condition(ok=True, detail="the main loop turns")

    def ready(self) -> Condition:
        """Whether cameras are watched and violations stored, in words."""
        healthy = self.healthy()
        return self._condition if healthy.ok else healthy

    def look(
        self, statuses: Sequence[CameraStatus], *, recording: bool, given: bool, trouble: str = ""
    ) -> Condition:
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
        self._condition = Condition(
            ok=given and recording and not trouble and watching, detail="; ".join(words)
        )
        return self._condition
