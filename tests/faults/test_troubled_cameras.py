"""All faults of cameras at the same time: each is detected and reported, and ends without a restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from maskwatch.ipc.control import CameraReport
from maskwatch.lab.rtsp import RtspServer
from tests.fakes.clips import make_clip
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

LOST = {
    "stalls": "stall",
    "silent": "silent",
    "garbage": "garbage",
    "drips": "drip=20",
    "hangs-up": "close",
}
"""Cameras that send no more pictures, and their faults."""
CODECS = {"wider": "h264", "recoded": "hevc"}
"""Cameras that continue with pictures of another size, in this codec."""
NAMES = (*LOST, *CODECS, "torn", "healthy")


@dataclass
class Harness:
    daemon: QuickDaemon
    server: RtspServer
    locked: RtspServer
    """Requires a password; its one camera is `locked`."""
    folder: Path

    def reports(self) -> dict[str, CameraReport]:
        return {report.name: report for report in self.daemon.status().cameras}

    def pids(self) -> dict[str, int | None]:
        return {name: report.worker.pid for name, report in self.reports().items()}

    def live(self, *names: str) -> bool:
        """Return whether all send pictures; one whose picture changed may count as moved."""
        return all(self.reports()[name].state in ("live", "blind") for name in names)

    def wait_for_frames(self, *names: str) -> None:
        before = self.reports()
        wait_until(
            lambda: all(self.reports()[name].frames > before[name].frames + 2 for name in names),
            90,
            f"frames of {names} continue",
        )


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    folder = tmp_path_factory.mktemp("harness")
    clip = make_clip(folder / "clip.mp4", frames=50, rate=10, gop=10)
    with ExitStack() as stack:
        server = stack.enter_context(RtspServer())
        locked = stack.enter_context(RtspServer(users={"ann": "CANARY-old"}))
        for name in NAMES:
            server.add(name, clip)
        locked.add("locked", clip)
        urls = {name: server.url(name) for name in NAMES}
        urls["locked"] = locked.url("locked", user="ann", password="CANARY-old")
        more = "rate: 2, open_timeout: 3, stall_timeout: 6"
        rows = "\n".join(f"  - {{name: {name}, url: '{url}', {more}}}" for name, url in urls.items())
        daemon = stack.enter_context(QuickDaemon(folder, rows))
        daemon.wait_ready(120)
        harness = Harness(daemon, server, locked, folder)
        wait_until(lambda: harness.live(*urls), 180, "all cameras are live")
        yield harness
        assert daemon.stop() == 0
        assert not [word for word in ("CANARY", "Traceback") if word in daemon.log()]


@pytest.mark.long
def test_many_faulty_cameras_disturb_no_other_worker(
    harness: Harness,
) -> None:
    pids, since = harness.pids(), harness.reports()["healthy"].since
    wider = {
        codec: make_clip(
            harness.folder / f"{codec}.mp4", frames=50, rate=10, gop=10, codec=codec, size=(480, 320)
        )
        for codec in CODECS.values()
    }
    for name, fault in LOST.items():
        harness.server.faults(name).apply(fault)
    harness.server.disconnect("hangs-up")
    harness.server.faults("torn").drop = 0.3
    for name, codec in CODECS.items():
        harness.server.switch(name, wider[codec])
    reasons: dict[str, str] = {}

    def all_reported() -> bool:
        reports = harness.reports()
        lost = [name for name in LOST if reports[name].state in ("stalled", "backoff")]
        reasons.update({name: reports[name].reason for name in lost if reports[name].reason})
        return reasons.keys() == LOST.keys()

    wait_until(all_reported, 120, "each loss is reported")
    frames = "maskwatch_frames_total"
    wait_until(
        lambda: harness.daemon.metric(frames, camera="torn", fate="damaged") > 0, 60, "lost packets show"
    )
    harness.wait_for_frames("healthy", *CODECS)
    for name in (*LOST, "torn"):
        harness.server.faults(name).clear()
    back: set[str] = set()

    def all_back() -> bool:  # one after the other: on a busy machine one may stall again
        back.update(name for name in NAMES if harness.live(name))
        return back == set(NAMES)

    wait_until(all_back, 300, "each is live again")  # the pauses have grown
    harness.wait_for_frames(*NAMES)
    assert harness.pids() == pids, "no worker had to be replaced"
    assert harness.reports()["healthy"].since == since


@pytest.mark.long
def test_a_wrong_password_is_tried_once_so_that_the_camera_locks_nothing_out(
    harness: Harness,
) -> None:
    harness.locked.set_users({"ann": "CANARY-new"})
    refused = harness.locked.counts("locked").refused
    harness.locked.disconnect("locked")

    def reported() -> bool:
        report = harness.reports()["locked"]
        return report.state == "backoff" and "user name or password" in report.reason

    wait_until(reported, 60, "the reason is reported")
    attempts = harness.locked.counts("locked").refused
    assert attempts > refused
    others = [name for name in NAMES if name != "locked"]
    for _ in range(3):
        harness.wait_for_frames(*others)
    assert reported()
    assert harness.locked.counts("locked").refused == attempts, "it is not retried"
    config = harness.daemon.config
    config.write_text(config.read_text().replace("CANARY-old", "CANARY-new"))
    done = harness.daemon.run("reload", "--wait")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: harness.live("locked"), 60, "the camera is live with its new password")
