"""What tells a hung child from a busy one: heartbeats, its own deadline, frames that advance."""

from __future__ import annotations

from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Heartbeat
from maskwatch.supervisor.timeouts import Timeouts

__all__ = ["HangDetector"]

# In these states frames must come; in all others standing still is in order.
_WATCHING = frozenset({CameraState.LIVE, CameraState.BLIND})


class HangDetector:
    """Follows one running child; times are monotonic seconds, given by the caller.

    Args:
        limits: how long to wait for what.
        started: when the process was started.
        standstill: seconds in which frames may stand still while the state is LIVE or BLIND, or
            None for a child whose work may rest (the recorder).

    """

    def __init__(self, limits: Timeouts, started: float, standstill: float | None) -> None:
        self.started = started
        self.ready_at: float | None = None
        self.beat: Heartbeat | None = None
        self._limits = limits
        self._standstill = standstill
        self._heard = started
        self._ready_by = started + limits.ready
        self._leave_by: float | None = None
        self._moved = started

    def ready(self, now: float) -> None:
        """The child has done its set-up."""
        self.ready_at = self._heard = self._moved = now

    def heard(self, beat: Heartbeat, now: float) -> None:
        """A heartbeat came."""
        previous = self.beat
        if previous is None or beat.frames != previous.frames or beat.state not in _WATCHING:
            self._moved = now
        self._heard = now
        self._leave_by = None if beat.leave_by is None else now + beat.leave_by
        self.beat = beat

    def excuse(self, seconds: float) -> None:
        """Nobody was heard for so long because we did not listen: all deadlines move on."""
        self._ready_by += seconds
        self._heard += seconds
        self._moved += seconds
        if self._leave_by is not None:
            self._leave_by += seconds

    @property
    def opening(self) -> bool:
        """Whether the child is trying to reach its camera: to hang there is the camera's doing."""
        return self.beat is not None and self.beat.state not in _WATCHING

    def ailment(self, now: float) -> str:
        """Return what is wrong, in words; "" for a child that is well."""
        if self.ready_at is None:
            waited = now - self.started
            return "" if now < self._ready_by else f"was not ready after {waited:.0f} s"
        if now - self._heard > self._limits.heartbeat:
            return f"sent no heartbeat for {now - self._heard:.0f} s"
        if self._leave_by is not None and now > self._leave_by + self._limits.overdue:
            assert self.beat is not None  # the deadline came with it
            return f"overstayed its deadline in the state {self.beat.state}"
        if self._standstill is not None and now - self._moved > self._standstill:
            return f"processed no frame for {now - self._moved:.0f} s while live"
        return ""
