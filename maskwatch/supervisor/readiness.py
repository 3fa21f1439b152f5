"""Whether the daemon works, and whether it does its task: for /healthz, /readyz and systemd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from maskwatch.clock import Clock
from maskwatch.domain import CameraState, CameraStatus
from maskwatch.telemetry.metrics_pages import HealthStatus

_STUCK_AFTER = 10.0
_NOTHING: Mapping[str, str] = MappingProxyType({})
_MAX_NAMED = 5  # cameras that the text lists


class Readiness:
    """Updated by the main loop; `healthy` and `ready` may be called from any thread.

    Attributes:
        fault: why the supervisor cannot do its work now, "" if it can.
    """

    def __init__(self, clock: Clock) -> None:
        self.fault = ""
        self._clock = clock
        self._last_turn = clock.monotonic()
        self._status = HealthStatus(ok=False, detail="starting")

    def main_loop_turned(self) -> None:
        """Record the time of a pass of the main loop."""
        self._last_turn = self._clock.monotonic()

    def healthy(self) -> HealthStatus:
        stuck = self._clock.monotonic() - self._last_turn
        if stuck > _STUCK_AFTER:
            return HealthStatus(ok=False, detail=f"the main loop is stuck since {stuck:.0f} s")
        if self.fault:
            return HealthStatus(ok=False, detail=self.fault)
        return HealthStatus(ok=True, detail="the main loop turns")

    def ready(self) -> HealthStatus:
        """Return whether cameras are watched and violations stored."""
        healthy = self.healthy()
        return self._status if healthy.ok else healthy

    def update(
        self,
        cameras: Sequence[CameraStatus],
        *,
        recorder_runs: bool,
        all_started: bool,
        store_trouble: str = "",
        recorder_trouble: str = "",
        missing: Mapping[str, str] = _NOTHING,
    ) -> HealthStatus:
        """Judge the daemon's state, and return what `ready` returns from now on.

        `store_trouble`: why the recorder cannot store now, "" if it can. `recorder_trouble`: why the
        recorder does not run. `missing`: by name, why something that the daemon needs is not there yet.
        """
        enabled = [status for status in cameras if status.state is not CameraState.DISABLED]
        live = [s for s in enabled if s.state in (CameraState.LIVE, CameraState.BLIND)]
        details = [f"{len(live)} of {len(enabled)} cameras live"]
        details += [self.fault] if self.fault else []
        details += [f"{s.camera}: {s.state}" for s in enabled if s not in live][:_MAX_NAMED]
        details += [f"{s.camera}: overloaded: {s.overload}" for s in live if s.overload][:_MAX_NAMED]
        trouble = f": {recorder_trouble}" if recorder_trouble else ""
        details += [] if recorder_runs else [f"the recorder does not run{trouble}"]
        details += [f"waiting for {name}: {reason}" for name, reason in missing.items()]
        details += [f"the recorder cannot store now: {store_trouble}"] if store_trouble else []
        details += [] if all_started else ["still starting"]
        watching = bool(live) or not enabled
        ok = not self.fault and all_started and recorder_runs and not store_trouble and watching
        self._status = HealthStatus(ok=ok, detail="; ".join(details))
        return self._status
