"""A child is started, watched, ended and replaced; the process is a fake, time an argument."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from maskwatch.clock import ManualClock
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Configure, Metrics, Ready, Stop, Unavailable
from maskwatch.secrets import SecretUrl
from maskwatch.supervisor.child import ChildKind, ManagedChild, Phase
from maskwatch.supervisor.launcher import ProcessLauncher
from maskwatch.supervisor.restart_policy import RestartPolicy
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.telemetry.catalogue import Owner
from maskwatch.telemetry.meter import MetricsSnapshot
from tests.fakes.child_process import FakeProcess, FakeSpawner, RecordedEvents, heartbeat

TIMEOUTS = Timeouts()
STALL_TIMEOUT = 5.0
STALL_AFTER = STALL_TIMEOUT + TIMEOUTS.stall_margin


@dataclass
class Harness:
    """A child with fake processes, and the time."""

    child: ManagedChild
    spawner: FakeSpawner
    events: RecordedEvents
    now: float = 100.0

    @property
    def process(self) -> FakeProcess:
        return self.spawner.newest

    def advance(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass, with the calls of the main loop."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.child.reap(self.now)
            self.child.tick(self.now)

    def send(self, *messages: object) -> None:
        self.process.send(*messages)  # type: ignore[arg-type]  # only messages are passed
        self.child.receive(self.now)

    def run(self) -> None:
        """Start the child, up to a first heartbeat."""
        self.child.start(self.now)
        self.advance(0.25)
        self.send(Ready(), heartbeat())

    def send_heartbeats_for(self, seconds: float, **fields: object) -> None:
        """Send a heartbeat a second, with frames that advance unless `frames` is given."""
        for turn in range(int(seconds)):
            self.send(heartbeat(**{"frames": turn + 1, **fields}))  # type: ignore[arg-type]  # the helper's own keywords
            self.advance(1.0)

    def fail_until_quarantined(self) -> None:
        self.child.start(self.now)
        for _ in range(TIMEOUTS.restart_budget + 1):
            while self.child.pid is None:
                self.advance(0.25)
            self.process.end(1)
            self.advance(0.25)
        assert self.child.phase is Phase.QUARANTINED


@pytest.fixture
def harness() -> Iterator[Harness]:
    camera = CameraConfig(name="hall", url=SecretUrl("rtsp://h/s"), stall_timeout=STALL_TIMEOUT)
    loop, spawner, events = asyncio.new_event_loop(), FakeSpawner(), RecordedEvents()
    child = ManagedChild(
        ChildKind("maskwatch.worker", Owner.WORKER, "hall"),
        Configure(config=Config(cameras=(camera,)), recorder="/r", camera="hall"),
        launcher=ProcessLauncher(loop, ManualClock(), spawner),  # type: ignore[arg-type]  # fake processes
        events=events,
        timeouts=TIMEOUTS,
        policy=RestartPolicy(TIMEOUTS, random.Random(3)),
    )
    yield Harness(child, spawner, events)
    loop.close()
    spawner.close()


def test_a_started_child_counts_as_running_once_it_is_ready(harness: Harness) -> None:
    harness.child.start(harness.now)
    harness.advance(0.25)
    assert harness.child.phase is Phase.STARTING
    harness.send(Ready())
    assert harness.child.phase is Phase.RUNNING


def test_a_child_that_dies_is_replaced_after_a_pause(harness: Harness) -> None:
    harness.run()
    harness.process.end(1)
    harness.advance(0.25)
    assert harness.events.ends == [(1, "exited")]
    harness.advance(TIMEOUTS.initial_backoff + 0.5)
    assert len(harness.spawner.processes) == 2
    assert harness.child.restarts == 1


def test_a_child_killed_from_outside_is_counted_as_killed(harness: Harness) -> None:
    harness.run()
    harness.process.end(-11)
    harness.advance(0.25)
    assert harness.events.ends == [(-11, "killed")]
    assert "SIGSEGV" in harness.child.reason


def test_a_child_that_sends_no_heartbeat_is_killed_and_replaced(harness: Harness) -> None:
    harness.run()
    harness.advance(TIMEOUTS.heartbeat - 1)
    assert not harness.process.killed
    harness.advance(2)
    assert harness.spawner.processes[0].killed
    assert harness.events.ends == [(-9, "hung")]


def test_a_child_that_is_never_ready_is_killed_and_replaced(harness: Harness) -> None:
    harness.child.start(harness.now)
    harness.advance(TIMEOUTS.ready + 1)
    assert harness.spawner.processes[0].killed


def test_frames_that_do_not_advance_are_a_hang_despite_heartbeats(harness: Harness) -> None:
    harness.run()
    harness.send_heartbeats_for(STALL_AFTER - 3, frames=7)
    assert not harness.process.killed
    harness.send_heartbeats_for(5, frames=7)
    assert harness.spawner.processes[0].killed


def test_a_worker_in_backoff_does_not_hang_however_long_it_lasts(harness: Harness) -> None:
    harness.run()
    harness.send_heartbeats_for(400, frames=0, state=CameraState.BACKOFF, leave_by=60.0)
    assert not harness.process.killed


def test_a_child_that_misses_its_own_deadline_is_killed(harness: Harness) -> None:
    harness.run()
    for left in range(10, -10, -1):
        harness.send(heartbeat(CameraState.CONNECTING, leave_by=float(left)))
        harness.advance(1.0)
    assert harness.spawner.processes[0].killed


def test_a_hang_while_connecting_passes_the_attempt_on_and_costs_no_budget(harness: Harness) -> None:
    harness.run()
    for turn in range(TIMEOUTS.restart_budget + 5):
        harness.send(Ready(), heartbeat(CameraState.CONNECTING, leave_by=1.0, attempt=turn))
        harness.advance(1.0 + TIMEOUTS.deadline_margin + 1.0)
        assert harness.child.phase is not Phase.QUARANTINED
        assert harness.process.configure.attempt == turn + 1
    assert harness.child.policy.failures == 0


def test_a_crash_loop_ends_in_quarantine_and_gets_another_try_later(harness: Harness) -> None:
    harness.fail_until_quarantined()
    started = len(harness.spawner.processes)
    harness.advance(0.7 * TIMEOUTS.quarantine)
    assert len(harness.spawner.processes) == started
    harness.advance(0.4 * TIMEOUTS.quarantine)
    assert len(harness.spawner.processes) == started + 1


def test_an_operator_s_start_ends_a_quarantine(harness: Harness) -> None:
    harness.fail_until_quarantined()
    harness.child.start(harness.now)
    harness.advance(0.25)
    assert harness.child.phase is Phase.STARTING
    assert not harness.child.policy.on_probation


def test_a_child_whose_needs_are_not_met_is_tried_again_without_quarantine(harness: Harness) -> None:
    harness.child.start(harness.now)
    for _ in range(TIMEOUTS.restart_budget + 3):
        while harness.child.pid is None:
            harness.advance(0.25)
        harness.process.send(Unavailable(reason="the disk is not mounted"))
        harness.process.end(15)
        harness.advance(0.25)
        assert harness.child.phase is Phase.WAITING
    assert "the disk is not mounted" in harness.child.reason


def test_a_machine_that_cannot_start_processes_is_tried_again(harness: Harness) -> None:
    harness.spawner.refuses = True
    harness.child.start(harness.now)
    harness.advance(0.5)
    assert harness.child.pid is None
    harness.spawner.refuses = False
    harness.advance(TIMEOUTS.max_backoff)
    assert harness.child.pid is not None


def test_stop_asks_first_and_kills_only_when_that_takes_too_long(harness: Harness) -> None:
    harness.run()
    harness.child.stop(harness.now)
    assert [type(message) for message in harness.process.received()] == [Stop]
    harness.advance(TIMEOUTS.grace)
    assert not harness.process.killed
    harness.advance(TIMEOUTS.kill_after + 0.5)
    assert harness.process.killed
    assert harness.child.phase is Phase.IDLE
    assert harness.events.ends == [(-9, "")]


def test_an_ordered_end_is_not_a_failure_and_no_replacement_follows(harness: Harness) -> None:
    harness.run()
    harness.child.stop(harness.now)
    harness.process.end(0)
    harness.advance(60)
    assert harness.events.ends == [(0, "")]
    assert len(harness.spawner.processes) == 1
    assert harness.child.policy.failures == 0


def test_renewing_ends_one_process_and_starts_the_next_without_a_pause(harness: Harness) -> None:
    harness.run()
    harness.child.renew(harness.now, "config")
    harness.process.end(0)
    harness.advance(0.5)
    assert len(harness.spawner.processes) == 2
    assert harness.events.ends == [(0, "config")]
    assert harness.child.policy.failures == 0


def test_a_worker_that_soon_needs_too_much_memory_is_a_crash_loop(harness: Harness) -> None:
    for _ in range(TIMEOUTS.restart_budget + 1):
        if harness.child.phase is Phase.IDLE:
            harness.child.start(harness.now)
        while harness.child.phase is not Phase.STARTING:
            harness.advance(0.25)
        harness.send(Ready(), heartbeat())
        harness.child.renew(harness.now, "memory")
        harness.process.end(0)
        harness.advance(0.25)
    assert harness.child.phase is Phase.QUARANTINED


def test_start_during_an_ordered_end_brings_the_child_back(harness: Harness) -> None:
    harness.run()
    harness.child.stop(harness.now)
    harness.child.start(harness.now)
    harness.process.end(0)
    harness.advance(0.5)
    assert harness.child.phase is Phase.STARTING


def test_a_child_that_sends_an_invalid_message_is_killed(harness: Harness) -> None:
    harness.run()
    harness.process.peer.socket.send(b"\xff" * 64)
    harness.child.receive(harness.now)
    assert harness.process.killed


def test_messages_sent_before_the_end_are_still_received(harness: Harness) -> None:
    harness.run()
    harness.process.send(Metrics(snapshot=MetricsSnapshot()))
    harness.process.end(0)
    harness.advance(0.25)
    assert harness.events.messages == [Metrics(snapshot=MetricsSnapshot())]


def test_a_child_that_misbehaves_while_connecting_is_paused_like_any_other(harness: Harness) -> None:
    harness.run()
    for _ in range(TIMEOUTS.restart_budget + 1):
        harness.send(Ready(), heartbeat(CameraState.BACKOFF))
        harness.child.report_misbehaviour("x")
        harness.process.end(-9)
        harness.advance(0.25)
        if harness.child.phase is not Phase.QUARANTINED:
            harness.advance(TIMEOUTS.max_backoff)
    assert harness.child.phase is Phase.QUARANTINED
    assert {reason for _, reason in harness.events.ends} == {"misbehaved"}


def test_misbehaviour_is_forgotten_once_another_process_has_run_long_enough(harness: Harness) -> None:
    harness.run()
    harness.child.report_misbehaviour("x")
    harness.process.end(-9)
    harness.advance(TIMEOUTS.max_backoff)
    harness.send(Ready(), heartbeat())
    harness.send_heartbeats_for(10)
    assert "violated the protocol (x)" in harness.child.misbehaviour
    harness.send_heartbeats_for(TIMEOUTS.restart_window)
    assert harness.child.misbehaviour == ""


def test_a_report_about_a_process_that_has_ended_kills_no_successor(harness: Harness) -> None:
    harness.run()
    former = harness.process.pid
    harness.process.end(0)
    harness.advance(TIMEOUTS.max_backoff)
    harness.process.pid = former + 1
    assert harness.child.report_misbehaviour("x", former)
    assert not harness.child.report_misbehaviour("y", 1)
    assert harness.child.misbehaviour == "violated the protocol (x)"
    harness.advance(1)
    assert len(harness.events.ends) == 1


def test_a_message_that_cannot_be_handled_ends_the_child_only(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    harness.run()
    monkeypatch.setattr(harness.events, "received", fail)
    harness.send(Metrics(snapshot=MetricsSnapshot()))
    assert "cannot be handled" in harness.child.misbehaviour
