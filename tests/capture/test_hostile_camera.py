"""A hostile camera ends neither the process that watches it nor a later healthy stream."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maskwatch.lab.rtsp import Clip, RtspServer
from tests.fakes import hostile_pictures
from tests.fakes.hostile_camera import HostileCamera

_SESSIONS = 16
_MAX_KIB = 600 * 1024
_WATCH = """
import json, random, sys, time
from pathlib import Path
from maskwatch.backoff import Backoff
from maskwatch.capture.camera import LiveCamera
from maskwatch.capture.reconnect import ReconnectDelays
from maskwatch.config.schema import CameraConfig, Transport
from maskwatch.secrets import SecretUrl

url, healthy = sys.argv[1], Path(sys.argv[2])
config = CameraConfig(name="hall", url=SecretUrl(url), transport=Transport.TCP,
                      open_timeout=2.0, stall_timeout=1.0, rate=10.0)
quick = Backoff(first=0.05, cap=0.1, floor=0.02)
camera = LiveCamera(config, delays=ReconnectDelays(quick, quick), rng=random.Random(0))
seen, end = set(), time.monotonic() + 150
while time.monotonic() < end:
    was = healthy.exists()
    frame = camera.read(0.05)
    seen.add((camera.status.state.name, camera.status.reason))
    if was and frame is not None:
        break
# Not ru_maxrss: a child starts with that of its parent.
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0])
print(json.dumps([camera.status.state.name, peak, sorted(seen)]))
camera.close()
"""


def test_each_hostile_session_ends_with_a_reason_and_a_healthy_one_is_live(
    tmp_path: Path, clip_of: Callable[..., Path]
) -> None:
    healthy = tmp_path / "healthy"
    with HostileCamera(seed=4711) as hostile:
        url = f"rtsp://ann:CANARY-4711@127.0.0.1:{hostile.port}/hall"
        command = [sys.executable, "-c", _WATCH, url, str(healthy)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 100
        while hostile.served < _SESSIONS and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    assert hostile.served >= _SESSIONS
    assert hostile.played >= {"frames", "rtp", "nal"}  # else the handshake kept them from being sent
    with RtspServer(port=hostile.port) as server:
        server.add("hall", clip_of())
        healthy.touch()
        out, err = child.communicate(timeout=160)
    assert child.returncode == 0, err
    assert "Traceback" not in err
    state, peak, seen = json.loads(out)
    assert state == "LIVE"
    assert peak < _MAX_KIB
    reasons = {reason for name, reason in seen if name == "BACKOFF"}
    assert reasons
    assert all(reason and "CANARY" not in reason and "Error" not in reason for reason in reasons)


_READ = """
import json, sys, time
from pathlib import Path
from maskwatch.capture.container import StreamOptions
from maskwatch.capture.rtsp import RtspSource
from maskwatch.errors import SourceError
from maskwatch.secrets import SecretUrl
from maskwatch.worker.memory_limit import limit_memory

limit_memory(int(sys.argv[2]))
error, begun = "", time.process_time()
with RtspSource(StreamOptions(SecretUrl(sys.argv[1]), open_timeout=20, stall_timeout=10)) as source:
    end = time.monotonic() + float(sys.argv[3])
    try:
        while time.monotonic() < end:
            source.read(0.2)
    except SourceError as caught:
        error = f"{type(caught).__name__}: {caught}"
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
print(json.dumps([error, peak, source.counts.decoded]))
"""
_16K = 15360, 8640


def _watch(clip: Clip, megabytes: int, seconds: float = 4) -> tuple[str, int, int]:
    """Watch a clip for some seconds; return the error, the peak memory in KiB, the decoded pictures."""
    with RtspServer() as server:
        server.add("hall", clip)
        command = [sys.executable, "-c", _READ, server.url("hall"), str(megabytes), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    error, peak, decoded = json.loads(done.stdout)
    return error, peak, decoded


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([_16K] * 4, "pictures of 15360x8640, 132710400 pixels, are larger than max_pixels"),
        ([(320, 240)] * 40 + [_16K], "pictures of 15360x8640"),
        ([(16384, 16384)] * 4, "pictures of 16384x16384|nothing usable|not video"),
    ],
)
def test_a_picture_of_more_than_8k_is_refused_before_it_costs_memory(
    sizes: list[hostile_pictures.Size], words: str
) -> None:
    error, peak, _ = _watch(hostile_pictures.clip(sizes), 4096)
    assert re.search(words, error), error
    assert peak < 300 * 1024


def test_pictures_that_need_too_much_memory_end_the_connection_not_the_process() -> None:
    error, peak, _ = _watch(hostile_pictures.clip([(4096, 4096)] * 40, rate=3, references=16), 256, 40)
    assert error.startswith("SourceTooLargeError")
    assert "supervision.worker_megabytes" in error
    assert peak < 500 * 1024


@pytest.mark.long
@pytest.mark.parametrize(
    "clip",
    [
        hostile_pictures.clip([(16 * (1 + n), 16 * (200 - n)) for n in range(199)], rate=25),
        hostile_pictures.clip([(16, 16)] * 1000, rate=1000),
        hostile_pictures.clip([(4096, 2304)] * 25, slices=4000),
        hostile_pictures.clip([(64, 7680 * 8)] * 25),
    ],
    ids=["a new size each frame", "1000 pictures a second", "thousands of slices", "very narrow"],
)
def test_unusual_pictures_cost_bounded_memory(clip: Clip) -> None:
    _, peak, _ = _watch(clip, 1024)
    assert peak < _MAX_KIB
