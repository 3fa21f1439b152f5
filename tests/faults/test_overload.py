"""A machine that is too slow for its cameras lowers their rates, reports that, and restores them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from maskwatch.domain import CameraState, Incident, IncidentKind
from maskwatch.lab.rtsp import RtspServer
from tests.fakes.clips import write_clip
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.starvation import starved
from tests.fakes.views import scene
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1500), pytest.mark.long]

CURRENT = "maskwatch_camera_current_rate"


def overloads(daemon: QuickDaemon) -> list[Incident]:
    return [each for each in daemon.status().incidents if each.kind is IncidentKind.OVERLOADED]


def fixed_view(folder: Path) -> Path:
    """Return a clip of a fixed camera: few frames of a view that moves would show another view."""
    return write_clip(folder / "view.mp4", [scene(moment=number / 5) for number in range(250)])


def cameras_of(server: RtspServer, **rates: float) -> str:
    return "".join(
        f"  - {{name: {name}, url: '{server.url(name)}', rate: {rate}}}\n"
        for name, rate in rates.items()
    )


@pytest.mark.sweep
def test_the_rate_of_a_starved_camera_is_lowered_and_everything_says_so(tmp_path: Path) -> None:
    with RtspServer() as server:
        for name in ("hall", "yard"):
            server.add(name, fixed_view(tmp_path))
        with QuickDaemon(tmp_path, cameras_of(server, hall=25, yard=1), settle=1.0) as daemon:
            daemon.wait_ready()
            wait_until(lambda: daemon.camera("hall").frames > 0, 60, "the camera is analysed")
            with starved(daemon.pid_of("hall"), 0.5):
                wait_until(lambda: 0 < daemon.camera("hall").rate < 25, 120, "the rate is lowered")
                shown = r"camera     hall  live .* frames, [\d.]+ instead of 25 a second"
                assert re.search(shown, daemon.run("status").stdout)
                wait_until(lambda: 0 < daemon.metric(CURRENT, camera="hall") < 25, 60, "it is served")
            assert daemon.metric("maskwatch_camera_asked_rate", camera="hall") == 25
            assert daemon.camera("yard").rate == daemon.camera("yard").asked_rate == 1  # not below that
            assert "analysis rates lowered" in daemon.log()
            assert daemon.stop() == 0


@pytest.mark.sweep
def test_a_starved_camera_is_overloaded_until_it_gets_its_processor_time(tmp_path: Path) -> None:
    with RtspServer() as server:
        for name in ("hall", "yard"):
            server.add(name, fixed_view(tmp_path))
        with QuickDaemon(tmp_path, cameras_of(server, hall=5, yard=1)) as daemon:
            daemon.wait_ready()
            wait_until(lambda: daemon.camera("hall").frames > 0, 60, "the camera is analysed")
            with starved(daemon.pid_of("hall"), 0.5):
                wait_until(lambda: bool(overloads(daemon)), 300, "the camera is overloaded")
                (incident,) = overloads(daemon)
                assert incident.camera == "hall"
                assert " frames were analysed in the last minute" in incident.reason
                camera = daemon.camera("hall")
                assert camera.reason.startswith("overloaded: ")
                assert "(overloaded: " in daemon.run("status").stdout
                assert "hall: overloaded: " in daemon.fetch("readyz")
                ratio = "maskwatch_camera_analysed_ratio"
                wait_until(
                    lambda: 0 < daemon.metric(ratio, camera="hall") < 0.85, 60, "the ratio is served"
                )
                wait_until(
                    lambda: " instead of 5)" in daemon.fetch("readyz"), 180, "the lower rate is named"
                )
            wait_until(lambda: not overloads(daemon), 900, "the overload has ended")
            assert "overloaded" not in daemon.fetch("readyz")
            wait_until(lambda: daemon.camera("hall").rate == 5, 900, "the rate is restored")
            assert daemon.stop() == 0


@pytest.mark.sweep
def test_cameras_that_share_too_little_processor_get_one_rate(
    tmp_path: Path,
) -> None:
    names = [f"c{number}" for number in range(4)]
    with RtspServer() as server:
        for name in names:
            server.add(name, fixed_view(tmp_path))
        with QuickDaemon(tmp_path, cameras_of(server, **dict.fromkeys(names, 25)), settle=1.0) as daemon:
            daemon.wait_ready()
            wait_until(lambda: all(daemon.camera(n).frames for n in names), 120, "all are analysed")
            core = {min(os.sched_getaffinity(0))}
            for name in names:
                for thread in Path(f"/proc/{daemon.pid_of(name)}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), core)
            wait_until(
                lambda: all(0 < daemon.camera(n).rate < 25 for n in names), 400, "all are lowered"
            )
            assert {daemon.camera(name).state for name in names} == {CameraState.LIVE}
            wait_until(
                lambda: len({daemon.camera(n).rate for n in names}) == 1, 200, "all have one rate"
            )
            assert daemon.stop() == 0
