"""When each camera was well: only then must a visit have been found."""

from __future__ import annotations

import time
from collections import defaultdict

from maskwatch.errors import MaskwatchError
from tests.faults.quick import QuickDaemon

__all__ = ["Health"]

_GAP = 1.5  # seconds between two looks that still count as one healthy stretch


class Health:
    """Looks at the daemon's status again and again, and remembers the healthy stretches."""

    def __init__(self, daemon: QuickDaemon) -> None:
        self._daemon = daemon
        self._advanced: dict[str, tuple[int, float]] = {}  # frames, and when they last rose
        self.well: dict[str, list[list[float]]] = defaultdict(list)
        self.pids: dict[str, int] = {}

    def look(self) -> bool:
        """Ask once; return whether all cameras and the recorder are well."""
        now = time.monotonic()
        try:
            status = self._daemon.status()
        except (MaskwatchError, OSError):
            self.pids = {}
            return False
        self.pids = {camera.name: camera.worker.pid or 0 for camera in status.cameras}
        self.pids["recorder"] = status.recorder.pid or 0
        recording = status.recorder.phase == "running"
        good = [
            self._note(c.name, c.state == "live" and recording, c.frames, now) for c in status.cameras
        ]
        return bool(good) and all(good)

    def _note(self, camera: str, live: bool, frames: int, now: float) -> bool:
        before, since = self._advanced.get(camera, (frames, float("-inf")))
        if frames != before:  # a replaced worker counts from 0 again
            since = now
        self._advanced[camera] = (frames, since)
        if not live or now - since > _GAP:
            return False
        stretches = self.well[camera]
        if stretches and now - stretches[-1][1] <= _GAP:
            stretches[-1][1] = now
        else:
            stretches.append([now, now])
        return True

    def was_well(self, camera: str, begin: float, end: float) -> bool:
        """Return whether one healthy stretch covers all of [begin, end] (monotonic seconds)."""
        return any(first <= begin and end <= last for first, last in self.well[camera])
