"""A child's message reaches its handler, and a worker may not send what only the recorder may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from maskwatch.domain import Snooze
from maskwatch.ipc.messages import (
    Command,
    CommandExecuted,
    CommandResult,
    Ready,
    SnoozeChanged,
    WorkerMisbehaved,
)
from maskwatch.supervisor.camera_monitor import CameraMonitor
from maskwatch.supervisor.commands import CommandExecutor, CommandRouter
from maskwatch.supervisor.events import ChildEventRouter
from maskwatch.supervisor.metrics import SupervisorMetrics
from tests.fakes.child_process import ChildrenHarness, FakeProcess, config_with_cameras

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Harness(ChildrenHarness):
    """A recorder and a worker that are ready, with the routers of the supervisor."""

    def __init__(self) -> None:
        super().__init__(config_with_cameras("door"))
        metrics = SupervisorMetrics(self.clock)
        self.cameras = CameraMonitor(self.children, metrics, self.clock)
        executor = CommandExecutor(
            self.children, self.controller.switch, lambda done: done(True, "reloaded")
        )
        commands = CommandRouter(executor, 5.0, metrics.command_ended)
        router = ChildEventRouter(self.children, self.cameras, commands, metrics, self.clock)
        self.children.events.subscribe(router)
        self.controller.start_recorder()
        self.controller.start_workers()
        self.advance(0.5)
        self.recorder, self.worker = self.spawner.processes
        for process in self.spawner.processes:
            self.send(process, Ready())

    def send(self, process: FakeProcess, *messages: object) -> None:
        process.send(*messages)  # type: ignore[arg-type]  # only messages are passed
        for child in self.children:
            child.receive(self.clock.monotonic())


@pytest.fixture
def harness() -> Iterator[Harness]:
    with closing(Harness()) as made:
        yield made


def test_a_command_of_the_recorder_is_executed_and_answered(harness: Harness) -> None:
    harness.send(harness.recorder, Command(id="1", verb="reload"))
    assert CommandResult(id="1", ok=True, detail="reloaded") in harness.recorder.received()


def test_a_command_that_the_recorder_executed_is_counted(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, bool]] = []
    count = lambda _, verb, ok: counted.append((verb, ok))  # noqa: E731 - a method's replacement
    monkeypatch.setattr(SupervisorMetrics, "command_ended", count)
    harness.send(harness.recorder, CommandExecuted(verb="acknowledge", ok=True))
    assert counted == [("acknowledge", True)]
    harness.send(harness.worker, CommandExecuted(verb="acknowledge", ok=True))
    assert counted == [("acknowledge", True)]
    assert harness.worker.killed


def test_a_snooze_is_taken_over_from_the_recorder_only(harness: Harness) -> None:
    message = SnoozeChanged(snooze=Snooze("door", NOON))
    harness.send(harness.recorder, message)
    assert harness.cameras.snoozes == {"door": message.snooze}
    harness.send(harness.worker, message)
    assert harness.worker.killed


def test_a_worker_that_the_recorder_reports_is_killed(harness: Harness) -> None:
    harness.send(harness.recorder, WorkerMisbehaved(pid=harness.worker.pid, reason="forged a name"))
    assert harness.worker.killed
    assert not harness.recorder.killed
