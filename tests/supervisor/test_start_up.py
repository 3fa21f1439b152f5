"""Workers start when the recorder is ready or late; the start is complete when all have started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from maskwatch.config.schema import Config
from maskwatch.ipc.messages import Ready
from maskwatch.supervisor import start_up
from maskwatch.supervisor.start_up import StartUp
from maskwatch.supervisor.timeouts import Timeouts
from tests.fakes.child_process import ChildrenHarness, config_with_cameras


class Harness(ChildrenHarness):
    """A start-up whose recorder has a process that is not ready."""

    def __init__(self) -> None:
        super().__init__(config_with_cameras("door"))
        self.exit_codes: list[int] = []
        self.start_up = StartUp(
            self.children.config,
            self.children,
            self.controller,
            Timeouts(),
            self.clock,
            recorder_failed=self.exit_codes.append,
        )
        self.children.events.subscribe(self.start_up)
        self.controller.start_recorder()
        self.advance(0.1)

    def recorder_ready(self) -> None:
        self.spawner.processes[0].send(Ready())
        self.children.recorder.receive(self.clock.monotonic())

    def check_models(self) -> None:
        self.loop.run_until_complete(self.start_up.check_models())


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    async def check_model(_: Config) -> None:
        pass

    monkeypatch.setattr(start_up, "check_model", check_model)
    with closing(Harness()) as made:
        yield made


def test_workers_wait_for_the_recorder(harness: Harness) -> None:
    harness.start_up.tick()
    harness.advance(1)
    assert harness.starts() == []
    harness.recorder_ready()
    harness.start_up.tick()
    harness.advance(1)
    assert harness.starts() == ["door"]


def test_workers_start_without_a_recorder_that_is_late(harness: Harness) -> None:
    harness.advance(Timeouts().recorder_start)
    harness.start_up.tick()
    harness.advance(1)
    assert harness.starts() == ["door"]


def test_the_start_is_complete_once_models_are_checked_and_workers_started(harness: Harness) -> None:
    harness.recorder_ready()
    harness.start_up.tick()
    harness.advance(1)
    assert not harness.start_up.tick()
    harness.check_models()
    assert [harness.start_up.tick(), harness.start_up.tick()] == [True, False]
    assert harness.start_up.complete


@pytest.mark.parametrize(
    ("ready", "code", "reported"),
    [(False, 5, [5]), (False, 1, []), (False, 12, []), (False, 15, []), (False, -9, []), (True, 5, [])],
)
def test_only_a_recorder_that_refuses_to_start_ends_the_daemon(
    harness: Harness, ready: bool, code: int, reported: list[int]
) -> None:
    if ready:
        harness.recorder_ready()
    harness.spawner.processes[0].end(code)
    harness.advance(0.1)
    assert harness.exit_codes == reported
