"""A worker's connections to a supervisor and a recorder that come, go and do not answer."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from maskwatch.capture.reconnect import ConnectionStatus
from maskwatch.clock import SystemClock
from maskwatch.domain import CameraState, OccupancyMinute
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.child import SupervisorChannel
from maskwatch.ipc.messages import (
    Command,
    CommandResult,
    Heartbeat,
    Metrics,
    OccupancyCounted,
    Ready,
    Record,
    Recorded,
    SnapshotTaken,
    Stop,
    ToRecorder,
    ToSupervisor,
    WorkerHello,
)
from maskwatch.ipc.wire import TO_RECORDER, TO_SUPERVISOR
from maskwatch.telemetry import catalogue
from maskwatch.worker.connection import WorkerConnection
from tests.fakes.messages import NOON, make_change


class FakeRecorder:
    """Listens at the recorder's socket; acknowledges when a test calls `acknowledge`."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(10)
        self.channel: Channel[ToRecorder] | None = None
        self.received: list[msgspec.Struct] = []

    def accept(self) -> None:
        sock, _ = self._listener.accept()
        if self.channel is not None:
            self.channel.close()
        self.channel = Channel(sock, TO_RECORDER)

    def receive(self, count: int, timeout: float = 40) -> list[msgspec.Struct]:
        """Return all messages since the start, once there are `count`."""
        deadline = time.monotonic() + timeout
        while len(self.received) < count:
            assert self.channel is not None
            assert time.monotonic() < deadline, self.received
            select.select([self.channel], [], [], 0.1)
            self.received += [message for message, _ in self.channel.receive()]
        return self.received

    def acknowledge(self, number: int = 1) -> None:
        assert self.channel is not None
        self.channel.send(Recorded(violation=make_change().violation.id, number=number))

    def close(self) -> None:
        self._listener.close()
        if self.channel is not None:
            self.channel.close()


@dataclass
class Worker:
    """A worker's connection, and the supervisor's end of it."""

    connection: WorkerConnection
    supervisor: Channel[ToSupervisor]
    recorder_path: Path
    supervisor_gone: threading.Event

    def wait(self, condition: Callable[[ToSupervisor], bool], timeout: float = 40) -> ToSupervisor:
        """Return the first message to the supervisor that meets the condition."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            select.select([self.supervisor], [], [], 0.1)
            for message, _ in self.supervisor.receive():
                if condition(message):
                    return message
        raise AssertionError("no such message came in time")

    def record(self, number: int = 1, *, timeout: float = 0.0) -> bool:
        return self.connection.recorder.record(
            replace(make_change(), number=number), None, timeout=timeout
        )

    def set_status(self, state: CameraState, reason: str, seconds: float, attempt: int = 0) -> None:
        """Set a status that must be left within `seconds`."""
        clock = SystemClock()
        leave_by = clock.monotonic() + seconds
        self.connection.status.set_status(
            ConnectionStatus(state, reason, clock.now(), leave_by, 0.0, attempt)
        )


@pytest.fixture
def rare_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """No heartbeat comes by itself but the first."""
    monkeypatch.setattr("maskwatch.worker.status_reporter._HEARTBEAT_INTERVAL_S", 3600.0)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    near, far = socket.socketpair()
    channel, gone = SupervisorChannel(far.detach(), "worker"), threading.Event()
    path = tmp_path / "recorder.sock"
    connection = WorkerConnection(
        channel, str(path), WorkerHello(camera="hall"), clock=SystemClock(), on_supervisor_gone=gone.set
    )
    worker = Worker(connection, Channel(near, TO_SUPERVISOR), path, gone)
    connection.start()
    yield worker
    connection.close()
    worker.supervisor.close()
    channel.close()


@pytest.fixture
def recorder(worker: Worker) -> Iterator[FakeRecorder]:
    recorder = FakeRecorder(worker.recorder_path)
    recorder.accept()
    assert recorder.receive(1) == [WorkerHello(camera="hall")]
    yield recorder
    recorder.close()


def is_heartbeat(message: ToSupervisor) -> bool:
    return isinstance(message, Heartbeat)


def test_the_first_message_is_ready_and_heartbeats_follow(worker: Worker) -> None:
    assert worker.wait(lambda _: True) == Ready()
    assert worker.wait(is_heartbeat)


@pytest.mark.usefixtures("rare_heartbeats")
def test_a_change_of_state_is_sent_immediately_with_the_time_left(worker: Worker) -> None:
    worker.wait(is_heartbeat, 30)
    worker.set_status(CameraState.BACKOFF, "refused", 90.0, attempt=4)
    heartbeat = worker.wait(lambda m: isinstance(m, Heartbeat) and m.reason == "refused", 30)
    assert isinstance(heartbeat, Heartbeat)
    assert heartbeat.attempt == 4
    assert heartbeat.leave_by is not None
    assert 60 < heartbeat.leave_by <= 90


def test_heartbeats_continue_while_the_main_thread_hangs(
    worker: Worker,
) -> None:
    worker.connection.status.frame_processed(NOON)
    worker.set_status(CameraState.LIVE, "", 0.5)
    time.sleep(2.5)  # the main thread hangs in a decoder
    heartbeat = worker.wait(lambda m: isinstance(m, Heartbeat) and (m.leave_by or 0) < -1)
    assert isinstance(heartbeat, Heartbeat)
    assert heartbeat.frames == 1


def test_record_returns_true_once_the_change_is_acknowledged(
    worker: Worker, recorder: FakeRecorder
) -> None:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(worker.record(timeout=10)))
    thread.start()
    recorder.receive(2)
    assert thread.is_alive()
    recorder.acknowledge()
    thread.join(5)
    assert answers == [True]
    assert worker.connection.recorder.drain(0)


def test_record_waits_no_longer_than_its_timeout(worker: Worker, recorder: FakeRecorder) -> None:
    began = time.monotonic()
    assert not worker.record(timeout=0.3)
    assert 0.25 < time.monotonic() - began < 10
    assert not worker.connection.recorder.drain(0)
    recorder.receive(2)


def test_without_a_recorder_record_does_not_wait(worker: Worker) -> None:
    began = time.monotonic()
    assert not worker.record(timeout=60)
    assert time.monotonic() - began < 30


def test_the_loss_of_the_recorder_ends_the_wait_of_record(
    worker: Worker, recorder: FakeRecorder
) -> None:
    threading.Timer(0.3, recorder.close).start()
    began = time.monotonic()
    assert not worker.record(timeout=60)
    assert time.monotonic() - began < 30


def test_a_new_recorder_is_sent_what_the_old_one_did_not_acknowledge(worker: Worker) -> None:
    first = FakeRecorder(worker.recorder_path)
    first.accept()
    for number in (1, 2, 3):
        worker.record(number)
    first.receive(4)
    first.acknowledge(2)
    time.sleep(0.3)
    first.close()
    second = FakeRecorder(worker.recorder_path)
    second.accept()
    received = second.receive(3)
    assert isinstance(received[0], WorkerHello)
    assert [m.change.number for m in received if isinstance(m, Record)] == [1, 3]
    second.acknowledge(1)
    second.acknowledge(3)
    assert worker.connection.recorder.drain(5)
    second.close()


def test_minutes_counted_while_the_recorder_is_away_reach_the_next_one(worker: Worker) -> None:
    minute = OccupancyMinute("hall", "", NOON, 1, 1, 1, 0, 0, 0, 1)
    worker.connection.recorder.add_minute(minute)
    recorder = FakeRecorder(worker.recorder_path)
    recorder.accept()
    assert recorder.receive(2)[1] == OccupancyCounted(minute=minute)
    recorder.close()


def test_an_invalid_message_of_the_recorder_ends_that_connection_only(
    worker: Worker, recorder: FakeRecorder
) -> None:
    assert recorder.channel is not None
    recorder.channel.socket.send(b"\xff" * 16)
    recorder.accept()
    worker.wait(is_heartbeat)


def test_stop_and_commands_reach_the_main_thread(worker: Worker) -> None:
    worker.supervisor.send(Command(id="1", verb="snooze", target="hall", seconds=5))
    worker.supervisor.send(Stop(grace=3.0))
    assert worker.connection.stopping.wait(5)
    assert worker.connection.grace == 3.0
    assert [command.verb for command in worker.connection.commands()] == ["snooze"]
    assert worker.connection.commands() == []


def test_a_snapshot_goes_to_the_recorder_whose_result_is_passed_on(
    worker: Worker, recorder: FakeRecorder
) -> None:
    taken = SnapshotTaken(command="7", camera="hall", at=NOON)
    worker.connection.recorder.add_snapshot(taken, b"jpeg")
    assert recorder.receive(2)[1] == taken
    assert recorder.channel is not None
    result = CommandResult(id="7", ok=True, detail="taken")
    recorder.channel.send(result)
    assert worker.wait(lambda m: isinstance(m, CommandResult)) == result


def test_without_a_recorder_a_snapshot_is_refused_immediately(worker: Worker) -> None:
    taken = SnapshotTaken(command="7", camera="hall", at=NOON)
    worker.connection.recorder.add_snapshot(taken, b"jpeg")
    result = worker.wait(lambda m: isinstance(m, CommandResult))
    assert result == CommandResult(id="7", ok=False, detail="the recorder is away")


def test_the_end_of_the_supervisor_is_noticed(worker: Worker) -> None:
    worker.supervisor.close()
    assert worker.supervisor_gone.wait(5)


def test_unacknowledged_changes_are_counted(worker: Worker) -> None:
    worker.record()

    def counts_one(message: ToSupervisor) -> bool:
        return isinstance(message, Metrics) and any(
            sample.name == catalogue.CHANGES_UNACKNOWLEDGED and sample.value == 1
            for sample in message.snapshot.samples
        )

    assert worker.wait(counts_one)
