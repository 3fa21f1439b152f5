"""Trouble reaches people by the broker: once when it begins, once when it ends."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from maskwatch.domain import IncidentKind
from maskwatch.ipc.control import RunCommand, ask, control_socket
from maskwatch.lab.broker import free_port
from maskwatch.lab.rtsp import RtspServer
from tests.fakes.clips import make_clip
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.mqtt_alerts import PublishedIncident, incidents_of
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


@dataclass
class Site:
    """A daemon with a camera `a` that a test may spoil and one, `dead`, that nobody finds."""

    daemon: QuickDaemon
    server: RtspServer
    listener: Listener
    clips: Path

    def told(self, kind: IncidentKind, camera: str = "a") -> list[PublishedIncident]:
        """What an independent subscriber was told of this trouble, also if it was told twice."""
        return [each for each in incidents_of(self.listener, camera) if each.kind == kind]

    def well(self) -> bool:
        """Whether nothing is wrong with `a`, and everybody knows."""
        open_now = [each for each in self.daemon.status().incidents if each.camera == "a"]
        heard_all = all(len(self.told(kind)) % 2 == 0 for kind in IncidentKind)
        return self.daemon.state_of("a") == "live" and not open_now and heard_all

    def suffers(
        self,
        kind: IncidentKind,
        begin: Callable[[], object],
        end: Callable[[], object],
        camera: str = "a",
    ) -> None:
        """Bring a trouble about and end it again; hold that each was told, once."""
        before = len(self.told(kind, camera))
        begin()
        self.listener.wait(lambda _: len(self.told(kind, camera)) == before + 1, 90)
        assert kind in {each.kind for each in self.daemon.status().incidents if each.camera == camera}
        end()
        self.listener.wait(lambda _: len(self.told(kind, camera)) == before + 2, 120)
        opened, closed = self.told(kind, camera)[before:]
        assert opened.id == closed.id
        assert (opened.number, opened.change) == (1, "opened")
        assert (closed.number, closed.change) == (2, "closed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    clips = {
        name: make_clip(folder / f"{name}.mp4", frames=50, rate=10, gop=10, black=name == "black")
        for name in ("a", "black")
    }
    with ExitStack() as stack:
        server = stack.enter_context(RtspServer())
        server.add("a", clips["a"])
        broker = stack.enter_context(Mosquitto(folder))
        listener = stack.enter_context(Listener(broker.port))
        cameras = (
            f"  - {{name: a, url: '{server.url('a')}', stall_timeout: 2}}\n"
            f"  - {{name: dead, url: 'rtsp://127.0.0.1:{free_port()}/x'}}"
        )
        more = f"mqtt: {{port: {broker.port}}}\nsupervision: {{offline_after: 3, blind_after: 1}}"
        timeouts = {
            "initial_backoff": 0.05,
            "restart_budget": 2,
            "restart_window": 120.0,
            "quarantine": 300.0,
        }
        daemon = stack.enter_context(QuickDaemon(folder, cameras, more, **timeouts))
        daemon.wait_ready(90)
        yield Site(daemon, server, listener, folder)
        assert daemon.stop() == 0


@pytest.fixture(autouse=True)
def well(site: Site) -> None:
    """A slow start, or the test before, may have been an incident of its own."""
    wait_until(site.well, 90, "nothing is wrong with the camera")


@pytest.mark.long
def test_a_camera_that_goes_offline_and_comes_back_is_one_incident_with_its_end(site: Site) -> None:
    def unplug() -> None:
        site.server.faults("a").close = True
        site.server.disconnect("a")

    site.suffers(IncidentKind.CAMERA_OFFLINE, unplug, site.server.faults("a").clear)
    wait_until(site.well, 60, "the camera is live again")


@pytest.mark.long
def test_a_camera_whose_picture_turns_black_is_one_incident_with_its_end(site: Site) -> None:
    site.suffers(
        IncidentKind.CAMERA_BLIND,
        lambda: site.server.switch("a", site.clips / "black.mp4"),
        lambda: site.server.switch("a", site.clips / "a.mp4"),
    )
    wait_until(site.well, 60, "the camera is live again")


def test_a_quarantine_is_one_incident_that_ends_when_the_camera_is_enabled(site: Site) -> None:
    def kill_again_and_again() -> None:
        def quarantined() -> bool:
            if pid := site.daemon.pid_of("dead"):
                os.kill(pid, signal.SIGKILL)
            return site.daemon.state_of("dead") == "quarantined"

        wait_until(quarantined, 60, "its worker is quarantined")

    def forgive() -> None:
        socket = control_socket(site.daemon.runtime)
        ask(socket, RunCommand(verb="enable", target="dead"), timeout=10)

    site.suffers(IncidentKind.QUARANTINE, kill_again_and_again, forgive, camera="dead")


@pytest.mark.long
def test_notifications_go_out_while_another_program_locks_the_database(site: Site) -> None:
    def unplug() -> None:
        site.server.faults("a").close = True
        site.server.disconnect("a")

    def heal() -> None:
        site.listener.wait(lambda _: site.told(IncidentKind.DISK, camera=""), 60)
        assert "(cannot store now: locked)" in site.daemon.run("status").stdout
        assert not site.daemon.ready()
        stranger.execute("ROLLBACK")
        site.server.faults("a").clear()

    recorder = site.daemon.status().recorder.pid
    with closing(sqlite3.connect(site.daemon.data / "maskwatch.db", isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        site.suffers(IncidentKind.CAMERA_OFFLINE, unplug, heal)
    site.listener.wait(lambda _: len(site.told(IncidentKind.DISK, camera="")) == 2, 60)
    opened, closed = site.told(IncidentKind.DISK, camera="")
    assert opened.id == closed.id
    assert "keeps the database locked" in opened.reason
    wait_until(site.daemon.ready, 60, "it is ready again")
    assert site.daemon.status().recorder.pid == recorder
