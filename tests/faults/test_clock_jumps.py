"""The wall clock jumps by hours while the daemon runs; its waits use the monotonic clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maskwatch.lab.rtsp import RtspServer
from tests.fakes.clips import make_clip
from tests.fakes.faked_clock import FakedClock
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


def hours_ahead(daemon: QuickDaemon) -> float:
    """Return the hours by which the newest frame's time is ahead of the true time."""
    last = daemon.camera("a").last_frame
    return 0.0 if last is None else (last - datetime.now(UTC)) / timedelta(hours=1)


@pytest.mark.long
def test_a_clock_jump_of_hours_disturbs_neither_frames_nor_processes(
    tmp_path: Path,
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=50, rate=10, gop=10)
    with RtspServer() as server, FakedClock(tmp_path) as clock:
        server.add("a", clip)
        camera = f"  - {{name: a, url: '{server.url('a')}'}}"
        with QuickDaemon(tmp_path, camera, env=clock.env) as daemon:
            daemon.wait_ready(90)
            wait_until(lambda: daemon.state_of("a") == "live", 90, "the camera is live")
            processes = set(daemon.children())
            for hours in (5, -7, 0):
                clock.jump_to(hours * 3600)
                wait_until(lambda h=hours: abs(hours_ahead(daemon) - h) < 0.1, 30, "the jump is seen")
                before, until = daemon.camera("a").frames, time.monotonic() + 3
                while time.monotonic() < until:
                    assert daemon.state_of("a") == "live"
                    time.sleep(0.2)
                wait_until(lambda n=before: daemon.camera("a").frames > n, 30, "frames go on")
            assert set(daemon.children()) == processes
            assert daemon.stop() == 0
