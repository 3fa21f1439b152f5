"""A worker sends about its own camera only, and no more than its rate allows."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from maskwatch.clock import ManualClock
from maskwatch.domain import OccupancyMinute
from maskwatch.ipc.loop import EventLoop
from maskwatch.ipc.messages import CommandResult, OccupancyCounted, WorkerHello
from maskwatch.ipc.wire import encode
from maskwatch.ipc.worker_tokens import worker_token
from maskwatch.recorder import worker_connections
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.recorder.worker_connections import WorkerConnections, WorkerEvents
from maskwatch.secrets import Secret
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START

KEY = Secret("the key to all tokens")
MINUTE = OccupancyMinute("door", "", START, 1, 1, 1, 0, 0, 0, 1)


class ConnectionsHarness:
    """The recorder's side, driven turn by turn with a manual clock."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock = path, ManualClock(START)
        self.minutes: list[OccupancyMinute] = []
        self.misbehaved: list[tuple[int, str]] = []
        self.loop = EventLoop(self.clock)
        intake = Intake(UnstoredBuffer(), CurrentState(), run="run", clock=self.clock, meter=Meter())
        events = WorkerEvents(
            self.minutes.append,
            lambda *_: CommandResult(id="", ok=True),
            lambda pid, reason: self.misbehaved.append((pid, reason)),
        )
        self.workers = WorkerConnections(
            path, self.loop, intake, events, run="run", key=KEY, clock=self.clock
        )

    def turn(self) -> None:
        for _ in range(3):  # accept, read, see the end
            self.loop.turn(0.05)
        self.workers.flow(running=True)

    def connect(self, camera: str, token: str | None = None) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self.path))
        shown = worker_token(KEY, camera).reveal() if token is None else token
        sock.sendall(encode(WorkerHello(camera=camera, token=shown)))
        return sock


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ConnectionsHarness]:
    harness = ConnectionsHarness(tmp_path / "r.sock")
    yield harness
    harness.workers.close()
    harness.loop.close()


def is_closed(sock: socket.socket) -> bool:
    sock.settimeout(5)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("token", ["", "0" * 64, worker_token(KEY, "door").reveal()])
def test_a_connection_without_the_camera_s_token_is_closed(
    harness: ConnectionsHarness, token: str
) -> None:
    with harness.connect("gate") as honest, harness.connect("gate", token) as hostile:
        harness.turn()
        harness.turn()
        assert is_closed(hostile)
        assert [pid for pid, _ in harness.misbehaved] == [os.getpid()]
        honest.sendall(encode(OccupancyCounted(minute=replace(MINUTE, camera="gate"))))
        harness.turn()
        assert [minute.camera for minute in harness.minutes] == ["gate"]


def test_a_worker_cannot_greet_for_a_second_camera(harness: ConnectionsHarness) -> None:
    with harness.connect("door") as sock:
        sock.sendall(encode(WorkerHello(camera="gate", token=worker_token(KEY, "gate").reveal())))
        harness.turn()
        assert is_closed(sock)


def test_the_connections_of_one_process_are_limited(harness: ConnectionsHarness) -> None:
    socks = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    for sock in socks:
        sock.connect(str(harness.path))
    for _ in range(8):
        harness.turn()
    assert {pid for pid, _ in harness.misbehaved} == {os.getpid()}
    assert sum(is_closed(sock) for sock in socks[4:]) == 4
    for sock in socks:
        sock.close()


def test_a_worker_that_sends_too_much_is_paused_until_its_bucket_refills(
    harness: ConnectionsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_bytes = worker_connections._MESSAGE_BYTES
    monkeypatch.setattr(worker_connections, "_BURST_BYTES", 3 * message_bytes)
    with harness.connect("door") as sock:
        for _ in range(8):
            sock.sendall(encode(OccupancyCounted(minute=MINUTE)))
            harness.turn()
        received = len(harness.minutes)
        assert 1 <= received < 8
        harness.turn()
        assert len(harness.minutes) == received
        harness.clock.advance(60)
        harness.turn()
        harness.turn()
        assert len(harness.minutes) == 8
    assert harness.misbehaved == []


def test_a_message_that_cannot_be_handled_ends_its_connection_only(
    harness: ConnectionsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(harness.workers._intake, "add_minute", fail)
    with harness.connect("door") as sock:
        sock.sendall(encode(OccupancyCounted(minute=MINUTE)))
        harness.turn()
        assert is_closed(sock)
    assert harness.misbehaved == [(os.getpid(), "sent a message that cannot be handled")]


def test_a_connection_without_a_greeting_is_closed(harness: ConnectionsHarness) -> None:
    with harness.connect("door") as greeted, socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(harness.path))
        harness.turn()
        harness.clock.advance(30)
        harness.workers.stay_reachable()
        assert is_closed(silent)
        greeted.sendall(encode(OccupancyCounted(minute=MINUTE)))
        harness.turn()
    assert len(harness.minutes) == 1
    assert harness.misbehaved == []


def test_without_descriptors_the_recorder_waits_and_accepts_again_later(
    harness: ConnectionsHarness, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(harness.path))
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            for _ in range(5):
                harness.loop.turn(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert caplog.text.count("could not be accepted") == 1
        harness.workers.stay_reachable()
        sock.sendall(encode(WorkerHello(camera="door", token=worker_token(KEY, "door").reveal())))
        harness.turn()
        assert [newcomer.camera for newcomer in harness.workers.newcomers] == ["door"]


def test_another_connection_of_a_process_does_not_refill_its_bucket(
    harness: ConnectionsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_bytes = worker_connections._MESSAGE_BYTES
    monkeypatch.setattr(worker_connections, "_BURST_BYTES", 3 * message_bytes)
    for _ in range(8):
        with harness.connect("door") as sock:
            sock.sendall(encode(OccupancyCounted(minute=MINUTE)))
            harness.turn()
        harness.turn()
    assert len(harness.minutes) < 4
    for _ in range(8):
        harness.clock.advance(3600)
        harness.turn()
    harness.workers.stay_reachable()
    assert harness.workers._buckets == {}
