"""A snapshot on request: taken of the next frame, or refused with the reason."""

from __future__ import annotations

from maskwatch.config.schema import CameraConfig, Pictures
from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Command, CommandResult

_FRAME_TIMEOUT_S = 5.0  # the supervisor waits for the answer for twice that
_MIN_INTERVAL_S = 2.0  # each snapshot costs a detection and an upload


def refusal(command: Command, reason: str) -> CommandResult:
    return CommandResult(id=command.id, ok=False, detail=reason)


class SnapshotRequest:
    """Holds the one command that waits for a frame; times are monotonic seconds."""

    def __init__(self, camera: CameraConfig) -> None:
        self._camera = camera
        self._command: Command | None = None
        self._deadline = 0.0
        self._next_at = 0.0

    def request(
        self, command: Command, state: CameraState, reason: str, now: float
    ) -> CommandResult | None:
        """Take a command; return its refusal, or None if it waits for the next frame."""
        problem = self._problem(state, reason, now)
        if problem:
            return refusal(command, problem)
        self._command = command
        self._deadline, self._next_at = now + _FRAME_TIMEOUT_S, now + _MIN_INTERVAL_S
        return None

    def _problem(self, state: CameraState, reason: str, now: float) -> str:
        if state is not CameraState.LIVE:
            detail = f" ({reason})" if reason else ""
            return f"{self._camera.name} is {state}{detail}: there is no picture to take"
        if self._camera.pictures is Pictures.NONE:
            return f"{self._camera.name} has `pictures: none` in the configuration"
        if self._command is not None or now < self._next_at:
            return f"too many snapshots: one in {_MIN_INTERVAL_S:.0f} s for each camera"
        return ""

    def take(self) -> Command | None:
        """Return the command that waits for a frame, now that there is one."""
        command, self._command = self._command, None
        return command

    def expire(self, now: float) -> CommandResult | None:
        """Return the refusal of a command for which no frame came in time, once."""
        if self._command is None or now < self._deadline:
            return None
        command, self._command = self._command, None
        return refusal(command, f"no frame came within {_FRAME_TIMEOUT_S:.0f} s")
