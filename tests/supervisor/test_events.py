"""What is told of the children goes on to its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from maskwatch.clock import ManualClock
from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Ready
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.events import ChildEventRouter
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.telemetry.logs import RepeatFilter
from tests.fakes.child_process import Nursery
from tests.supervisor.test_child import beat
from tests.supervisor.test_children import config_of


@pytest.fixture
def limited(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is logged, less the repeats; the handler is every test's, so the filter goes again."""
    repeats = RepeatFilter()
    caplog.set_level(logging.INFO)
    caplog.handler.addFilter(repeats)
    yield caplog
    caplog.handler.removeFilter(repeats)


def test_a_camera_that_is_live_after_many_attempts_is_logged_so_though_repeats_are_held_back(
    limited: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock()
    telemetry = SupervisorMetrics(clock, healthy=lambda: True, ready=lambda: True)
    board = ChildEventRouter(
        telemetry, clock, answer=5, reload=lambda _: None, start_failed=lambda _: None
    )
    with closing(asyncio.new_event_loop()) as loop, closing(Nursery()) as nursery:
        family = ChildProcesses(
            config_of("door"),
            board,
            loop,
            clock=clock,
            limits=Timeouts(),
            start_child=nursery,  # type: ignore[arg-type]  # a fake of the process
        )
        board.family = family
        family.start_workers()
        keeper = family.workers["door"]
        while not nursery.children:
            clock.advance(0.1)
            family.tick()
        child = nursery.newest
        child.says(Ready())
        states = [(CameraState.CONNECTING, f"attempt {i}") for i in range(9)] + [(CameraState.LIVE, "")]
        for state, reason in states:
            child.says(msgspec.structs.replace(beat(state), reason=reason))
            keeper.receive(clock.monotonic())
        family.unwatch(keeper)
    told = [record.getMessage() for record in limited.records]
    assert told.count("camera connecting") < len(states) - 1
    assert told[-1] == "camera live"
