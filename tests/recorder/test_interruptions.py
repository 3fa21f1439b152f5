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


class InterruptionFixture:
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
def fixture(tmp_path: Path) -> Iterator[InterruptionFixture]:
    made = InterruptionFixture(tmp_path / "data")
    yield made
    made.store.close()


def test_violations_of_a_replaced_worker_are_closed_once(fixture: InterruptionFixture) -> None:
    fixture.workers.newcomers.append(Newcomer("door", "another process"))
    fixture.interruptions.close_replaced(fixture.store)
    assert fixture.workers.newcomers, "what was sent before must be stored first"
    assert fixture.still_open() == {1, 2}
    fixture.interruptions.close_replaced(fixture.store)
    assert fixture.still_open() == {2}
    assert not fixture.workers.newcomers


def test_violations_of_the_same_worker_stay_open(fixture: InterruptionFixture) -> None:
    fixture.still_open()
    fixture.workers.newcomers.append(Newcomer("door", entry(change(1)).owner))
    fixture.interruptions.close_replaced(fixture.store)
    assert fixture.still_open() == {1, 2}


def test_violations_without_a_worker_for_a_minute_are_closed(fixture: InterruptionFixture) -> None:
    fixture.still_open()
    for absent, left_open in ((59.0, {1, 2}), (61.0, set())):
        fixture.workers.absent = absent
        fixture.interruptions.close_orphaned()
        assert fixture.still_open() == left_open


def test_incidents_and_violations_are_closed_with_their_reason(fixture: InterruptionFixture) -> None:
    fixture.intake.add(entry(incident(1)))
    fixture.still_open()
    fixture.interruptions.close([change(1)], [incident(1)])
    assert fixture.still_open() == {2}
    assert fixture.state.open_incidents == []
    with fixture.store.database.session() as session:
        closed = session.get_one(ViolationRow, violation_id(1))
        assert closed.close_reason == CloseReason.INTERRUPTED.value
