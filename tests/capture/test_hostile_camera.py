"""A hostile camera ends neither the process that watches it nor a later healthy stream."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from maskwatch.lab.rtsp import RtspServer
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
