"""The status of every camera, from its worker's phase and heartbeats."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from maskwatch.domain import CameraState, CameraStatus
from maskwatch.supervisor.child import ManagedChild, Phase

__all__ = ["CameraStatusTable"]

# A compromised worker chooses its reason freely, and it goes to logs and topics.
_MAX_REASON = 300


class CameraStatusTable:
    """Keeps the newest status of each camera, and reports each change of state or reason once."""

    def __init__(self, now: Callable[[], datetime], changed: Callable[[CameraStatus], None]) -> None:
        self._now = now
        self._changed = changed
        self._statuses: dict[str, CameraStatus] = {}

    def __getitem__(self, camera: str) -> CameraStatus:
        return self._statuses[camera]

    @property
    def all(self) -> tuple[CameraStatus, ...]:
        """Every camera's status."""
        return tuple(self._statuses.values())

    def update(self, worker: ManagedChild) -> None:
        """Take over the state of a camera's worker."""
        camera = worker.kind.camera
        old = self._statuses.get(camera)
        new = self._status(worker, old)
        if old is None or (old.state, old.reason) != (new.state, new.reason):
            self._statuses[camera] = new
            self._changed(new)

    def remove(self, camera: str) -> None:
        """Forget a camera that is no longer configured."""
        self._statuses.pop(camera, None)

    def _status(self, worker: ManagedChild, old: CameraStatus | None) -> CameraStatus:
        camera, heartbeat, now = worker.kind.camera, worker.heartbeat, self._now()
        match worker.phase:
            case Phase.IDLE:
                return CameraStatus(camera, CameraState.DISABLED, "disabled", now)
            case Phase.QUARANTINED:
                reason = f"its process failed too often; most recently it {worker.reason}"
                return CameraStatus(camera, CameraState.QUARANTINED, reason, now)
            case Phase.STOPPING if old is not None:
                return old
            case _ if heartbeat is not None:
                reason = heartbeat.reason[:_MAX_REASON]
                return CameraStatus(camera, heartbeat.state, reason, heartbeat.since)
            case _ if worker.reason:
                # Until the new worker's first heartbeat the camera counts as being reconnected.
                return CameraStatus(camera, CameraState.BACKOFF, f"its process {worker.reason}", now)
            case _:
                return CameraStatus(camera, CameraState.CONNECTING, "starting", now)
