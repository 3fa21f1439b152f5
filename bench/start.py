"""How soon the daemon watches: from its start, and from the death of a worker, to an analysed frame.

    python -m bench.start [--cameras 8] [--kills 5] [--people 0] [--spawn] [--json]

The daemon runs with 1080p cameras of our RTSP server. The first figure is the time
from its start until the last camera has an analysed frame. Then workers are killed one after the other;
the second figure is the time from the kill to the first analysed frame of the next worker. It includes
the pause before a restart, which is random, of at most 0.5 s. With `--spawn`, workers are programs of
their own instead of forks.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from maskwatch.errors import ControlError
from maskwatch.ipc.control import CameraReport, StatusReport, StatusRequest, ask, control_socket
from maskwatch.lab.crowd import crowd_clip
from maskwatch.lab.rtsp import RtspServer

_TIMEOUT = 120.0
_POLL = 0.02


class TimedDaemon:
    """A running daemon; `started` is the monotonic time of its start."""

    def __init__(self, folder: Path, url: str, cameras: int, *, fork: bool) -> None:
        rows = "".join(f"  - {{name: c{i}, url: '{url}'}}\n" for i in range(cameras))
        self._runtime = folder / "run"
        config = folder / "config.yaml"
        config.write_text(
            f"data_dir: {folder}/data\nruntime_dir: {self._runtime}\nmqtt: {{enabled: false}}\n"
            f"supervision: {{fork_workers: {str(fork).lower()}}}\n"
            f"metrics: {{port: 0}}\nstore: {{reserve_megabytes: 0}}\ncameras:\n{rows}"
        )
        command = [sys.executable, "-m", "maskwatch", "run", "--config", str(config)]
        self.started = time.monotonic()
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def cameras(self) -> list[CameraReport]:
        """Return the cameras; none while the daemon does not answer yet."""
        try:
            status = ask(control_socket(self._runtime), StatusRequest(), timeout=10)
        except ControlError:
            return []
        return list(status.cameras) if isinstance(status, StatusReport) else []

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


@contextmanager
def running(clip: Path, cameras: int, *, fork: bool) -> Iterator[TimedDaemon]:
    """Run a daemon whose cameras all show the clip."""
    with RtspServer() as server, tempfile.TemporaryDirectory() as folder:
        server.add("crowd", clip)
        daemon = TimedDaemon(Path(folder), server.url("crowd"), cameras, fork=fork)
        try:
            yield daemon
        finally:
            daemon.stop()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait; exit where it takes more than two minutes."""
    deadline = time.monotonic() + _TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"no frame was analysed within {_TIMEOUT:.0f} s")
        time.sleep(_POLL)


def first_frames(daemon: TimedDaemon, cameras: int) -> float:
    """Return the seconds from the daemon's start until every camera has an analysed frame."""

    def all_watched() -> bool:
        found = daemon.cameras()
        return len(found) == cameras and all(camera.frames for camera in found)

    wait_until(all_watched)
    return time.monotonic() - daemon.started


def restarted(daemon: TimedDaemon, index: int) -> float:
    """Kill the worker of a camera; return the seconds until the next one has analysed a frame."""
    victim = daemon.cameras()[index].worker.pid
    assert victim is not None  # it was watched
    killed = time.monotonic()
    os.kill(victim, signal.SIGKILL)

    def watched_again() -> bool:
        camera = daemon.cameras()[index]
        return camera.worker.pid not in (None, victim) and camera.frames > 0

    wait_until(watched_again)
    return time.monotonic() - killed


def main() -> None:
    """Run and print both figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--people", type=int, default=0, help="in the picture")
    parser.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--spawn", action="store_true", help="workers are programs of their own")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clip = crowd_clip(options.folder, options.people)
    with running(clip, options.cameras, fork=not options.spawn) as daemon:
        start = first_frames(daemon, options.cameras)
        restarts = [restarted(daemon, turn % options.cameras) for turn in range(options.kills)]
    if options.json:
        print(json.dumps({"start": start, "restarts": restarts}))
        return
    print(f"start to the first analysed frame of {options.cameras} cameras: {start:.2f} s")
    restart = statistics.median(restarts)
    print(f"kill of a worker to the next one's first: {restart:.2f} s (median of {len(restarts)})")


if __name__ == "__main__":
    main()
