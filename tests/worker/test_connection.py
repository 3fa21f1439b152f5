"""A worker's lines: to a supervisor and a recorder that come, go and say nothing."""

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
from maskwatch.worker.connection import CameraStatusUpdate, WorkerConnection
from tests.fakes.messages import NOON, make_change


class Recorder:
    """Listens where the recorder would; acknowledges when told to."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(10)
        self.channel: Channel[ToRecorder] | None = None
        self.got: list[msgspec.Struct] = []

    def accept(self) -> None:
        sock, _ = self._listener.accept()
        if self.channel is not None:
            self.channel.close()
        self.channel = Channel(sock, TO_RECORDER)

    def receive(self, count: int, timeout: float = 10) -> list[msgspec.Struct]:
        deadline = time.monotonic() + timeout
        while len(self.got) < count:
            assert self.channel is not None
            assert time.monotonic() < deadline, self.got
            select.select([self.channel], [], [], 0.1)
            self.got += [message for message, _ in self.channel.receive()]
        return self.got

    def acknowledge(self, number: int = 1) -> None:
        assert self.channel is not None
        self.channel.send(Recorded(violation=make_change().violation.id, number=number))

    def close(self) -> None:
        self._listener.close()
        if self.channel is not None:
            self.channel.close()


@dataclass
class Bench:
    """A link and the supervisor's end of its line."""

    link: WorkerConnection
    supervisor: Channel[ToSupervisor]
    path: Path
    gone: threading.Event

    def wait(self, wanted: Callable[[ToSupervisor], bool], timeout: float = 10) -> ToSupervisor:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            select.select([self.supervisor], [], [], 0.1)
            for message, _ in self.supervisor.receive():
                if wanted(message):
                    return message
        raise AssertionError("it was not said in time")


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """No heartbeat comes of itself but the first: one that comes was caused."""
    monkeypatch.setattr("maskwatch.worker.connection._BEAT", 3600.0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    ours, theirs = socket.socketpair()
    uplink, gone = SupervisorChannel(theirs.detach(), "worker"), threading.Event()
    path = tmp_path / "recorder.sock"
    link = WorkerConnection(uplink, str(path), "hall", clock=SystemClock(), supervisor_gone=gone.set)
    bench = Bench(link, Channel(ours, TO_SUPERVISOR), path, gone)
    link.start()
    yield bench
    link.close()
    bench.supervisor.close()
    uplink.close()


@pytest.fixture
def recorder(bench: Bench) -> Iterator[Recorder]:
    recorder = Recorder(bench.path)
    recorder.accept()
    assert recorder.receive(1) == [WorkerHello(camera="hall")]
    yield recorder
    recorder.close()


def test_the_first_words_are_ready_and_then_it_beats(bench: Bench) -> None:
    assert bench.wait(lambda _: True) == Ready()
    assert isinstance(bench.wait(lambda m: isinstance(m, Heartbeat)), Heartbeat)


@pytest.mark.usefixtures("seldom")
def test_a_change_of_state_is_told_at_once_with_the_time_that_is_left(bench: Bench) -> None:
    clock = SystemClock()
    bench.wait(lambda m: isinstance(m, Heartbeat), 30)
    pulse = CameraStatusUpdate(CameraState.BACKOFF, "refused", clock.now(), clock.monotonic() + 90.0, 4)
    bench.link.pulse(pulse)
    beat = bench.wait(lambda m: isinstance(m, Heartbeat) and m.reason == "refused", 30)
    assert isinstance(beat, Heartbeat)
    assert beat.attempt == 4
    assert beat.leave_by is not None
    assert 60 < beat.leave_by <= 90


def test_heartbeats_go_on_and_tell_the_truth_while_the_main_thread_hangs(bench: Bench) -> None:
    clock = SystemClock()
    bench.link.processed(NOON)
    bench.link.pulse(CameraStatusUpdate(CameraState.LIVE, "", clock.now(), clock.monotonic() + 0.5, 0))
    time.sleep(2.5)  # the main thread is in a decoder, as it were
    beat = bench.wait(lambda m: isinstance(m, Heartbeat) and (m.leave_by or 0) < -1)
    assert isinstance(beat, Heartbeat)
    assert beat.frames == 1


def test_record_returns_true_once_the_change_is_acknowledged(bench: Bench, recorder: Recorder) -> None:
    answers: list[bool] = []
    thread = threading.Thread(
        target=lambda: answers.append(bench.link.record(make_change(), b"jpeg", patience=10))
    )
    thread.start()
    recorder.receive(2)
    assert thread.is_alive()
    recorder.acknowledge()
    thread.join(5)
    assert answers == [True]
    assert bench.link.drain(0)


def test_record_waits_no_longer_than_its_patience(bench: Bench, recorder: Recorder) -> None:
    began = time.monotonic()
    assert not bench.link.record(make_change(), None, patience=0.3)
    assert 0.25 < time.monotonic() - began < 10
    assert not bench.link.drain(0)
    recorder.receive(2)


def test_without_a_recorder_record_does_not_wait_at_all(bench: Bench) -> None:
    began = time.monotonic()
    assert not bench.link.record(make_change(), None, patience=60)
    assert time.monotonic() - began < 30


def test_a_new_recorder_is_sent_what_the_old_one_did_not_acknowledge(bench: Bench) -> None:
    first = Recorder(bench.path)
    first.accept()
    for number in (1, 2, 3):
        bench.link.record(replace(make_change(), number=number), None, patience=0)
    first.receive(4)
    first.acknowledge(2)
    time.sleep(0.3)
    first.close()
    second = Recorder(bench.path)
    second.accept()
    got = second.receive(3)
    numbers = [m.change.number for m in got if isinstance(m, Record)]
    assert isinstance(got[0], WorkerHello)
    assert numbers == [1, 3]
    second.acknowledge(1)
    second.acknowledge(3)
    assert bench.link.drain(5)
    second.close()


def test_minutes_counted_while_the_recorder_is_away_reach_the_next_one(bench: Bench) -> None:
    minute = OccupancyMinute("hall", "", NOON, 1, 1, 1, 0, 0, 0, 1)
    bench.link.minute(minute)
    recorder = Recorder(bench.path)
    recorder.accept()
    assert recorder.receive(2)[1] == OccupancyCounted(minute=minute)
    recorder.close()


def test_rubbish_from_the_recorder_ends_that_connection_only(bench: Bench, recorder: Recorder) -> None:
    assert recorder.channel is not None
    recorder.channel.socket.send(b"\xff" * 16)
    recorder.accept()
    bench.wait(lambda m: isinstance(m, Heartbeat))


def test_stop_and_commands_reach_the_main_thread(bench: Bench) -> None:
    bench.supervisor.send(Command(id="1", verb="snooze", target="hall", seconds=5))
    bench.supervisor.send(Stop(grace=3.0))
    assert bench.link.stopping.wait(5)
    assert bench.link.grace == 3.0
    assert [command.verb for command in bench.link.commands()] == ["snooze"]


def test_a_snapshot_goes_to_the_recorder_whose_answer_is_passed_on(
    bench: Bench, recorder: Recorder
) -> None:
    taken = SnapshotTaken(command="7", camera="hall", at=NOON)
    bench.link.snapshot(taken, b"jpeg")
    assert recorder.receive(2)[1] == taken
    assert recorder.channel is not None
    answer = CommandResult(id="7", ok=True, detail="taken")
    recorder.channel.send(answer)
    assert bench.wait(lambda m: isinstance(m, CommandResult)) == answer


def test_without_a_recorder_a_snapshot_is_refused_at_once(bench: Bench) -> None:
    bench.link.snapshot(SnapshotTaken(command="7", camera="hall", at=NOON), b"jpeg")
    answer = bench.wait(lambda m: isinstance(m, CommandResult))
    assert answer == CommandResult(id="7", ok=False, detail="the recorder is away")


def test_the_end_of_the_supervisor_s_line_is_noticed(bench: Bench) -> None:
    bench.supervisor.close()
    assert bench.gone.wait(5)


def test_unacknowledged_changes_are_counted(bench: Bench) -> None:
    bench.link.record(make_change(), None, patience=0)
    metrics = bench.wait(
        lambda m: (
            isinstance(m, Metrics)
            and any(
                s.name == catalogue.CHANGES_UNACKNOWLEDGED and s.value == 1 for s in m.snapshot.samples
            )
        )
    )
    assert isinstance(metrics, Metrics)
