"""Where every camera stands, put together from its keeper's phase and its worker's heartbeat."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from maskwatch.domain import CameraState, CameraStatus
from maskwatch.supervisor.child import ManagedChild, Phase

__all__ = ["CameraStatusTable"]

# A worker may have been taken over by what it decodes: its words go to logs and topics.
_LONGEST = 300


class CameraStatusTable:
    """Keeps the newest status of each camera, and tells each change of state or reason once.

    Args:
        now: the wall time in UTC.
        tell: called with every changed status.

    """

    def __init__(self, now: Callable[[], datetime], tell: Callable[[CameraStatus], None]) -> None:
        self._now = now
        self._tell = tell
        self._statuses: dict[str, CameraStatus] = {}

    def __getitem__(self, camera: str) -> CameraStatus:
        return self._statuses[camera]

    @property
    def all(self) -> tuple[CameraStatus, ...]:
        """Every camera's status."""
        return tuple(self._statuses.values())

    def look(self, keeper: ManagedChild) -> None:
        """Take over what a worker's keeper knows."""
        camera = keeper.kind.camera
        old = self._statuses.get(camera)
        new = self._status(keeper, old)
        if old is None or (old.state, old.reason) != (new.state, new.reason):
            self._statuses[camera] = new
            self._tell(new)

    def forget(self, camera: str) -> None:
        """The camera is configured no longer."""
        self._statuses.pop(camera, None)

    def _status(self, keeper: ManagedChild, old: CameraStatus | None) -> CameraStatus:
        camera, beat, now = keeper.kind.camera, keeper.beat, self._now()
        match keeper.phase:
            case Phase.IDLE:
                return CameraStatus(camera, CameraState.DISABLED, "disabled", now)
            case Phase.QUARANTINED:
                reason = f"its process failed too often; most recently it {keeper.why}"
                return CameraStatus(camera, CameraState.QUARANTINED, reason, now)
            case Phase.STOPPING if old is not None:
                return old
            case _ if beat is not None:
                return CameraStatus(camera, beat.state, beat.reason[:_LONGEST], beat.since)
            case _ if keeper.why:
                # A new worker is on its way; until it speaks, the camera is being reached again.
                return CameraStatus(camera, CameraState.BACKOFF, f"its process {keeper.why}", now)
            case _:
                return CameraStatus(camera, CameraState.CONNECTING, "starting", now)
