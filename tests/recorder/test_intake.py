"""The intake acknowledges a change only when it is stored, whatever the store does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from maskwatch.clock import ManualClock, SystemClock
from maskwatch.domain import OccupancyMinute
from maskwatch.errors import DiskFullError, StoreBusyError, StoreDamagedError, StoreError
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.record import ChangeRecorder, Entry, RecordResult
from maskwatch.store.store import Store
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START, change, entry, incident, make_store


class FailingRecorder(ChangeRecorder):
    """A real recorder of changes that raises `trouble` while it is set."""

    trouble: StoreError | None = None

    def record(
        self, entries: Sequence[Entry], minutes: Sequence[OccupancyMinute] = ()
    ) -> list[RecordResult]:
        if self.trouble is not None:
            raise self.trouble
        return super().record(entries, minutes)


class IntakeHarness:
    """An intake in front of a failing store, and the acknowledgements."""

    def __init__(self, store: Store) -> None:
        self.changes = FailingRecorder(
            store.database, store.outbox, store.data_dir.pictures, store.reserve, SystemClock(), Meter()
        )
        store.changes = self.changes
        self.store = store
        self.clock = ManualClock(START)
        self.unstored = UnstoredBuffer(max_entries=3)
        self.state = CurrentState()
        self.meter = Meter()
        self.intake = Intake(self.unstored, self.state, run="run", clock=self.clock, meter=self.meter)
        self.acknowledged: list[tuple[int, bool | None]] = []

    def add(self, *indexes: int) -> None:
        for index in indexes:
            self.intake.add(entry(change(index)), partial(self._acknowledge, index))

    def _acknowledge(self, index: int, stored: bool | None) -> None:
        self.acknowledged.append((index, stored))

    def commit(self) -> bool:
        self.clock.advance(1)
        return self.intake.commit(self.store)

    def stored(self) -> set[int]:
        return set(self.stored_in_order())

    def stored_in_order(self) -> list[int]:
        waiting = self.store.outbox.waiting("mqtt", 1000)
        return [change.subject.violation.id.int & 0xFF for change in waiting]  # type: ignore[union-attr]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[IntakeHarness]:
    store = make_store(tmp_path / "data")
    yield IntakeHarness(store)
    store.close()


def test_changes_are_committed_together_and_then_acknowledged(harness: IntakeHarness) -> None:
    harness.add(1, 2, 3)
    assert harness.acknowledged == []
    assert harness.commit()
    assert harness.acknowledged == [(1, True), (2, True), (3, True)]
    assert harness.stored() == {1, 2, 3}
    assert len(harness.state.open_violations) == 3


def test_a_repeated_change_is_acknowledged_again(harness: IntakeHarness) -> None:
    harness.add(1)
    harness.commit()
    harness.add(1)
    harness.commit()
    assert harness.acknowledged == [(1, True), (1, True)]


@pytest.mark.parametrize("error", [StoreBusyError("locked"), StoreError("input/output error")])
def test_changes_that_cannot_be_stored_wait_without_acknowledgement(
    harness: IntakeHarness, error: StoreError
) -> None:
    harness.changes.trouble = error
    harness.add(1)
    assert not harness.commit()
    assert harness.acknowledged == []
    assert harness.intake.trouble
    harness.changes.trouble = None
    assert harness.commit()
    assert harness.acknowledged == [(1, True)]
    assert not harness.intake.trouble


def test_a_damaged_store_raises_and_everything_still_waits(harness: IntakeHarness) -> None:
    harness.changes.trouble = StoreDamagedError("malformed")
    harness.add(1)
    with pytest.raises(StoreDamagedError):
        harness.commit()
    harness.changes.trouble = None
    harness.commit()
    assert harness.acknowledged == [(1, True)]


def test_on_a_full_disk_changes_are_acknowledged_as_not_stored(harness: IntakeHarness) -> None:
    harness.changes.trouble = DiskFullError("full")
    harness.add(1, 2)
    assert harness.commit()
    assert harness.acknowledged == [(1, False), (2, False)]
    assert len(harness.unstored) == 2
    harness.changes.trouble = None
    harness.add(3)
    harness.commit()
    assert harness.acknowledged[2:] == [(3, True)]
    assert harness.stored() == {1, 2, 3}
    assert len(harness.unstored) == 0


def test_unstored_changes_are_stored_when_there_is_space_again(harness: IntakeHarness) -> None:
    harness.changes.trouble = DiskFullError("full")
    harness.add(1)
    harness.commit()
    harness.changes.trouble = None
    harness.commit()
    assert harness.stored() == {1}


def test_with_a_full_buffer_changes_wait_without_acknowledgement(harness: IntakeHarness) -> None:
    harness.changes.trouble = DiskFullError("full")
    harness.add(1, 2, 3)
    harness.commit()
    harness.add(4)
    assert not harness.commit()
    assert [index for index, _ in harness.acknowledged] == [1, 2, 3]
    harness.changes.trouble = None
    harness.commit()
    assert harness.acknowledged[3:] == [(4, True)]
    assert harness.stored() == {1, 2, 3, 4}


def test_a_refused_change_is_not_acknowledged_and_delays_nothing(harness: IntakeHarness) -> None:
    refused = entry(change(2, number=0))
    harness.add(1)
    harness.intake.add(refused, lambda stored: harness.acknowledged.append((2, stored)))
    harness.add(3)
    harness.commit()
    assert harness.acknowledged == [(1, True), (2, None), (3, True)]


def test_an_incident_is_counted_once_and_open_until_it_ends(harness: IntakeHarness) -> None:
    for item in (incident(), incident(), incident(1, 2, ended=START)):
        harness.intake.add(entry(item))
        harness.commit()
        assert len(harness.state.open_incidents) == (0 if item.ended else 1)
    counted = {sample.name: sample.value for sample in harness.meter.snapshot().samples}
    assert counted["maskwatch_incidents_total"] == 1


def test_more_than_a_batch_is_committed_in_several_turns(harness: IntakeHarness) -> None:
    """A transaction of thousands would delay the next heartbeat."""
    harness.add(*range(1, 150))
    assert harness.commit()
    assert 0 < len(harness.acknowledged) < 100
    assert harness.intake.pressing
    harness.intake.commit_all(harness.store)
    assert harness.acknowledged == [(index, True) for index in range(1, 150)]
    assert not harness.intake.pressing


def test_unstored_changes_are_stored_in_batches_before_later_ones(harness: IntakeHarness) -> None:
    """A transaction of thousands would delay heartbeats until the recorder is killed."""
    harness.unstored = UnstoredBuffer()
    harness.intake = Intake(
        harness.unstored, harness.state, run="run", clock=harness.clock, meter=harness.meter
    )
    harness.changes.trouble = DiskFullError("full")
    harness.add(*range(1, 201))
    harness.commit()
    assert len(harness.unstored) == 200
    harness.changes.trouble = None
    harness.add(201)
    held = [200]
    while harness.unstored:
        assert harness.commit()
        held.append(len(harness.unstored))
        assert 0 < held[-2] - held[-1] < 100
        assert harness.intake.pressing is bool(harness.unstored)
    assert harness.acknowledged[200:] == [(201, True)]
    assert harness.stored_in_order() == list(range(1, 202))


@pytest.mark.parametrize("error", [StoreBusyError("locked"), StoreError("read-only file system")])
def test_during_lasting_trouble_alerts_are_sent_from_memory(
    harness: IntakeHarness, error: StoreError
) -> None:
    harness.changes.trouble = error
    harness.add(1)
    for _ in range(9):
        assert not harness.commit()
    assert harness.acknowledged == []
    harness.commit()
    harness.commit()
    assert harness.acknowledged == [(1, False)]
    harness.add(2)
    assert harness.commit()
    assert harness.acknowledged[1:] == [(2, False)], "while it lasts, later changes do not wait as long"
    harness.changes.trouble = None
    harness.add(3)
    harness.commit()
    assert harness.acknowledged[2:] == [(3, True)]
    assert harness.stored() == {1, 2, 3}
    harness.changes.trouble = error
    harness.add(4)
    assert not harness.commit(), "another trouble has its own delay"
