"""A machine that is too slow for a camera is reported everywhere, and so is the end of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskwatch.domain import Incident, IncidentKind
from maskwatch.lab.rtsp import RtspServer
from tests.fakes.clips import make_clip
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.starvation import starved
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


def overloads(daemon: QuickDaemon) -> list[Incident]:
    return [each for each in daemon.status().incidents if each.kind is IncidentKind.OVERLOADED]


@pytest.mark.long
@pytest.mark.sweep
def test_a_starved_camera_is_overloaded_until_it_gets_its_processor_time(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=250, rate=25, gop=25)
    with RtspServer() as server:
        server.add("hall", clip)
        server.add("yard", clip)
        cameras = (
            f"  - {{name: hall, url: '{server.url('hall')}', rate: 25}}\n"
            f"  - {{name: yard, url: '{server.url('yard')}', rate: 2}}\n"
        )
        with QuickDaemon(tmp_path, cameras) as daemon:
            daemon.wait_ready()
            wait_until(lambda: daemon.camera("hall").frames > 0, 60, "the camera is analysed")
            with starved(daemon.pid_of("hall"), 0.5):
                wait_until(lambda: bool(overloads(daemon)), 300, "the camera is overloaded")
                (incident,) = overloads(daemon)
                assert incident.camera == "hall"
                assert incident.reason.endswith(" frames were analysed in the last minute")
                camera = daemon.camera("hall")
                assert camera.reason.startswith("overloaded: ")
                assert "(overloaded: " in daemon.run("status").stdout
                assert "hall: overloaded: " in daemon.fetch("readyz")
                ratio = "maskwatch_camera_analysed_ratio"
                wait_until(
                    lambda: 0 < daemon.metric(ratio, camera="hall") < 0.85, 60, "the ratio is served"
                )
            wait_until(lambda: not overloads(daemon), 300, "the overload has ended")
            assert "overloaded" not in daemon.fetch("readyz")
            assert daemon.stop() == 0
