"""A worker that was taken over, on its real lines: nobody dies, nobody waits, nobody is spoken for."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from uuid import UUID

import pytest

from maskwatch.lab.rtsp import RtspServer
from maskwatch.supervisor.process_usage import read_usage
from tests.fakes.clips import make_clip
from tests.fakes.hostile_worker import OTHER, STOLEN
from tests.fakes.quick_daemon import QuickDaemon, is_alive
from tests.fakes.samples import change, entry, make_store, violation_id
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

BAD = "bad"
# Enough for what is held by design (96 MiB would be pictures), far less than what is sent.
_MOST_GROWTH = 64 << 20
TO_SUPERVISOR = {
    "garbage": "sent an invalid message",
    "oversize": "at most 1048576 are accepted",
    "wrong_type": "sent an invalid message",
    "odd_times": "has no zone, or is out of range",
    "not_its_to_say": "sent a SnoozeChanged",
    "half_a_message": "sent no heartbeat",
    "flood_of_beats": "sent more than 64 KiB a second",
    "flood_of_labels": "sent more than 64 KiB a second",
}
TO_RECORDER = {
    "rubbish": "violated the protocol",
    "oversize_to_recorder": "a blob of 4294967295 bytes",
    "other_s_name": "without its token",
    "other_s_camera": "sent a message about 'good'",
    "other_s_violation": "a change that can never be stored",
    "path_in_a_name": "is not a valid name of a camera or zone",
    "many_connections": "too many connections",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickDaemon]:
    """A daemon with two live cameras, and a violation of the good one in its database."""
    folder = tmp_path_factory.mktemp("house")
    store = make_store(folder / "data")
    store.changes.record([entry(change(STOLEN, number, OTHER, closed=number == 2)) for number in (1, 2)])
    store.close()
    clip = make_clip(folder / "clip.mp4", frames=50, rate=10, gop=10)
    timeouts = {
        "initial_backoff": 0.05,
        "max_backoff": 0.1,
        "restart_budget": 1000,
        "tick": 0.1,
        "heartbeat": 8.0,
    }
    with RtspServer() as server:
        for name in (BAD, OTHER):
            server.add(name, clip)
        rows = "\n".join(f"  - {{name: {n}, url: '{server.url(n)}', rate: 2}}" for n in (BAD, OTHER))
        env = {
            "MASKWATCH_TEST_WORKER": "tests.fakes.hostile_worker",
            "MASKWATCH_TEST_MISCHIEF": str(folder / "mischief"),
        }
        with QuickDaemon(folder, rows, env=env, **timeouts) as daemon:
            daemon.wait_ready(120)
            wait_until(lambda: daemon.state_of(OTHER) == "live", 120, "the good one is live")
            yield daemon


class Watchful:
    """Has the bad worker taken over, and sees that the others went on as if nothing were."""

    def __init__(self, daemon: QuickDaemon) -> None:
        self.daemon = daemon
        self._before = daemon.camera(OTHER)
        self._recorder = daemon.status().recorder.pid or 0
        self._grown = {pid: _resident(pid) for pid in (daemon.process.pid, self._recorder)}
        self._heard = len(daemon.log())
        wait_until(lambda: daemon.pid_of(BAD) != 0, 30, "there is a worker to take over")

    @property
    def said(self) -> str:
        """What was logged since."""
        return self.daemon.log()[self._heard :]

    def take_over(self, deed: str) -> None:
        (self.daemon.folder / "mischief").write_text(deed)
        os.kill(self.daemon.pid_of(BAD), signal.SIGKILL)
        wait_until(lambda: not (self.daemon.folder / "mischief").exists(), 60, "a worker took it up")

    def replaced(self, why: str) -> None:
        """The worker was killed, with the reason in the log, and its camera has another one."""
        wait_until(lambda: why in self.said and "killing it" in self.said, 90, f"it is told: {why}")
        wait_until(lambda: self.said.count("sandboxed") >= 2, 60, "an honest worker takes its place")

    def nobody_else_noticed(self) -> None:
        daemon = self.daemon
        assert daemon.process.poll() is None
        assert daemon.status().recorder.pid == self._recorder
        assert is_alive(self._recorder)
        now = daemon.camera(OTHER)
        assert (now.worker.pid, now.since) == (self._before.worker.pid, self._before.since)
        wait_until(lambda: daemon.camera(OTHER).frames > now.frames, 20, "the good one's frames go on")
        assert daemon.state_of(OTHER) == "live"
        assert not [pid for pid, size in self._grown.items() if _resident(pid) > size + _MOST_GROWTH]
        honest = [line for line in self.said.splitlines() if f"[{BAD}]" not in line]
        assert "Traceback" not in "\n".join(honest)
        assert stored(daemon, OTHER) == [(str(violation_id(STOLEN)), 2)]


def _resident(pid: int) -> int:
    vitals = read_usage(pid)
    assert vitals is not None
    return vitals.resident


def stored(daemon: QuickDaemon, camera: str, more: str = "") -> list[tuple[str, int]]:
    """The violations of a camera, and their newest changes."""
    with contextlib.closing(sqlite3.connect(daemon.data / "maskwatch.db")) as database:
        wanted = f"SELECT id, number FROM violation WHERE camera = ? {more}"
        return [(str(UUID(id_)), number) for id_, number in database.execute(wanted, (camera,))]


@pytest.mark.long
@pytest.mark.parametrize(("deed", "why"), [*TO_SUPERVISOR.items(), *TO_RECORDER.items()])
def test_a_worker_that_violates_the_protocol_is_replaced_without_side_effects(
    house: QuickDaemon, deed: str, why: str
) -> None:
    watchful = Watchful(house)
    watchful.take_over(deed)
    watchful.replaced(why)
    watchful.nobody_else_noticed()


def test_a_violation_with_an_invalid_picture_is_stored_without_it(house: QuickDaemon) -> None:
    watchful = Watchful(house)
    watchful.take_over("no_picture")
    wait_until(lambda: (str(violation_id(2)), 1) in stored(house, BAD), 60, "it is stored")
    assert "cannot write the picture of violation" in watchful.said
    assert not list((house.data / "pictures").rglob("*.jpg"))
    watchful.nobody_else_noticed()


@pytest.mark.long
def test_neither_a_flood_of_changes_nor_closing_them_delays_another_worker(
    house: QuickDaemon,
) -> None:
    watchful = Watchful(house)
    before = len(stored(house, BAD))
    watchful.take_over("flood_of_changes")
    wait_until(lambda: len(stored(house, BAD)) > before + 300, 90, "the flood has begun")
    watchful.nobody_else_noticed()
    os.kill(house.pid_of(BAD), signal.SIGKILL)
    wait_until(lambda: not stored(house, BAD, "AND ended IS NULL"), 90, "what it opened is closed")
    watchful.nobody_else_noticed()


def test_an_incomplete_picture_delays_no_other_worker(house: QuickDaemon) -> None:
    watchful = Watchful(house)
    watchful.take_over("half_a_picture")
    wait_until(lambda: watchful.said.count("sandboxed") >= 1, 60, "it is at it")
    watchful.nobody_else_noticed()


@pytest.mark.long
def test_a_worker_cannot_use_the_control_socket(house: QuickDaemon) -> None:
    watchful = Watchful(house)
    watchful.take_over("control_socket")
    wait_until(lambda: "from the child process" in watchful.said, 60, "it is refused")
    watchful.nobody_else_noticed()
