"""A snapshot that somebody asked for: taken of the next frame, or refused with the reason."""

from __future__ import annotations

from maskwatch.config.schema import CameraConfig, Pictures
from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Command, CommandResult

__all__ = ["SnapshotRequest"]

_PATIENCE = 5.0  # seconds for a frame to come; the supervisor waits for twice that
_EVERY = 2.0  # seconds between two snapshots: each costs a detection and an upload


class SnapshotRequest:
    """Knows the one command that waits for a frame; times are monotonic seconds."""

    def __init__(self, camera: CameraConfig) -> None:
        self._camera = camera
        self._asked: Command | None = None
        self._deadline = 0.0
        self._free_at = 0.0

    def ask(self, command: Command, state: CameraState, reason: str, now: float) -> CommandResult | None:
        """Take a command; return why it is refused, or None: it waits for the next frame."""
        fault = self._fault(state, reason, now)
        if fault:
            return _refused(command, fault)
        self._asked, self._deadline, self._free_at = command, now + _PATIENCE, now + _EVERY
        return None

    def _fault(self, state: CameraState, reason: str, now: float) -> str:
        if state is not CameraState.LIVE:
            why = f" ({reason})" if reason else ""
            return f"{self._camera.name} is {state}{why}: there is no picture to take"
        if self._camera.pictures is Pictures.NONE:
            return f"{self._camera.name} has `pictures: none` in the configuration"
        if self._asked is not None or now < self._free_at:
            return f"too many snapshots: one in {_EVERY:.0f} s for each camera"
        return ""

    def take(self) -> Command | None:
        """Return the command that waits for a frame, now that there is one."""
        asked, self._asked = self._asked, None
        return asked

    def overdue(self, now: float) -> CommandResult | None:
        """Give up a command for which no frame came in time."""
        if self._asked is None or now < self._deadline:
            return None
        asked, self._asked = self._asked, None
        return _refused(asked, f"no frame came within {_PATIENCE:.0f} s")


def _refused(command: Command, detail: str) -> CommandResult:
    return CommandResult(id=command.id, ok=False, detail=detail)
