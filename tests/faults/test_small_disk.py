"""The daemon on a small disk: what is removed first, its incident, and what is never removed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.full_disk import MIB, full_disk
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.mqtt_alerts import alert, alerts_of, incidents_of
from tests.fakes.quick_daemon import IDLE_CAMERA, SmallDiskDaemon, wait_started
from tests.fakes.samples import JPEG, change
from tests.fakes.thrifty_recorder import policy_environment
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

RETAIN_SOON = policy_environment(retention_pause=0.5)

PRESSURE = 64 * MIB
"""With less free space than this, the oldest pictures are removed."""


@dataclass
class Harness:
    daemon: SmallDiskDaemon
    listener: Listener

    def pictures(self) -> list[str]:
        """Return the ids of the violations that have a picture."""
        found = (self.daemon.inside / "pictures").rglob("*.jpg")
        return sorted(path.name.removesuffix("-1.jpg") for path in found)

    def disk_incidents(self) -> list[tuple[str, int, str]]:
        """Return id, number and kind of each published change of a disk incident, each once."""
        topic = "maskwatch/test/incident"
        bodies = [
            json.loads(each.payload) for each in list(self.listener.messages) if each.topic == topic
        ]
        changes = [(b["id"], b["number"], b["change"]) for b in bodies if b["kind"] == "disk"]
        return list(dict.fromkeys(changes))


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    folder = tmp_path_factory.mktemp("small")
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder))
        listener = stack.enter_context(Listener(broker.port))
        more = f"mqtt: {{port: {broker.port}}}"
        daemon = stack.enter_context(
            SmallDiskDaemon(folder, IDLE_CAMERA, more, RETAIN_SOON, megabytes=90)
        )
        wait_started(daemon)
        yield Harness(daemon, listener)
        assert daemon.stop() == 0


@contextmanager
def limited_space(folder: Path, free: int) -> Iterator[None]:
    """Have another program leave `free` bytes of space."""
    disk = os.statvfs(folder)
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - free)
    try:
        yield
    finally:
        ballast.unlink()


@pytest.mark.long
@pytest.mark.sweep
def test_when_space_runs_short_the_oldest_pictures_go_and_the_violations_stay(
    harness: Harness,
) -> None:
    with harness.daemon.connect_worker("door") as worker:
        indexes = range(100, 108)
        for index in indexes:
            worker.send(change(index, closed=True), JPEG + bytes(MIB))
        worker.wait(len(indexes))
    names = [alert(index)[0] for index in indexes]
    wait_until(lambda: set(names) <= set(harness.pictures()), 20, "the pictures are stored")
    harness.listener.wait(lambda _: {name for name, _ in alerts_of(harness.listener)} >= set(names), 60)
    with limited_space(harness.daemon.inside, PRESSURE - 2 * MIB - MIB // 2):
        wait_until(
            lambda: set(names) & set(harness.pictures()) == set(names[3:]),
            60,
            "the oldest are removed",
        )
        stored = harness.daemon.run("events export").stdout
        assert all(name in stored for name in names)
        wait_until(
            lambda: harness.daemon.metric("maskwatch_retention_removed_total", kind="picture") >= 3,
            20,
            "it is counted",
        )


@pytest.mark.long
def test_without_free_inodes_the_oldest_pictures_go_and_an_incident_says_so(tmp_path: Path) -> None:
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(tmp_path))
        listener = stack.enter_context(Listener(broker.port))
        more = f"mqtt: {{port: {broker.port}}}"
        daemon = stack.enter_context(
            SmallDiskDaemon(tmp_path, IDLE_CAMERA, more, RETAIN_SOON, megabytes=300, inodes=14)
        )
        wait_started(daemon)
        with daemon.connect_worker("door") as worker:
            for index in range(8):
                worker.send(change(index, closed=True), JPEG)
                assert worker.wait(index + 1)[-1].stored, "rows need no new files"
            first = set((daemon.inside / "pictures").rglob("*.jpg"))
            wait_until(
                lambda: daemon.metric("maskwatch_incidents_total", kind="disk") >= 1, 30, "an incident"
            )
            assert 0 < len(first) < 8
            listener.wait(lambda _: incidents_of(listener), 30)
            assert "no inodes" in incidents_of(listener)[0].reason
            assert daemon.metric("maskwatch_store_errors_total", reason="full") >= 1
            assert "maskwatch_store_free_inodes" in daemon.fetch("metrics")
            wait_until(
                lambda: daemon.metric("maskwatch_retention_removed_total", kind="picture") >= 1,
                60,
                "the oldest are removed",
            )
            wait_until(
                lambda: daemon.metric("maskwatch_incidents_open", kind="disk") == 0, 60, "it is closed"
            )
            worker.send(change(8, closed=True), JPEG)
            worker.wait(9)
            assert set((daemon.inside / "pictures").rglob("*.jpg")) - first, "a new one is stored"
        assert daemon.stop() == 0


@pytest.mark.long
def test_a_full_disk_is_one_incident_which_a_restarted_recorder_closes(
    harness: Harness,
) -> None:
    daemon = harness.daemon
    before = len(harness.disk_incidents())
    with full_disk(daemon.inside):
        with daemon.connect_worker("door") as worker:
            sent = 0
            while (daemon.inside / "reserve").exists():
                assert sent < 500, "the reserve is not released"
                worker.send(change(sent, closed=True), JPEG)
                sent += 1
                assert worker.wait(sent)[-1].stored, "rows use the space of the reserve"
        harness.listener.wait(lambda _: len(harness.disk_incidents()) == before + 1, 60)
        victim = daemon.status().recorder.pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: daemon.status().recorder.pid not in (None, victim), 60, "it is replaced")
        wait_until(lambda: daemon.status().recorder.phase == "running", 60, "the recorder runs")
        wait_until(
            lambda: daemon.metric("maskwatch_incidents_open", kind="disk") == 1,
            30,
            "it is still open",
        )
    harness.listener.wait(lambda _: len(harness.disk_incidents()) >= before + 2, 90)
    wait_until(lambda: daemon.metric("maskwatch_incidents_open", kind="disk") == 0, 30, "it is closed")
    (began, first, opened), (ended, second, closed) = harness.disk_incidents()[before:]
    assert began == ended
    assert (first, opened, second, closed) == (1, "opened", 2, "closed")
    harness.listener.wait(
        lambda _: {alert(index) for index in range(sent)} <= set(alerts_of(harness.listener)), 60
    )
