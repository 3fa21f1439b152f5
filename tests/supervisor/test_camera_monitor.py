"""Every change of a camera's state is logged and sent to the recorder, which learns all at its start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing

import pytest

from maskwatch.domain import CameraState
from maskwatch.ipc.messages import Ready, StatusChanged
from maskwatch.supervisor.camera_monitor import CameraMonitor
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.telemetry.logs import RepeatFilter
from tests.fakes.child_process import ChildrenHarness, config_with_cameras, heartbeat


@pytest.fixture
def harness() -> Iterator[ChildrenHarness]:
    """A camera's worker that is ready, with a monitor."""
    with closing(ChildrenHarness(config_with_cameras("door"))) as made:
        made.children.events.subscribe(
            CameraMonitor(made.children, SupervisorMetrics(made.clock), made.clock)
        )
        made.controller.start_workers()
        made.advance(0.5)
        made.spawner.newest.send(Ready())
        yield made


@pytest.fixture
def filtered(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log without repeated lines; the handler is shared with other tests, so the filter goes."""
    repeats = RepeatFilter()
    caplog.set_level(logging.INFO)
    caplog.handler.addFilter(repeats)
    yield caplog
    caplog.handler.removeFilter(repeats)


def test_a_camera_that_is_live_after_many_attempts_is_always_logged(
    harness: ChildrenHarness, filtered: pytest.LogCaptureFixture
) -> None:
    heartbeats = [heartbeat(CameraState.CONNECTING, reason=f"attempt {i}") for i in range(9)]
    for each in (*heartbeats, heartbeat(CameraState.LIVE)):
        harness.spawner.newest.send(each)
        harness.receive("door")
    lines = [record.getMessage() for record in filtered.records]
    assert lines.count("camera connecting") < len(heartbeats), "repeats are filtered"
    assert lines[-1] == "camera live"


def test_a_new_recorder_is_sent_every_status(harness: ChildrenHarness) -> None:
    harness.spawner.newest.send(heartbeat(CameraState.LIVE))
    harness.receive("door")
    harness.controller.start_recorder()
    harness.advance(0.5)
    recorder = harness.spawner.newest
    recorder.send(Ready())
    harness.children.recorder.receive(harness.clock.monotonic())
    sent = [message.status for message in recorder.received() if isinstance(message, StatusChanged)]
    assert [(status.camera, status.state) for status in sent] == [("door", CameraState.LIVE)]


def test_a_reason_holds_nothing_that_a_terminal_obeys(
    harness: ChildrenHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hostile = "\x1b]0;owned\x07\u202ex\n" + "y" * 1000
    harness.spawner.newest.send(heartbeat(CameraState.BACKOFF, reason=hostile))
    harness.receive("door")
    (reason,) = {each for record in caplog.records if (each := getattr(record, "reason", ""))}
    assert reason.startswith("?]0;owned??x?yyy")
    assert len(reason) == 300
