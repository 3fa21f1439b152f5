"""A compromised worker on its real connections: no other process ends, waits or is impersonated."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from maskwatch.ipc.control import RunCommand, ask, control_socket
from maskwatch.lab.rtsp import RtspServer
from maskwatch.supervisor.process_usage import read_usage
from tests.fakes.attacks.calls import Targets
from tests.fakes.clips import make_clip
from tests.fakes.hostile_peers import PEERS, connected
from tests.fakes.hostile_worker import OTHER, STOLEN
from tests.fakes.quick_daemon import QuickDaemon, ServiceDaemon, is_alive
from tests.fakes.samples import change, entry, make_store, violation_id
from tests.fakes.service_user import service_environment
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

TO_SYSTEM = {
    "control_socket": "connected to the control socket",
    "system_calls": "made the system call",
}

SIMILAR = {"huge_frames", "wrong_type", "flood_of_labels", "huge_track_to_recorder", "oversize"}
"""Attacks that are refused by the same code as others."""

REASONS = TO_SUPERVISOR | TO_RECORDER | TO_SYSTEM
OF_EACH_KIND = TO_SYSTEM.keys() | {
    "garbage",
    "nested_json_to_recorder",
    "other_s_name",
    "other_s_violation",
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickDaemon]:
    with _watching(tmp_path_factory.mktemp("daemon"), QuickDaemon) as running:
        yield running


@pytest.fixture(scope="module")
def service_daemon() -> Iterator[QuickDaemon]:
    """The same for an ordinary user, in a folder that pytest does not close to it."""
    with (
        tempfile.TemporaryDirectory(prefix="maskwatch-") as name,
        _watching(Path(name), ServiceDaemon) as running,
    ):
        yield running


@contextlib.contextmanager
def _watching(folder: Path, kind: type[QuickDaemon]) -> Iterator[QuickDaemon]:
    """Run a daemon with two live cameras, and a violation of the good one in its database."""
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
        with kind(folder, rows, env=service_environment() | env, **timeouts) as running:
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


AS_EACH_USER = pytest.mark.parametrize(
    "fixture",
    [
        pytest.param("daemon", id="root"),
        pytest.param("service_daemon", id="service", marks=pytest.mark.long),
    ],
)


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

    def start(self, *attacks: str) -> None:
        """Replace the bad worker by one that runs the first attack, and so on."""
        (self.daemon.folder / "attack").write_text("\n".join(attacks))
        os.kill(self.daemon.pid_of(BAD), signal.SIGKILL)
        for attack in attacks:
            wait_until(lambda each=attack: self._has_begun(each), 60, f"{attack} starts")

    def _has_begun(self, attack: str) -> bool:
        try:
            return attack not in (self.daemon.folder / "attack").read_text().split()
        except FileNotFoundError:
            return True

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
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("fixture", "attacks"),
    [
        ("daemon", REASONS.keys() - SIMILAR),
        pytest.param("daemon", SIMILAR, marks=pytest.mark.sweep),
        ("service_daemon", OF_EACH_KIND),
        pytest.param("service_daemon", REASONS.keys() - OF_EACH_KIND, marks=pytest.mark.sweep),
    ],
    ids=["root", "root, similar", "service", "service, all others"],
)
def test_each_attack_of_a_worker_is_refused_without_side_effects(
    request: pytest.FixtureRequest, fixture: str, attacks: set[str]
) -> None:
    """One worker after the other, each killed for its attack."""
    takeover = Takeover(request.getfixturevalue(fixture))
    takeover.start(*attacks)
    for attack in attacks:
        wait_until(lambda each=attack: REASONS[each] in takeover.log, 60, f"{attack} is reported")
    wait_until(lambda: takeover.log.count("killing it") >= len(attacks), 60, "each worker is killed")
    takeover.check_others()


@pytest.mark.long
@AS_EACH_USER
def test_no_worker_takes_more_memory_than_its_limit(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    takeover = Takeover(request.getfixturevalue(fixture))
    takeover.start("memory")
    wait_until(lambda: "refused more than" in takeover.log, 60, "more is refused")
    (taken,) = re.findall(r"refused more than (\d+) MiB", takeover.log)
    assert 512 < int(taken) <= 1280  # of private memory, for worker_megabytes: 1024
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


@AS_EACH_USER
def test_a_worker_cannot_write_a_log_line_in_the_name_of_another(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    takeover = Takeover(request.getfixturevalue(fixture))
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


@AS_EACH_USER
def test_each_worker_has_a_session_of_its_own(request: pytest.FixtureRequest, fixture: str) -> None:
    daemon: QuickDaemon = request.getfixturevalue(fixture)
    supervisor, *workers = daemon.process.pid, daemon.pid_of(OTHER), daemon.pid_of(BAD)
    sessions = {os.getsid(pid) for pid in (supervisor, *workers)}
    assert len(sessions) == 3


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
