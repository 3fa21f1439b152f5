"""A compromised worker on its real connections: no other process ends, waits or is impersonated."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from maskwatch.ipc.control import RunCommand, ask, control_socket
from maskwatch.lab.rtsp import RtspServer
from maskwatch.supervisor.process_usage import read_usage
from tests.fakes.attacks import Targets
from tests.fakes.clips import make_clip
from tests.fakes.hostile_peers import PEERS, connected
from tests.fakes.hostile_worker import OTHER, STOLEN
from tests.fakes.quick_daemon import QuickDaemon, is_alive
from tests.fakes.samples import change, entry, make_store, violation_id
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

BAD = "bad"
# Enough for the bounded buffers, far less than what is sent.
_MAX_GROWTH = 64 << 20
TO_SUPERVISOR = {
    "garbage": "sent an invalid message",
    "oversize": "at most 1048576 are accepted",
    "nested_json": "nested too deeply",
    "huge_frames": "sent an invalid message",
    "huge_counts": "sent an invalid message",
    "wrong_type": "sent an invalid message",
    "odd_times": "has no zone, or is out of range",
    "forbidden_message": "sent a SnoozeChanged",
    "incomplete_message": "sent no heartbeat",
    "flood_of_heartbeats": "sent more than 64 KiB a second",
    "flood_of_labels": "sent more than 64 KiB a second",
}
TO_RECORDER = {
    "garbage_to_recorder": "violated the protocol",
    "oversize_to_recorder": "a blob of 4294967295 bytes",
    "nested_json_to_recorder": "nested too deeply",
    "huge_track_to_recorder": "a count is out of range",
    "other_s_name": "without its token",
    "other_s_camera": "sent a message about 'good'",
    "other_s_violation": "a change that can never be stored",
    "path_in_a_name": "is not a valid name of a camera or zone",
    "many_connections": "too many connections",
}

SIMILAR = {"huge_frames", "wrong_type", "flood_of_labels", "huge_track_to_recorder", "oversize"}
"""Attacks that are refused by the same code as others."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickDaemon]:
    """A daemon with two live cameras, and a violation of the good one in its database."""
    folder = tmp_path_factory.mktemp("daemon")
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
            "MASKWATCH_TEST_ATTACK": str(folder / "attack"),
            "MASKWATCH_TEST_TARGETS": _targets(folder),
        }
        with QuickDaemon(folder, rows, env=env, **timeouts) as running:
            running.wait_ready(120)
            wait_until(lambda: running.state_of(OTHER) == "live", 120, "the good camera is live")
            yield running


def _targets(folder: Path) -> str:
    """Return what an attack on the system aims at, as JSON."""
    targets = Targets(
        victims=(os.getpid(),),
        file=str(folder / "data" / "maskwatch.db"),
        folder=str(folder / "data"),
        unix=str(folder / "run" / "control.sock"),
        tcp=22,
        udp=53,
    )
    return msgspec.json.encode(targets).decode()


class Takeover:
    """Has the bad worker compromised, and checks that the other processes are not affected."""

    def __init__(self, daemon: QuickDaemon) -> None:
        self.daemon = daemon
        self._before = daemon.camera(OTHER)
        self._recorder = daemon.status().recorder.pid or 0
        self._resident_before = {pid: _resident(pid) for pid in (daemon.process.pid, self._recorder)}
        self._log_start = len(daemon.log())
        wait_until(lambda: daemon.pid_of(BAD) != 0, 30, "the bad camera has a worker")

    @property
    def log(self) -> str:
        """The log since the start of the test."""
        return self.daemon.log()[self._log_start :]

    def start(self, attack: str) -> None:
        """Replace the bad worker by one that runs this attack."""
        (self.daemon.folder / "attack").write_text(attack)
        os.kill(self.daemon.pid_of(BAD), signal.SIGKILL)
        wait_until(lambda: not (self.daemon.folder / "attack").exists(), 60, "the attack starts")

    def wait_replaced(self, reason: str) -> None:
        """Wait until the worker was killed for this reason and its camera has another one."""
        wait_until(lambda: reason in self.log and "killing it" in self.log, 90, f"the log has: {reason}")
        wait_until(lambda: self.log.count("sandboxed") >= 2, 60, "a sound worker replaces it")

    def check_others(self) -> None:
        daemon = self.daemon
        assert daemon.process.poll() is None
        assert daemon.status().recorder.pid == self._recorder
        assert is_alive(self._recorder)
        now = daemon.camera(OTHER)
        assert (now.worker.pid, now.since) == (self._before.worker.pid, self._before.since)
        wait_until(lambda: daemon.camera(OTHER).frames > now.frames, 20, "its frames continue")
        assert daemon.state_of(OTHER) == "live"
        assert not [
            pid for pid, size in self._resident_before.items() if _resident(pid) > size + _MAX_GROWTH
        ]
        other_lines = [line for line in self.log.splitlines() if f"[{BAD}]" not in line]
        assert "Traceback" not in "\n".join(other_lines)
        assert stored(daemon, OTHER) == [(str(violation_id(STOLEN)), 2)]


def _resident(pid: int) -> int:
    usage = read_usage(pid)
    assert usage is not None
    return usage.resident


def stored(daemon: QuickDaemon, camera: str, more: str = "") -> list[tuple[str, int]]:
    """Return the ids of a camera's violations with the numbers of their newest changes."""
    with contextlib.closing(sqlite3.connect(daemon.data / "maskwatch.db")) as database:
        query = f"SELECT id, number FROM violation WHERE camera = ? {more}"
        return [(str(UUID(id_)), number) for id_, number in database.execute(query, (camera,))]


@pytest.mark.long
@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        pytest.param(*attack, marks=[pytest.mark.sweep] if attack[0] in SIMILAR else [])
        for attack in (TO_SUPERVISOR | TO_RECORDER).items()
    ],
)
def test_a_worker_that_violates_the_protocol_is_replaced_without_side_effects(
    daemon: QuickDaemon, attack: str, reason: str
) -> None:
    takeover = Takeover(daemon)
    takeover.start(attack)
    takeover.wait_replaced(reason)
    takeover.check_others()


@pytest.mark.long
def test_a_worker_that_ends_after_hostile_json_ends_no_other_process(daemon: QuickDaemon) -> None:
    takeover = Takeover(daemon)
    takeover.start("nested_json_and_end")
    wait_until(lambda: "nested too deeply" in takeover.log, 60, "the message is refused")
    takeover.check_others()


def test_a_misbehaving_worker_is_reported_by_incident_log_and_metric(daemon: QuickDaemon) -> None:
    takeover = Takeover(daemon)
    pid = daemon.pid_of(BAD)
    before = daemon.metric("maskwatch_process_restarts_total", camera=BAD, reason="misbehaved")
    takeover.start("nested_json_to_recorder")
    takeover.wait_replaced("nested too deeply")
    restarts = lambda: daemon.metric(  # noqa: E731 - waited for
        "maskwatch_process_restarts_total", camera=BAD, reason="misbehaved"
    )
    wait_until(lambda: restarts() > before, 30, "it is counted")
    incidents = [each for each in daemon.status().incidents if each.kind == "worker_misbehaved"]
    assert [each.camera for each in incidents] == [BAD]
    assert "violated the protocol" in incidents[0].reason
    assert pid != daemon.pid_of(BAD)
    assert "incident began: worker_misbehaved" in daemon.log()
    takeover.check_others()


def test_a_worker_cannot_write_a_log_line_in_the_name_of_another(daemon: QuickDaemon) -> None:
    takeover = Takeover(daemon)
    takeover.start("forged_log")
    line = f"supervisor[{BAD}]: 2026-11-27T15:04:12.353Z INFO    supervisor: command disable good"
    wait_until(lambda: line in takeover.log, 60, "it is logged as what the worker wrote")
    takeover.check_others()


def test_a_violation_with_an_invalid_picture_is_stored_without_it(daemon: QuickDaemon) -> None:
    takeover = Takeover(daemon)
    takeover.start("invalid_picture")
    wait_until(lambda: (str(violation_id(2)), 1) in stored(daemon, BAD), 60, "it is stored")
    assert "cannot write the picture of violation" in takeover.log
    assert not list((daemon.data / "pictures").rglob("*.jpg"))
    takeover.check_others()


@pytest.mark.long
def test_neither_a_flood_of_changes_nor_closing_them_delays_another_worker(
    daemon: QuickDaemon,
) -> None:
    takeover = Takeover(daemon)
    before = len(stored(daemon, BAD))
    takeover.start("flood_of_changes")
    wait_until(lambda: len(stored(daemon, BAD)) > before + 300, 90, "the flood has begun")
    takeover.check_others()
    os.kill(daemon.pid_of(BAD), signal.SIGKILL)
    wait_until(lambda: not stored(daemon, BAD, "AND ended IS NULL"), 90, "its violations are closed")
    takeover.check_others()


def test_an_incomplete_picture_delays_no_other_worker(daemon: QuickDaemon) -> None:
    takeover = Takeover(daemon)
    takeover.start("incomplete_picture")
    wait_until(lambda: takeover.log.count("sandboxed") >= 1, 60, "the attack runs")
    takeover.check_others()


@pytest.mark.long
def test_a_worker_cannot_use_the_control_socket(daemon: QuickDaemon) -> None:
    takeover = Takeover(daemon)
    takeover.start("control_socket")
    takeover.wait_replaced("connected to the control socket")
    assert "from the child process" in takeover.log
    takeover.check_others()


@pytest.mark.long
def test_a_worker_that_attacks_the_system_is_killed_and_reported(daemon: QuickDaemon) -> None:
    takeover = Takeover(daemon)
    takeover.start("system_calls")
    takeover.wait_replaced("made the system call")
    assert "was refused the system call" in takeover.log
    takeover.check_others()


def test_the_sandbox_of_each_worker_is_shown_by_status(daemon: QuickDaemon) -> None:
    wait_until(lambda: "seccomp" in daemon.camera(OTHER).worker.sandbox, 60, "its layers are known")
    assert "brokered network" in daemon.camera(OTHER).worker.sandbox


@pytest.mark.long
def test_what_a_worker_asked_before_its_end_is_refused(daemon: QuickDaemon) -> None:
    takeover = Takeover(daemon)
    takeover.start("control_socket_and_end")
    worker = daemon.pid_of(BAD)
    wait_until(lambda: "sandboxed" in takeover.log, 60, "the attack is about to start")
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not is_alive(worker), 30, "the worker has ended")
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    wait_until(lambda: "refused a request on the control socket" in takeover.log, 60, "it is refused")
    takeover.check_others()


def test_a_command_is_logged_and_shown_with_who_sent_it(daemon: QuickDaemon) -> None:
    ask(control_socket(daemon.runtime), RunCommand(verb="disable", target=BAD), timeout=10)
    wait_until(lambda: daemon.state_of(BAD) == "disabled", 30, "the camera is disabled")
    sender = f"root (uid 0), pid {os.getpid()}"
    camera = daemon.camera(BAD)
    assert sender in camera.disabled_by
    assert camera.disabled_at is not None
    assert sender in daemon.run("status").stdout
    assert f'command disable {BAD} done: disabled {BAD} by="{sender}' in daemon.log()
    ask(control_socket(daemon.runtime), RunCommand(verb="enable", target=BAD), timeout=10)
    assert not daemon.camera(BAD).disabled_by
    ask(control_socket(daemon.runtime), RunCommand(verb="snooze", target=BAD, seconds=60), timeout=10)
    wait_until(lambda: sender in daemon.camera(BAD).snoozed_by, 30, "who snoozed the camera")
    assert sender in daemon.run("status").stdout
    ask(control_socket(daemon.runtime), RunCommand(verb="snooze", target=BAD), timeout=10)


def test_no_peer_of_the_control_socket_ends_or_blocks_the_supervisor(daemon: QuickDaemon) -> None:
    for name, peer in PEERS.items():
        with connected(peer, control_socket(daemon.runtime)):
            pass
        assert daemon.process.poll() is None, name
    with ExitStack() as stack:
        for peer in PEERS.values():
            stack.enter_context(connected(peer, control_socket(daemon.runtime)))
        assert daemon.fetch("healthz")
    assert daemon.status().ready
