"""The daemon on a small disk: what goes first, what is told of it, and what never goes."""

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
from tests.fakes.mqtt_alerts import alert, alerts_of
from tests.fakes.quick_daemon import IDLE_CAMERA, SmallDiskDaemon, wait_started
from tests.fakes.samples import JPEG, change
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

PRESSURE = 64 * MIB
"""With less than this free the oldest pictures go."""


@dataclass
class Site:
    daemon: SmallDiskDaemon
    listener: Listener

    def pictures(self) -> list[str]:
        """The violations of which there is a picture."""
        found = (self.daemon.inside / "pictures").rglob("*.jpg")
        return sorted(path.name.removesuffix("-1.jpg") for path in found)

    def disk_incidents(self) -> list[tuple[str, int, str]]:
        """What was told of the disk: id, number and kind of the change; a kill may repeat one."""
        topic = "maskwatch/test/incident"
        heard = [
            json.loads(each.payload) for each in list(self.listener.messages) if each.topic == topic
        ]
        told = [(b["id"], b["number"], b["change"]) for b in heard if b["kind"] == "disk"]
        return list(dict.fromkeys(told))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("small")
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder))
        listener = stack.enter_context(Listener(broker.port))
        more = f"mqtt: {{port: {broker.port}}}"
        daemon = stack.enter_context(SmallDiskDaemon(folder, IDLE_CAMERA, more, megabytes=90))
        wait_started(daemon)
        yield Site(daemon, listener)
        assert daemon.stop() == 0


@contextmanager
def only(folder: Path, free: int) -> Iterator[None]:
    """Let somebody else leave no more than this much space."""
    disk = os.statvfs(folder)
    hog = folder / "hog"
    with hog.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - free)
    try:
        yield
    finally:
        hog.unlink()


@pytest.mark.long
def test_when_space_runs_short_the_oldest_pictures_go_and_the_violations_stay(site: Site) -> None:
    with site.daemon.connect_worker("door") as worker:
        ours = range(100, 108)
        for index in ours:
            worker.send(change(index, closed=True), JPEG + bytes(MIB))
        worker.wait(len(ours))
    names = [alert(index)[0] for index in ours]
    wait_until(lambda: set(names) <= set(site.pictures()), 20, "the pictures are stored")
    site.listener.wait(lambda _: {name for name, _ in alerts_of(site.listener)} >= set(names), 60)
    with only(site.daemon.inside, PRESSURE - 2 * MIB - MIB // 2):
        wait_until(
            lambda: set(names) & set(site.pictures()) == set(names[3:]), 60, "the oldest three go"
        )
        stored = site.daemon.run("events export").stdout
        assert all(name in stored for name in names)
        wait_until(
            lambda: site.daemon.metric("maskwatch_retention_removed_total", kind="picture") >= 3,
            20,
            "it is counted",
        )


@pytest.mark.long
def test_a_full_disk_is_one_incident_which_a_restarted_recorder_closes(
    site: Site,
) -> None:
    daemon = site.daemon
    before = len(site.disk_incidents())
    with full_disk(daemon.inside):
        with daemon.connect_worker("door") as worker:
            sent = 0
            while (daemon.inside / "reserve").exists():
                assert sent < 500, "the reserve is not given up"
                worker.send(change(sent, closed=True), JPEG)
                sent += 1
                assert worker.wait(sent)[-1].stored, "rows go on in the space of the reserve"
        site.listener.wait(lambda _: len(site.disk_incidents()) == before + 1, 60)
        victim = daemon.status().recorder.pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: daemon.status().recorder.pid not in (None, victim), 60, "a new recorder")
        wait_until(lambda: daemon.status().recorder.phase == "running", 60, "it runs")
        wait_until(
            lambda: daemon.metric("maskwatch_incidents_open", kind="disk") == 1, 30, "it is open still"
        )
    site.listener.wait(lambda _: len(site.disk_incidents()) >= before + 2, 90)
    wait_until(lambda: daemon.metric("maskwatch_incidents_open", kind="disk") == 0, 30, "it is over")
    (began, first, opened), (ended, second, closed) = site.disk_incidents()[before:]
    assert began == ended
    assert (first, opened, second, closed) == (1, "opened", 2, "closed")
    site.listener.wait(
        lambda _: {alert(index) for index in range(sent)} <= set(alerts_of(site.listener)), 60
    )
