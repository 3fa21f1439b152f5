"""Who may speak to the recorder: for its own camera, and no more than a worker has to say."""

from __future__ import annotations

import os
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
from maskwatch.recorder import worker_connections as workers
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.recorder.worker_connections import WorkerConnections, WorkerEvents, listen
from maskwatch.secrets import Secret
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START

KEY = Secret("the key to all tokens")
MINUTE = OccupancyMinute("door", "", START, 1, 1, 1, 0, 0, 0, 1)


class Desk:
    """The recorder's side, driven turn by turn with a clock of the test's own."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock = path, ManualClock(START)
        self.minutes: list[OccupancyMinute] = []
        self.distrusted: list[tuple[int, str]] = []
        self.loop = EventLoop(self.clock)
        intake = Intake(UnstoredBuffer(), CurrentState(), clock=self.clock, meter=Meter())
        tell = WorkerEvents(
            self.minutes.append,
            lambda *_: CommandResult(id="", ok=True),
            lambda pid, why: self.distrusted.append((pid, why)),
        )
        self.workers = WorkerConnections(
            listen(path), self.loop, intake, tell, run="run", key=KEY, clock=self.clock
        )

    def turn(self) -> None:
        for _ in range(3):  # accept, read, see the end
            self.loop.turn(0.05)
        self.workers.flow(running=True)

    def line(self, camera: str, token: str | None = None) -> socket.socket:
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(self.path))
        shown = worker_token(KEY, camera).reveal() if token is None else token
        line.sendall(encode(WorkerHello(camera=camera, token=shown)))
        return line


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "r.sock")
    yield desk
    desk.workers.close()
    desk.loop.close()


def is_closed(line: socket.socket) -> bool:
    line.settimeout(5)
    try:
        return line.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("token", ["", "0" * 64, worker_token(KEY, "door").reveal()])
def test_without_the_camera_s_token_nobody_speaks_for_it_and_the_honest_one_stays(
    desk: Desk, token: str
) -> None:
    with desk.line("gate") as honest, desk.line("gate", token) as hostile:
        desk.turn()
        desk.turn()
        assert is_closed(hostile)
        assert [pid for pid, _ in desk.distrusted] == [os.getpid()]
        honest.sendall(encode(OccupancyCounted(minute=replace(MINUTE, camera="gate"))))
        desk.turn()
        assert [minute.camera for minute in desk.minutes] == ["gate"]


def test_who_has_greeted_for_one_camera_greets_for_no_other(desk: Desk) -> None:
    with desk.line("door") as line:
        line.sendall(encode(WorkerHello(camera="gate", token=worker_token(KEY, "gate").reveal())))
        desk.turn()
        assert is_closed(line)


def test_a_process_has_a_few_connections_and_no_more(desk: Desk) -> None:
    lines = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    for line in lines:
        line.connect(str(desk.path))
    for _ in range(8):
        desk.turn()
    assert {pid for pid, _ in desk.distrusted} == {os.getpid()}
    assert sum(is_closed(line) for line in lines[4:]) == 4
    for line in lines:
        line.close()


def test_who_says_too_much_waits_until_it_may_say_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_MOST_BYTES", 3 * workers._MESSAGE)
    with desk.line("door") as line:
        for _ in range(8):
            line.sendall(encode(OccupancyCounted(minute=MINUTE)))
            desk.turn()
        heard = len(desk.minutes)
        assert 1 <= heard < 8
        desk.turn()
        assert len(desk.minutes) == heard
        desk.clock.advance(60)
        desk.turn()
        desk.turn()
        assert len(desk.minutes) == 8
    assert desk.distrusted == []
