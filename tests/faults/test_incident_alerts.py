"""Each incident is published once when it opens and once when it closes."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
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
class Harness:
    """A daemon with a camera `a`, whose faults a test controls, and an unreachable camera `dead`."""

    daemon: QuickDaemon
    server: RtspServer
    listener: Listener
    clips: Path

    def published(self, kind: IncidentKind, camera: str = "a") -> list[PublishedIncident]:
        """Return the incidents that an independent subscriber received, with repetitions."""
        return [each for each in incidents_of(self.listener, camera) if each.kind == kind]

    def is_healthy(self) -> bool:
        """Return whether `a` is live and every incident of it was published as closed."""
        open_now = [each for each in self.daemon.status().incidents if each.camera == "a"]
        all_closed = all(len(self.published(kind)) % 2 == 0 for kind in IncidentKind)
        return self.daemon.state_of("a") == "live" and not open_now and all_closed

    def check_incident(
        self,
        kind: IncidentKind,
        begin: Callable[[], object],
        end: Callable[[], object],
        camera: str = "a",
    ) -> None:
        """Cause an incident and end it; check that each was published once."""
        before = len(self.published(kind, camera))
        begin()
        self.listener.wait(lambda _: len(self.published(kind, camera)) == before + 1, 90)
        assert kind in {each.kind for each in self.daemon.status().incidents if each.camera == camera}
        end()
        self.listener.wait(lambda _: len(self.published(kind, camera)) == before + 2, 120)
        opened, closed = self.published(kind, camera)[before:]
        assert opened.id == closed.id
        assert (opened.number, opened.change) == (1, "opened")
        assert (closed.number, closed.change) == (2, "closed")


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    folder = tmp_path_factory.mktemp("harness")
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
        yield Harness(daemon, server, listener, folder)
        assert daemon.stop() == 0


@pytest.fixture(autouse=True)
def _healthy(harness: Harness) -> None:
    """Wait for the end of an incident of a slow start, or of the previous test."""
    wait_until(harness.is_healthy, 90, "the camera is live without an incident")


@pytest.mark.long
def test_a_camera_that_goes_offline_and_comes_back_is_one_incident_with_its_end(
    harness: Harness,
) -> None:
    def unplug() -> None:
        harness.server.faults("a").close = True
        harness.server.disconnect("a")

    harness.check_incident(IncidentKind.CAMERA_OFFLINE, unplug, harness.server.faults("a").clear)
    wait_until(harness.is_healthy, 60, "the camera is live again")


@pytest.mark.long
def test_a_camera_whose_picture_turns_black_is_one_incident_with_its_end(
    harness: Harness,
) -> None:
    harness.check_incident(
        IncidentKind.CAMERA_BLIND,
        lambda: harness.server.switch("a", harness.clips / "black.mp4"),
        lambda: harness.server.switch("a", harness.clips / "a.mp4"),
    )
    wait_until(harness.is_healthy, 60, "the camera is live again")


def test_a_quarantine_is_one_incident_that_ends_when_the_camera_is_enabled(
    harness: Harness,
) -> None:
    def kill_again_and_again() -> None:
        def quarantined() -> bool:
            if pid := harness.daemon.pid_of("dead"):
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(pid, signal.SIGKILL)
            return harness.daemon.state_of("dead") == "quarantined"

        wait_until(quarantined, 60, "its worker is quarantined")

    def enable() -> None:
        socket = control_socket(harness.daemon.runtime)
        ask(socket, RunCommand(verb="enable", target="dead"), timeout=10)

    harness.check_incident(IncidentKind.QUARANTINE, kill_again_and_again, enable, camera="dead")


@pytest.mark.long
@pytest.mark.sweep
def test_notifications_go_out_while_another_program_locks_the_database(harness: Harness) -> None:
    def unplug() -> None:
        harness.server.faults("a").close = True
        harness.server.disconnect("a")

    def heal() -> None:
        harness.listener.wait(lambda _: harness.published(IncidentKind.DISK, camera=""), 60)
        assert "(cannot store now: locked)" in harness.daemon.run("status").stdout
        assert not harness.daemon.ready()
        other.execute("ROLLBACK")
        harness.server.faults("a").clear()

    recorder = harness.daemon.status().recorder.pid
    with closing(sqlite3.connect(harness.daemon.data / "maskwatch.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        harness.check_incident(IncidentKind.CAMERA_OFFLINE, unplug, heal)
    harness.listener.wait(lambda _: len(harness.published(IncidentKind.DISK, camera="")) == 2, 60)
    opened, closed = harness.published(IncidentKind.DISK, camera="")
    assert opened.id == closed.id
    assert "keeps the database locked" in opened.reason
    wait_until(harness.daemon.ready, 60, "the daemon is ready again")
    assert harness.daemon.status().recorder.pid == recorder
