"""The intervals in which each camera was healthy: only visits in them must be found."""

from __future__ import annotations

import time
from collections import defaultdict, deque

from maskwatch.errors import MaskwatchError
from tests.fakes.quick_daemon import QuickDaemon

_GAP = 1.5  # seconds between two checks that belong to the same interval
# Frames a second, of the configured five: an overloaded machine analyses fewer, and misses visits.
# Heartbeats come once a second, so the rate is measured over several seconds.
_MIN_RATE = 3.0
_WINDOW_S = 3.0
_MIN_WINDOW = 2.0


class Health:
    """Polls the daemon's status and keeps the healthy intervals."""

    def __init__(self, daemon: QuickDaemon) -> None:
        self._daemon = daemon
        self._counts: dict[str, deque[tuple[float, int]]] = defaultdict(deque)
        self._healthy: dict[str, list[list[float]]] = defaultdict(list)
        self.pids: dict[str, int] = {}

    def poll(self) -> bool:
        """Poll once; return whether all cameras are live and the recorder runs."""
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
        intervals = self._healthy[camera]
        if intervals and now - intervals[-1][1] <= _GAP:
            intervals[-1][1] = now
        else:
            intervals.append([now, now])

    def _advances(self, camera: str, frames: int, now: float) -> bool:
        """Return whether enough frames were analysed lately."""
        counts = self._counts[camera]
        if counts and frames < counts[-1][1]:  # a replaced worker counts from 0 again
            counts.clear()
        counts.append((now, frames))
        while len(counts) > 1 and counts[1][0] <= now - _WINDOW_S:
            counts.popleft()
        passed = now - counts[0][0]
        return passed >= _MIN_WINDOW and frames - counts[0][1] >= _MIN_RATE * passed

    def was_healthy(self, camera: str, begin: float, end: float) -> bool:
        """Return whether one healthy interval covers all of [begin, end] (monotonic seconds)."""
        return any(first <= begin and end <= last for first, last in self._healthy[camera])
