"""Detects a hung child by its heartbeats, its own deadline, and frames that do not advance."""

from __future__ import annotations

from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Heartbeat
from maskwatch.supervisor.timeouts import Timeouts

# In these states frames must advance; in all others none are expected.
_CONNECTED = frozenset({CameraState.LIVE, CameraState.BLIND})


class HangDetector:
    """Follows one process of a child; times are monotonic seconds.

    Args:
        timeouts: how long to wait.
        started: when the process was started.
        stall_after: seconds without a new frame while LIVE or BLIND that count as a hang, or None
            for a child that may be idle (the recorder).
    """

    def __init__(self, timeouts: Timeouts, started: float, stall_after: float | None) -> None:
        self.started = started
        self.is_ready = False
        self.heartbeat: Heartbeat | None = None
        self._timeouts = timeouts
        self._stall_after = stall_after
        self._ready_by = started + timeouts.ready
        self._leave_by: float | None = None
        self._last_message = started
        self._last_progress = started

    def ready(self, now: float) -> None:
        self.is_ready = True
        self._last_message = self._last_progress = now

    def received(self, heartbeat: Heartbeat, now: float) -> None:
        previous = self.heartbeat
        advanced = previous is None or heartbeat.frames != previous.frames
        if advanced or heartbeat.state not in _CONNECTED:
            self._last_progress = now
        self._last_message = now
        self._leave_by = None if heartbeat.leave_by is None else now + heartbeat.leave_by
        self.heartbeat = heartbeat

    def extend_deadlines(self, seconds: float) -> None:
        """Give the child more time, since this process did not read its messages for so long."""
        self._ready_by += seconds
        self._last_message += seconds
        self._last_progress += seconds
        if self._leave_by is not None:
            self._leave_by += seconds

    @property
    def connecting(self) -> bool:
        """Whether the child is trying to reach its camera; a hang is then the camera's fault."""
        return self.heartbeat is not None and self.heartbeat.state not in _CONNECTED

    def hang_reason(self, now: float) -> str:
        """Return what shows that the child hangs, or "" if nothing does."""
        if not self.is_ready:
            return "" if now < self._ready_by else f"was not ready after {now - self.started:.0f} s"
        if now - self._last_message > self._timeouts.heartbeat:
            return f"sent no heartbeat for {now - self._last_message:.0f} s"
        if self._leave_by is not None and now > self._leave_by + self._timeouts.deadline_margin:
            assert self.heartbeat is not None  # the deadline came with it
            return f"missed its deadline in the state {self.heartbeat.state}"
        if self._stall_after is not None and now - self._last_progress > self._stall_after:
            return f"processed no frame for {now - self._last_progress:.0f} s while live"
        return ""
