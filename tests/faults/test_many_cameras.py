"""A hundred unreachable cameras in the real daemon, before one that is reachable."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.memory import pss
from maskwatch.lab.rtsp import RtspServer
from maskwatch.supervisor.process_usage import read_usage
from tests.fakes.clips import make_clip
from tests.fakes.quick_daemon import QuickDaemon, dead_cameras, wait_started

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

HEAVY = ("libav", "cv2", "litert", "numpy", "_sqlite")
DEAD = 100


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[QuickDaemon]:
    clip = make_clip(tmp_path / "clip.mp4", frames=50, rate=10, gop=10)
    with RtspServer() as server:
        server.add("a", clip)
        last = f"  - {{name: a, url: '{server.url('a')}'}}"
        with QuickDaemon(tmp_path, f"{dead_cameras(DEAD)}\n{last}") as running:
            yield running


def cpu_seconds(pids: list[int]) -> float:
    usages = [read_usage(pid) for pid in pids]
    assert None not in usages
    return sum(usage.cpu for usage in usages if usage is not None)


@pytest.mark.long
@pytest.mark.sweep
def test_a_hundred_unreachable_cameras_delay_nothing_and_use_little(
    daemon: QuickDaemon,
) -> None:
    wait_started(daemon, 240)
    begun = re.findall(r"started the worker of (\w+)", daemon.log())
    assert begun[0] == "a", "a reachable camera starts first"
    daemon.wait_ready(120)
    status = daemon.status()
    dead = [c.worker.pid for c in status.cameras if c.worker.pid and c.name != "a"]
    assert len(dead) == DEAD
    for pid in (*dead, daemon.process.pid):
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert not any(name in mapped for name in HEAVY)
    before, frames = cpu_seconds(dead), daemon.camera("a").frames
    time.sleep(5)
    assert daemon.camera("a").frames > frames
    assert cpu_seconds(dead) - before < 5 / 3, "less than a third of a core"
    assert sum(map(pss, dead)) / DEAD < 20, "MiB"
    assert [c.worker.pid for c in daemon.status().cameras if c.name != "a"] == dead, "none was replaced"
    assert daemon.stop(60) == 0
