"""A child that uses too much memory is renewed, but not while the recorder cannot store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec.structs import replace

from maskwatch.config.schema import SupervisionConfig
from maskwatch.ipc.messages import Ready
from maskwatch.supervisor.child import Phase
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.process_monitor import ProcessMonitor
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.supervisor.zygote import Zygote
from tests.fakes.child_process import ChildrenHarness, config_with_cameras, heartbeat


@pytest.fixture
def harness() -> Iterator[ChildrenHarness]:
    """A recorder and a worker that are ready, and as large as the test's own process."""
    with closing(ChildrenHarness(config_with_cameras("door"))) as made:
        made.controller.start_recorder()
        made.controller.start_workers()
        made.advance(0.5)
        for process, child in zip(made.spawner.processes, made.children, strict=True):
            process.pid = os.getpid()
            process.send(Ready(), heartbeat())
            child.receive(made.clock.monotonic())
        yield made


def measure(harness: ChildrenHarness, megabytes: int) -> list[Phase]:
    """Measure with this limit of memory; return the phases of recorder and worker."""
    supervision = replace(SupervisionConfig(), worker_megabytes=megabytes)
    harness.children.config = replace(harness.children.config, supervision=supervision)
    metrics = SupervisorMetrics(harness.clock)
    zygote = Zygote(harness.loop, Timeouts(), harness.clock, metrics.zygote_ended)
    monitor = ProcessMonitor(harness.children, zygote, metrics, harness.clock)
    monitor.measure()
    return [child.phase for child in harness.children]


def test_children_below_the_limit_are_left_running(harness: ChildrenHarness) -> None:
    assert measure(harness, 1 << 20) == [Phase.RUNNING, Phase.RUNNING]


def test_a_child_above_the_limit_is_renewed(harness: ChildrenHarness) -> None:
    recorder, worker = measure(harness, 1)
    assert recorder is Phase.STOPPING
    assert worker is Phase.RUNNING, "it is renewed when its changes can be stored again"
    assert harness.spawner.processes[1].received() == []


def test_no_child_is_renewed_while_the_recorder_cannot_store(harness: ChildrenHarness) -> None:
    harness.spawner.processes[0].send(heartbeat(reason="locked"))
    harness.children.recorder.receive(harness.clock.monotonic())
    assert measure(harness, 1) == [Phase.RUNNING, Phase.RUNNING]
