"""Every kind of camera in the real sandbox of the real daemon, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import signal
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import msgspec
import pytest

from maskwatch.lab.rtsp import RtspServer
from tests.fakes.attacks import REFUSED, attacks
from tests.fakes.attacks.calls import Targets
from tests.fakes.certificates import self_signed
from tests.fakes.clips import make_clip, picture
from tests.fakes.quick_daemon import QuickDaemon, ServiceDaemon
from tests.fakes.service_user import service_environment
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(400)]
_FAMILIES = ("network/", "local/")


@pytest.fixture(params=[QuickDaemon, ServiceDaemon], ids=["root", "service"])
def kind(request: pytest.FixtureRequest) -> type[QuickDaemon]:
    found: type[QuickDaemon] = request.param
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder beside pytest's, which each run of pytest closes to other users again."""
    with tempfile.TemporaryDirectory(prefix="maskwatch-") as name:
        yield Path(name)


def motion_jpeg(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj420p"
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(picture(number), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def cameras(folder: Path) -> Iterator[dict[str, str]]:
    """A camera of each kind: its address and more keys, as YAML."""
    h264 = make_clip(folder / "h264.mp4", frames=50, rate=10, gop=10)
    hevc = make_clip(folder / "hevc.mp4", codec="hevc", frames=50, rate=10, gop=10)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(folder))
    with ExitStack() as stack:
        plain = stack.enter_context(RtspServer())
        secure = stack.enter_context(RtspServer(tls=context))
        closed = stack.enter_context(RtspServer(users={"user": "word"}))
        for server in (plain, secure, closed):
            server.add("h264", h264)
        plain.add("hevc", hevc)
        yield {
            "tcp": f"'{plain.url('h264')}'",
            "udp": f"'{plain.url('h264')}', transport: udp",
            "hevc": f"'{plain.url('hevc')}'",
            "named": f"'rtsp://localhost:{plain.port}/h264'",
            "tls": f"'{secure.url('h264')}', tls_verify: false",
            "login": f"'{closed.url('h264')}'",
            "file": f"'{h264}'",
            "hevc-file": f"'{hevc}'",
            "motion-jpeg": f"'{motion_jpeg(folder / 'motion.avi')}'",
        }


def test_every_kind_of_camera_is_watched_in_the_sandbox(
    kind: type[QuickDaemon], cameras: dict[str, str], folder: Path
) -> None:
    rows = "\n".join(f"  - {{name: {name}, rate: 2, url: {url}}}" for name, url in cameras.items())
    with kind(folder, rows, env=service_environment()) as daemon:
        daemon.wait_ready(150)
        for name in cameras:
            wait_until(lambda name=name: daemon.camera(name).frames > 3, 150, f"{name} is watched")
            assert {"seccomp", "brokered network"} <= set(daemon.camera(name).worker.sandbox)
        assert "was refused" not in daemon.log()


def test_no_way_out_is_open_to_a_worker_and_one_that_attacks_is_killed(
    kind: type[QuickDaemon], folder: Path
) -> None:
    targets = Targets(
        victims=(os.getpid(),), file="", folder="", unix=str(folder / "run/no.sock"), tcp=22, udp=53
    )
    clip = make_clip(folder / "clip.mp4", frames=50, rate=10, gop=10)
    (folder / "attack").write_text("networks")
    environment = {
        **service_environment(),
        "MASKWATCH_TEST_WORKER": "tests.fakes.hostile_worker",
        "MASKWATCH_TEST_ATTACK": str(folder / "attack"),
        "MASKWATCH_TEST_TARGETS": msgspec.json.encode(targets).decode(),
    }
    expected = [name for name, _ in attacks() if name.startswith(_FAMILIES)]
    with RtspServer() as server:
        server.add("a", clip)
        row = f"  - {{name: a, url: '{server.url('a')}'}}"
        with kind(folder, row, env=environment) as daemon:
            wait_until(lambda: "attacks: {" in daemon.log(), 120, "all are tried")
            line = next(each for each in daemon.log().splitlines() if "attacks: {" in each)
            (folder / "attack").write_text("system_calls")
            os.kill(daemon.pid_of("a"), signal.SIGKILL)
            wait_until(lambda: "made the system call" in daemon.log(), 120, "it is killed for an attack")
            incident = lambda: [each.kind for each in daemon.status().incidents]  # noqa: E731 - waited for
            wait_until(lambda: "worker_misbehaved" in incident(), 60, "it is reported")
    results = json.loads(line.partition("attacks: ")[2])
    assert set(results) == set(expected)
    assert {name: error for name, error in results.items() if error not in REFUSED | {"ENOENT"}} == {}
