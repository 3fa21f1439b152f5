"""Capture from an independent camera: GStreamer's RTSP server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from maskwatch.capture.container import StreamOptions
from maskwatch.capture.rtsp import RtspSource
from maskwatch.config.schema import CameraAuth, Transport
from maskwatch.errors import SourceNotFoundError, SourceUnauthorizedError
from maskwatch.secrets import SecretUrl
from tests.fakes.clips import number_of
from tests.fakes.waiting import SLACK

ClipOf = Callable[..., Path]

_PEER = Path(__file__).with_name("gstreamer_camera.py")
_PYTHON = "/usr/bin/python3"  # the system's: GStreamer's bindings are not on PyPI


def _has_gstreamer() -> bool:
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    try:
        return subprocess.run([_PYTHON, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(
    not _has_gstreamer(), reason="apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-bad"
)


@contextmanager
def camera(*arguments: str) -> Iterator[int]:
    """Run the peer; yields its port."""
    command = [_PYTHON, str(_PEER), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            word, port = process.stdout.readline().split()
            assert word == "ready"
            yield int(port)
        finally:
            process.kill()


@pytest.fixture(scope="module", params=["digest", "basic"])
def port(request: pytest.FixtureRequest, clip_of: ClipOf) -> Iterator[int]:
    clips = [f"{codec}={clip_of(codec=codec)}" for codec in ("h264", "hevc")]
    basic = ["--basic"] if request.param == "basic" else []
    with camera(*clips, "--user", "ann:CANARY 1", *basic) as port:
        yield port


def _source(port: int, path: str, transport: Transport, password: str = "CANARY%201") -> RtspSource:
    url = SecretUrl(f"rtsp://ann:{password}@127.0.0.1:{port}/{path}")
    options = StreamOptions(
        url, transport, open_timeout=5.0 * SLACK, stall_timeout=2.0 * SLACK, auth=CameraAuth.ANY
    )
    return RtspSource(options, rate=25)


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_camera_is_watched_over_every_transport(port: int, codec: str, transport: Transport) -> None:
    with _source(port, codec, transport) as source:
        assert_watched(source, codec)


@pytest.fixture(scope="module")
def repeating(clip_of: ClipOf) -> Iterator[int]:
    clips = [f"{codec}={clip_of(codec=codec, slices=4)}" for codec in ("h264", "hevc")]
    with camera(*clips, "--user", "ann:CANARY 1", "--repeat-sets") as port:
        yield port


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_parameter_sets_before_every_slice_damage_no_picture(
    repeating: int, codec: str, transport: Transport
) -> None:
    with _source(repeating, codec, transport) as source:
        assert_watched(source, codec)


def assert_watched(source: RtspSource, codec: str) -> None:
    """Read pictures of more than one group, in order and undamaged."""
    end = time.monotonic() + 5 * SLACK
    frames = []
    while len(frames) < 40 and time.monotonic() < end:
        frame = source.read(0.5)
        if frame is not None:
            frames.append(frame)
    assert len(frames) == 40
    assert source.info is not None
    assert (source.info.codec, source.info.size) == (codec, (320, 240))
    numbers = [number_of(frame.image) for frame in frames]
    assert all((later - earlier) % 50 in range(1, 10) for earlier, later in pairwise(numbers))
    assert source.counts.damaged == 0


def test_the_refusals_of_the_camera_are_understood(port: int) -> None:
    with (
        _source(port, "h264", Transport.TCP, password="wrong") as source,
        pytest.raises(SourceUnauthorizedError),
    ):
        next(iter(source))
    with _source(port, "nothing", Transport.TCP) as source, pytest.raises(SourceNotFoundError):
        next(iter(source))
