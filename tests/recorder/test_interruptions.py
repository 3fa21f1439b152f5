"""Violations whose worker has ended are closed as interrupted, each once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.clock import ManualClock
from maskwatch.domain import CloseReason
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.interruptions import Interruptions
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.recorder.worker_connections import Newcomer
from maskwatch.store.models import ViolationRow
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START, change, entry, incident, make_store, violation_id


class FakeWorkers:
    """Stands in for `WorkerConnections`: which workers have connected, and how long one is absent."""

    def __init__(self) -> None:
        self.newcomers: deque[Newcomer] = deque()
        self.absent = 0.0

    def seconds_absent(self, _: str) -> float:
        return self.absent


class InterruptionHarness:
    """Interruptions over a store, with one open violation of each of two cameras."""

    def __init__(self, folder: Path) -> None:
        self.store, self.clock = make_store(folder), ManualClock(START)
        self.state, self.workers = CurrentState(), FakeWorkers()
        self.intake = Intake(UnstoredBuffer(), self.state, run="run", clock=self.clock, meter=Meter())
        self.interruptions = Interruptions(self.workers, self.intake, self.state, self.clock)
        self.intake.add(entry(change(1, camera="door")))
        self.intake.add(entry(change(2, camera="yard")))

    def still_open(self) -> set[int]:
        self.intake.commit_all(self.store)
        return {each.violation.id.int & 0xFF for each in self.store.state.open_changes()}


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[InterruptionHarness]:
    made = InterruptionHarness(tmp_path / "data")
    yield made
    made.store.close()


def test_violations_of_a_replaced_worker_are_closed_once(harness: InterruptionHarness) -> None:
    harness.workers.newcomers.append(Newcomer("door", "another process"))
    harness.interruptions.close_replaced(harness.store)
    assert harness.workers.newcomers, "what was sent before must be stored first"
    assert harness.still_open() == {1, 2}
    harness.interruptions.close_replaced(harness.store)
    assert harness.still_open() == {2}
    assert not harness.workers.newcomers


def test_violations_of_the_same_worker_stay_open(harness: InterruptionHarness) -> None:
    harness.still_open()
    harness.workers.newcomers.append(Newcomer("door", entry(change(1)).owner))
    harness.interruptions.close_replaced(harness.store)
    assert harness.still_open() == {1, 2}


def test_violations_without_a_worker_for_a_minute_are_closed(harness: InterruptionHarness) -> None:
    harness.still_open()
    for absent, left_open in ((59.0, {1, 2}), (61.0, set())):
        harness.workers.absent = absent
        harness.interruptions.close_orphaned()
        assert harness.still_open() == left_open


def test_incidents_and_violations_are_closed_with_their_reason(harness: InterruptionHarness) -> None:
    harness.intake.add(entry(incident(1)))
    harness.still_open()
    harness.interruptions.close([change(1)], [incident(1)])
    assert harness.still_open() == {2}
    assert harness.state.open_incidents == []
    with harness.store.database.session() as session:
        closed = session.get_one(ViolationRow, violation_id(1))
        assert closed.close_reason == CloseReason.INTERRUPTED.value
