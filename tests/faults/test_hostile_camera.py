"""Hostile cameras against the daemon's sandboxed workers: other cameras are not affected."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.lab.rtsp import RtspServer
from tests.fakes import hostile_pictures
from tests.fakes.clips import make_clip
from tests.fakes.hostile_camera import HostileCamera
from tests.fakes.quick_daemon import ROOT, QuickDaemon
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

_SESSIONS = 10  # each kind of mutation at least once
_TIMEOUTS = {"initial_backoff": 0.05, "max_backoff": 0.1, "restart_budget": 1000}


@pytest.mark.long
@pytest.mark.parametrize("transport", ["tcp", pytest.param("udp", marks=pytest.mark.sweep)])
def test_hostile_sessions_affect_one_camera_which_recovers_afterwards(
    tmp_path: Path, transport: str
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=50, rate=10, gop=10)
    env = {"MASKWATCH_TEST_WORKER": "tests.fakes.eager_worker"}
    more = f"open_timeout: 3, stall_timeout: 1, rate: 2, transport: {transport}"
    with HostileCamera(seed=4711) as hostile, RtspServer() as server:
        server.add("good", clip)
        rows = (
            f"  - {{name: hall, url: 'rtsp://ann:CANARY-4711@127.0.0.1:{hostile.port}/hall', {more}}}\n"
            f"  - {{name: good, url: '{server.url('good')}', rate: 2}}"
        )
        with QuickDaemon(tmp_path, rows, env=env, **_TIMEOUTS) as daemon:
            daemon.wait_ready(120)
            wait_until(lambda: daemon.state_of("good") == "live", 120, "the good camera is live")
            before, recorder = daemon.camera("good"), daemon.status().recorder.pid
            done = hostile.served + _SESSIONS
            wait_until(lambda: hostile.served >= done, 240, "every mutation was sent")
            reasons = {
                line.partition("reason=")[2] for line in daemon.log().splitlines() if "backoff" in line
            }
            wait_until(
                lambda: daemon.camera("good").frames > before.frames, 60, "the good camera continues"
            )
            now = daemon.camera("good")
            assert (now.worker.pid, now.since) == (before.worker.pid, before.since)
            assert daemon.status().recorder.pid == recorder
            healthy = hostile.port
            hostile.close()
            with RtspServer(port=healthy) as repaired:
                repaired.add("hall", clip)
                wait_until(lambda: daemon.state_of("hall") == "live", 120, "the hall camera is live")
            assert daemon.stop() == 0
            log = daemon.log()
    assert hostile.played >= {"frames", "rtp", "nal"}  # the session reached PLAY, so they were sent
    assert "sandboxed: " in log
    assert "seccomp" in log
    assert reasons
    assert "no such stream" not in log, "an invalid answer is not reported as a wrong path"
    assert not [word for word in ("CANARY", "Traceback") if word in log]


@pytest.mark.long
@pytest.mark.parametrize(
    ("size", "references", "words"),
    [((15360, 8640), 0, "larger than max_pixels"), ((7680, 4320), 16, "more memory than")],
)
def test_a_camera_of_huge_pictures_names_its_limit_and_costs_no_other_camera(
    tmp_path: Path, size: tuple[int, int], references: int, words: str
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=50, rate=10, gop=10)
    more = "mqtt: {enabled: false}\nsupervision: {worker_megabytes: 512}"
    with RtspServer() as server:
        server.add("good", clip)
        server.add("huge", hostile_pictures.clip([size] * 40, references=references))
        rows = (
            f"  - {{name: huge, url: '{server.url('huge')}', open_timeout: 60, stall_timeout: 60}}\n"
            f"  - {{name: good, url: '{server.url('good')}', rate: 2}}"
        )
        with QuickDaemon(tmp_path, rows, more, **_TIMEOUTS) as daemon:
            daemon.wait_ready(120)
            wait_until(lambda: daemon.state_of("good") == "live", 120, "the good camera is live")
            wait_until(lambda: words in daemon.log(), 120, "the limit is named")
            before = daemon.camera("good")
            wait_until(
                lambda: daemon.camera("good").frames > before.frames, 60, "the good camera continues"
            )
            counted = daemon.fetch("metrics")
            assert daemon.stop() == 0
    assert 'reason="too_large"' in counted or 'reason="memory"' in counted


def _frames_in(daemon: QuickDaemon, cameras: list[str], seconds: float) -> float:
    """Return the frames per second that these cameras have been analysed at, together."""
    before = sum(daemon.camera(name).frames for name in cameras)
    time.sleep(seconds)
    return (sum(daemon.camera(name).frames for name in cameras) - before) / seconds


@contextlib.contextmanager
def _hostile_server(kind: str) -> Iterator[str]:
    """Serve a kind of `hostile_pictures` from another process, at the lowest priority."""
    command = ["nice", "-n", "19", sys.executable, "-m", "tests.fakes.hostile_pictures", kind]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as server:  # type: ignore[call-overload] - as documented
        yield server.stdout.readline().strip()
        server.stdin.close()


@pytest.mark.long
@pytest.mark.sweep
def test_cameras_that_cost_a_processor_leave_the_others_their_share(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=50, rate=10, gop=10)
    good = ["one", "two", "three"]
    with RtspServer() as server, contextlib.ExitStack() as stack:
        urls = {kind: stack.enter_context(_hostile_server(kind)) for kind in hostile_pictures.KINDS}
        for name in good:
            server.add(name, clip)
        rows = [f"  - {{name: {name}, url: '{server.url(name)}', rate: 3}}" for name in good]
        with QuickDaemon(tmp_path, "\n".join(rows), **_TIMEOUTS) as daemon:
            daemon.wait_ready(120)
            for name in good:
                wait_until(lambda name=name: daemon.state_of(name) == "live", 120, "all are live")
            alone = _frames_in(daemon, good, 10)
            rows += [f"  - {{name: {kind}, url: '{url}', rate: 3}}" for kind, url in urls.items()]
            text = daemon.config.read_text()
            daemon.config.write_text(text.partition("cameras:")[0] + "cameras:\n" + "\n".join(rows))
            assert daemon.run("reload").returncode == 0
            wait_until(lambda: daemon.camera("sliced").worker.pid is not None, 60, "it is watched")
            time.sleep(5)
            beside = _frames_in(daemon, good, 20)
            assert daemon.stop() == 0
    assert beside > 0.5 * alone
