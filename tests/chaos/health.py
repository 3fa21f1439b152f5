"""When each camera was well: only then must a visit have been found."""

from __future__ import annotations

import time
from collections import defaultdict, deque

from maskwatch.errors import MaskwatchError
from tests.fakes.quick_daemon import QuickDaemon

__all__ = ["Health"]

_GAP = 1.5  # seconds between two looks that still count as one healthy stretch
# Frames a second, of the five that are asked for: a machine that does less is overloaded, and sees
# too little of people who pass by. Heartbeats come once a second, so look further back.
_LEAST_RATE = 3.0
_LOOK_BACK = 3.0
_LEAST_BACK = 2.0


class Health:
    """Looks at the daemon's status again and again, and remembers the healthy stretches."""

    def __init__(self, daemon: QuickDaemon) -> None:
        self._daemon = daemon
        self._counts: dict[str, deque[tuple[float, int]]] = defaultdict(deque)
        self.well: dict[str, list[list[float]]] = defaultdict(list)
        self.pids: dict[str, int] = {}

    def look(self) -> bool:
        """Ask once; return whether all cameras are live and the recorder runs."""
        now = time.monotonic()
        try:
            status = self._daemon.status()
        except (MaskwatchError, OSError):
            self.pids = {}
            return False
        self.pids = {camera.name: camera.worker.pid or 0 for camera in status.cameras}
        self.pids["recorder"] = status.recorder.pid or 0
        recording = status.recorder.phase == "running"
        for camera in status.cameras:
            self._note(camera.name, camera.state == "live" and recording, camera.frames, now)
        return recording and all(camera.state == "live" for camera in status.cameras)

    def _note(self, camera: str, live: bool, frames: int, now: float) -> None:
        advances = self._advances(camera, frames, now)
        if not (live and advances):
            return
        stretches = self.well[camera]
        if stretches and now - stretches[-1][1] <= _GAP:
            stretches[-1][1] = now
        else:
            stretches.append([now, now])

    def _advances(self, camera: str, frames: int, now: float) -> bool:
        """Return whether enough frames were analysed lately."""
        counts = self._counts[camera]
        if counts and frames < counts[-1][1]:  # a replaced worker counts from 0 again
            counts.clear()
        counts.append((now, frames))
        while len(counts) > 1 and counts[1][0] <= now - _LOOK_BACK:
            counts.popleft()
        passed = now - counts[0][0]
        return passed >= _LEAST_BACK and frames - counts[0][1] >= _LEAST_RATE * passed

    def was_well(self, camera: str, begin: float, end: float) -> bool:
        """Return whether one healthy stretch covers all of [begin, end] (monotonic seconds)."""
        return any(first <= begin and end <= last for first, last in self.well[camera])
