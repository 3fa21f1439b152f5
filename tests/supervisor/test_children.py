"""All children: a delay of the supervisor itself, and the recorder's own restart policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from maskwatch.ipc.messages import Ready
from maskwatch.supervisor.timeouts import Timeouts
from tests.fakes.child_process import ChildrenHarness, config_with_cameras


@pytest.fixture
def harness() -> Iterator[ChildrenHarness]:
    with closing(ChildrenHarness(config_with_cameras("a", "b"))) as made:
        made.controller.start_recorder()
        made.controller.start_workers()
        made.advance(2)
        yield made


def test_no_child_is_killed_for_a_delay_of_the_supervisor_itself(harness: ChildrenHarness) -> None:
    for process in harness.spawner.processes:
        process.send(Ready())
    harness.advance(5)
    harness.clock.advance(Timeouts().heartbeat + Timeouts().ready)  # suspended, or starved
    harness.tick()
    harness.advance(5)
    assert not any(process.killed for process in harness.spawner.processes)


def test_a_child_silent_for_longer_than_such_a_delay_is_killed(harness: ChildrenHarness) -> None:
    harness.clock.advance(100.0)
    harness.advance(Timeouts().ready + 2)  # none of them becomes ready
    assert harness.spawner.processes[0].killed


def test_the_quarantine_of_the_recorder_does_not_grow(harness: ChildrenHarness) -> None:
    policies = (harness.children.recorder.policy, harness.children.workers["a"].policy)
    pauses = [[policy.failed(0.0).seconds for _ in range(20)][-1] for policy in policies]
    assert pauses[0] <= Timeouts().quarantine < pauses[1]
