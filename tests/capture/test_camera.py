"""A camera that is watched continuously: its frames and its status through every failure."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maskwatch.backoff import Backoff
from maskwatch.capture.camera import LiveCamera, stream_options
from maskwatch.capture.reconnect import ReconnectDelays
from maskwatch.config.schema import CameraConfig, Transport
from maskwatch.domain import CameraState
from maskwatch.lab.rtsp import RtspServer
from maskwatch.secrets import Secret, SecretUrl
from tests.fakes.clips import number_of

ClipOf = Callable[..., Path]

_QUICK = ReconnectDelays(
    Backoff(first=0.05, cap=0.2, floor=0.02), Backoff(first=30.0, cap=30.0, min_fraction=0.5)
)


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer(users={"ann": "CANARY-4711"}) as server:
        yield server


class Watcher:
    """Reads a camera and records its states."""

    def __init__(self, url: str, **changes: object) -> None:
        self.reasons: list[str] = []
        attempt = changes.pop("attempt", 0)
        chosen = {"open_timeout": 2.0, "stall_timeout": 1.0, "rate": 10.0, **changes}
        config = CameraConfig(name="hall", url=SecretUrl(url), **chosen)  # type: ignore[arg-type] - test's own values
        self.camera = LiveCamera(
            config,
            delays=_QUICK,
            rng=random.Random(0),
            attempt=attempt,  # type: ignore[arg-type] - as above
            on_disconnect=self.reasons.append,
        )
        self.states = [self.camera.status.state]
        self.frames = 0

    def until(self, state: CameraState, seconds: float = 5.0) -> None:
        """Read until the camera is in a state."""
        self.watch(seconds, lambda: self.camera.status.state is state)
        assert self.camera.status.state is state

    def watch(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not done():
            self.frames += self.camera.read(0.02) is not None
            if self.camera.status.state is not self.states[-1]:
                self.states.append(self.camera.status.state)


@pytest.fixture
def watch() -> Iterator[Callable[..., Watcher]]:
    watchers: list[Watcher] = []

    def make(url: str, **changes: object) -> Watcher:
        watchers.append(Watcher(url, **changes))
        return watchers[-1]

    yield make
    for watcher in watchers:
        watcher.camera.close()


Watch = Callable[..., Watcher]


def test_a_camera_is_live_with_its_first_frame(
    server: RtspServer, clip_of: ClipOf, watch: Watch
) -> None:
    server.add("hall", clip_of()).stall = True
    watcher = watch(server.url("hall"))
    watcher.watch(0.8)
    assert watcher.camera.status.state is CameraState.CONNECTING
    assert watcher.frames == 0
    server.faults("hall").clear()
    watcher.until(CameraState.LIVE)
    assert watcher.frames == 1


def test_a_camera_that_reboots_comes_back(server: RtspServer, clip_of: ClipOf, watch: Watch) -> None:
    server.add("hall", clip_of())
    watcher = watch(server.url("hall"))
    watcher.until(CameraState.LIVE)
    server.offline()
    watcher.watch(1.0)
    status = watcher.camera.status
    assert status.attempt >= 2
    assert status.state in (CameraState.BACKOFF, CameraState.CONNECTING)
    server.online()
    watcher.until(CameraState.LIVE)
    assert watcher.camera.status.attempt == 0
    assert watcher.reasons[0] == "ended"
    assert set(watcher.reasons[1:]) == {"refused"}


def test_a_stall_is_noticed_and_reported_and_ends(
    server: RtspServer, clip_of: ClipOf, watch: Watch
) -> None:
    faults = server.add("hall", clip_of())
    watcher = watch(server.url("hall"))
    watcher.until(CameraState.LIVE)
    faults.stall = True
    watcher.watch(2.5, lambda: bool(watcher.reasons))
    assert watcher.reasons == ["stalled"]
    faults.clear()
    watcher.until(CameraState.LIVE)


@pytest.mark.parametrize("fault", ["silent", "garbage", "drip=20", "status=404", "close", "no_video"])
def test_the_camera_is_live_again_after_each_fault(
    server: RtspServer, clip_of: ClipOf, watch: Watch, fault: str
) -> None:
    server.add("hall", clip_of()).apply(fault)
    watcher = watch(server.url("hall"))
    watcher.watch(5.0, lambda: len(watcher.reasons) >= 1)
    assert watcher.reasons
    server.faults("hall").clear()
    watcher.until(CameraState.LIVE, 8.0)


def test_a_wrong_password_is_tried_once_and_then_not_for_minutes(
    server: RtspServer, clip_of: ClipOf, watch: Watch
) -> None:
    server.add("hall", clip_of())
    watcher = watch(server.url("hall", password="CANARY-wrong"))
    watcher.watch(1.0)
    status = watcher.camera.status
    assert watcher.reasons == ["unauthorized"]
    assert status.state is CameraState.BACKOFF
    assert status.retry_in(time.monotonic()) > 10.0
    assert "user name or password" in status.reason
    assert "CANARY" not in repr(status)


def test_the_camera_is_live_again_after_a_change_of_codec(
    server: RtspServer, clip_of: ClipOf, watch: Watch
) -> None:
    server.add("hall", clip_of())
    watcher = watch(server.url("hall"))
    watcher.until(CameraState.LIVE)
    server.switch("hall", clip_of(codec="hevc", size=(480, 320)))
    watcher.watch(3.0, lambda: bool(watcher.reasons))
    assert watcher.reasons == ["garbage"]
    watcher.until(CameraState.LIVE)
    assert watcher.camera.info is not None
    assert watcher.camera.info.codec == "hevc"


def test_transport_auto_finds_a_camera_that_offers_udp_only(
    server: RtspServer, clip_of: ClipOf, watch: Watch
) -> None:
    server.add("hall", clip_of()).refuse = "tcp"
    watcher = watch(server.url("hall"), transport=Transport.AUTO)
    watcher.until(CameraState.LIVE)
    assert watcher.reasons == ["other"]
    assert watcher.camera.info is not None
    assert watcher.camera.info.transport == "udp"


def test_a_black_picture_makes_a_camera_blind_but_frames_go_on(
    server: RtspServer, clip_of: ClipOf, watch: Watch
) -> None:
    server.add("hall", clip_of(frames=10, black=True))
    watcher = watch(server.url("hall"))
    watcher.until(CameraState.BLIND, 9.0)
    assert watcher.camera.status.reason == "black"
    frames = watcher.frames
    watcher.watch(0.5)
    assert watcher.frames > frames


def test_the_replacement_of_a_worker_waits_as_that_one_would_have(
    server: RtspServer, clip_of: ClipOf, watch: Watch
) -> None:
    server.add("hall", clip_of())
    watcher = watch(server.url("hall"), attempt=7)
    status = watcher.camera.status
    assert (status.state, status.attempt) == (CameraState.BACKOFF, 7)
    assert status.retry_in(time.monotonic()) > 0
    watcher.until(CameraState.LIVE)
    assert watcher.camera.status.attempt == 0


def test_read_returns_in_time_from_a_silent_camera(
    server: RtspServer, clip_of: ClipOf, watch: Watch
) -> None:
    server.add("hall", clip_of()).silent = True
    watcher = watch(server.url("hall"))
    waits = []
    end = time.monotonic() + 3.0
    while time.monotonic() < end:
        begun = time.monotonic()
        watcher.camera.read(0.1)
        waits.append(time.monotonic() - begun)
    assert max(waits) < 2.0


def test_the_status_has_the_moment_by_which_a_state_must_be_left(
    server: RtspServer, clip_of: ClipOf, watch: Watch
) -> None:
    server.add("hall", clip_of()).stall = True
    watcher = watch(server.url("hall"))
    watcher.watch(0.2)
    asked = time.monotonic()
    connecting = watcher.camera.status
    assert connecting.leave_by is not None
    assert 5.0 < connecting.leave_by - asked <= 7.0  # 2 s to open and 5 s of grace
    server.faults("hall").clear()
    watcher.until(CameraState.LIVE)
    asked = time.monotonic()
    live = watcher.camera.status
    assert live.leave_by is not None
    assert 5.0 < live.leave_by - asked <= 6.0  # 1 s to stall and 5 s of grace
    assert live.since > connecting.since


def test_counts_continue_over_reconnections(server: RtspServer, clip_of: ClipOf, watch: Watch) -> None:
    server.add("hall", clip_of())
    watcher = watch(server.url("hall"))
    watcher.until(CameraState.LIVE)
    sampled = watcher.camera.counts.sampled
    server.disconnect("hall")
    watcher.watch(2.0, lambda: bool(watcher.reasons))
    watcher.until(CameraState.LIVE)
    watcher.watch(0.5)
    assert watcher.camera.counts.sampled > sampled + 2


def test_a_camera_returns_its_frames_in_order(server: RtspServer, clip_of: ClipOf, watch: Watch) -> None:
    server.add("hall", clip_of(frames=500))
    camera = watch(server.url("hall")).camera
    frames = [frame for frame in (camera.read(5.0) for _ in range(5)) if frame is not None]
    numbers = [number_of(frame.image) for frame in frames]
    assert len(numbers) == 5
    assert numbers == sorted(numbers)


def test_a_hundred_unreachable_cameras_cost_little() -> None:
    config = CameraConfig(name="x", url=SecretUrl("rtsp://127.0.0.1:9/x"))
    cameras = [LiveCamera(config, rng=random.Random(n)) for n in range(100)]
    for camera in cameras:  # each is refused once, and backs off
        while camera.status.state is not CameraState.BACKOFF or camera.status.attempt == 0:
            camera.read(0.01)
    threads = threading.active_count()
    used = time.process_time()
    for camera in cameras:
        camera.read(0.002)
    assert time.process_time() - used < 0.2
    assert threads < 20
    assert all(camera.status.attempt >= 1 for camera in cameras)


# -- configuration -----------------------------------------------------------------------------


def test_the_sub_stream_is_preferred_and_gets_the_credentials() -> None:
    config = CameraConfig(
        name="hall",
        url=SecretUrl("rtsp://host/main"),
        substream=SecretUrl("rtsp://host/sub"),
        username="ann",
        password=Secret("p@ss"),
        transport=Transport.AUTO,
        tls_verify=False,
        open_timeout=7.0,
        stall_timeout=3.0,
    )
    options = stream_options(config)
    assert options.url.reveal() == "rtsp://ann:p%40ss@host/sub"
    assert options.transport is Transport.TCP
    assert (options.open_timeout, options.stall_timeout, options.tls_verify) == (7.0, 3.0, False)
    assert "p%40ss" not in repr(options)


def test_an_unreached_camera_imports_neither_numpy_nor_opencv() -> None:
    program = (
        "import sys, maskwatch.capture.camera;"
        "print([name for name in ('numpy', 'cv2', 'ai_edge_litert') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_reconnecting_leaks_neither_descriptors_nor_threads(
    server: RtspServer, clip_of: ClipOf, watch: Watch
) -> None:
    server.add("hall", clip_of())
    watcher = watch(server.url("hall"))
    watcher.until(CameraState.LIVE)
    before = _resources()
    for number in range(1, 13):
        server.disconnect("hall")
        watcher.watch(3.0, lambda number=number: len(watcher.reasons) >= number)  # type: ignore[misc] - bound now
        watcher.until(CameraState.LIVE)
    assert watcher.reasons == ["ended"] * 12
    descriptors, threads = _resources()
    assert descriptors <= before[0] + 2  # one connection may be closing
    assert threads <= before[1] + 1


def _resources() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


@pytest.mark.parametrize("seed", range(4))
def test_no_sequence_of_faults_stops_the_reader(clip_of: ClipOf, watch: Watch, seed: int) -> None:
    """Every fault that the server has; then the camera is healthy again."""
    rng = random.Random(seed)
    with RtspServer(seed=seed) as server:
        faults = server.add("hall", clip_of(codec=rng.choice(["h264", "hevc"]), frames=100, gop=10))
        watcher = watch(server.url("hall"), transport=rng.choice(list(Transport)))
        for _ in range(8):
            faults.corrupt, faults.drop = rng.random() ** 2, rng.random() ** 3
            faults.garbage = rng.random() < 0.2
            faults.clock_offset = rng.choice([0.0, 1e5, -1e5])
            if rng.random() < 0.2:
                server.disconnect("hall")
            watcher.watch(0.4)
        faults.clear()
        watcher.until(CameraState.LIVE, 15.0)
        watcher.camera.close()
