"""What waits to be committed: acknowledged only when it is stored, whatever the store says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from maskwatch.clock import ManualClock
from maskwatch.domain import OccupancyMinute
from maskwatch.errors import DiskFullError, StoreBusyError, StoreDamagedError, StoreError
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.database import Store
from maskwatch.store.record import Entry, Receipt
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START, change, entry, incident, make_store


class MoodyStore(Store):
    """A real store that refuses with `trouble` while there is one."""

    trouble: StoreError | None = None

    def record(self, entries: Sequence[Entry], minutes: Sequence[OccupancyMinute] = ()) -> list[Receipt]:
        if self.trouble is not None:
            raise self.trouble
        return super().record(entries, minutes)


class Bench:
    """An intake in front of a moody store; notes each acknowledgement."""

    def __init__(self, store: MoodyStore) -> None:
        self.store = store
        self.clock = ManualClock(START)
        self.memory = UnstoredBuffer(most=3)
        self.standing = CurrentState()
        self.meter = Meter()
        self.intake = Intake(self.memory, self.standing, clock=self.clock, meter=self.meter)
        self.told: list[tuple[int, bool | None]] = []

    def add(self, *indexes: int) -> None:
        for index in indexes:
            self.intake.add(entry(change(index)), lambda stored, i=index: self.told.append((i, stored)))

    def commit(self) -> bool:
        self.clock.advance(1)
        return self.intake.commit(self.store)

    def stored(self) -> set[int]:
        return set(self.stored_in_order())

    def stored_in_order(self) -> list[int]:
        waiting = self.store.waiting("mqtt", 1000)
        return [change.subject.violation.id.int & 0xFF for change in waiting]  # type: ignore[union-attr]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    plain = make_store(tmp_path / "data")
    moody = MoodyStore(
        plain.place, sinks=plain.sinks, reserve=plain.reserve, clock=ManualClock(START), meter=Meter()
    )
    plain.close()
    yield Bench(moody)
    moody.close()


def test_several_changes_are_committed_together_and_then_acknowledged(bench: Bench) -> None:
    bench.add(1, 2, 3)
    assert bench.told == []
    assert bench.commit()
    assert bench.told == [(1, True), (2, True), (3, True)]
    assert bench.stored() == {1, 2, 3}
    assert len(bench.standing.open_violations) == 3


def test_a_repeated_change_is_acknowledged_again(bench: Bench) -> None:
    bench.add(1)
    bench.commit()
    bench.add(1)
    bench.commit()
    assert bench.told == [(1, True), (1, True)]


@pytest.mark.parametrize("error", [StoreBusyError("locked"), StoreError("input/output error")])
def test_what_the_store_cannot_take_now_waits_without_acknowledgement(
    bench: Bench, error: StoreError
) -> None:
    bench.store.trouble = error
    bench.add(1)
    assert not bench.commit()
    assert bench.told == []
    assert bench.intake.trouble
    bench.store.trouble = None
    assert bench.commit()
    assert bench.told == [(1, True)]
    assert not bench.intake.trouble


def test_a_damaged_store_is_reported_and_everything_still_waits(bench: Bench) -> None:
    bench.store.trouble = StoreDamagedError("malformed")
    bench.add(1)
    with pytest.raises(StoreDamagedError):
        bench.commit()
    bench.store.trouble = None
    bench.commit()
    assert bench.told == [(1, True)]


def test_on_a_full_disk_changes_move_to_memory_and_are_acknowledged_as_not_stored(bench: Bench) -> None:
    bench.store.trouble = DiskFullError("full")
    bench.add(1, 2)
    assert bench.commit()
    assert bench.told == [(1, False), (2, False)]
    assert len(bench.memory) == 2
    bench.store.trouble = None
    bench.add(3)
    bench.commit()
    assert bench.told[2:] == [(3, True)]
    assert bench.stored() == {1, 2, 3}
    assert len(bench.memory) == 0


def test_memory_is_stored_when_there_is_space_though_nothing_new_comes(bench: Bench) -> None:
    bench.store.trouble = DiskFullError("full")
    bench.add(1)
    bench.commit()
    bench.store.trouble = None
    bench.commit()
    assert bench.stored() == {1}


def test_with_memory_full_too_changes_wait_without_acknowledgement(bench: Bench) -> None:
    bench.store.trouble = DiskFullError("full")
    bench.add(1, 2, 3)
    bench.commit()
    bench.add(4)
    assert not bench.commit()
    assert [index for index, _ in bench.told] == [1, 2, 3]
    bench.store.trouble = None
    bench.commit()
    assert bench.told[3:] == [(4, True)]
    assert bench.stored() == {1, 2, 3, 4}


def test_an_impossible_change_is_not_acknowledged_and_holds_nothing_up(bench: Bench) -> None:
    impossible = entry(change(2, number=0))
    bench.add(1)
    bench.intake.add(impossible, lambda stored: bench.told.append((2, stored)))
    bench.add(3)
    bench.commit()
    assert bench.told == [(1, True), (2, None), (3, True)]


def test_an_incident_is_counted_once_and_stands_until_it_ends(bench: Bench) -> None:
    for item in (incident(), incident(), incident(1, 2, ended=START)):
        bench.intake.add(entry(item), lambda _: None)
        bench.commit()
        assert len(bench.standing.open_incidents) == (0 if item.ended else 1)
    counted = {sample.name: sample.value for sample in bench.meter.snapshot().samples}
    assert counted["maskwatch_incidents_total"] == 1


def test_more_than_a_batch_is_committed_in_several_turns_and_all_of_it_at_the_end(bench: Bench) -> None:
    """One transaction of thousands would keep the recorder from saying that it lives."""
    bench.add(*range(1, 150))
    assert bench.commit()
    assert 0 < len(bench.told) < 100
    assert bench.intake.pressing
    bench.intake.commit_all(bench.store)
    assert bench.told == [(index, True) for index in range(1, 150)]
    assert not bench.intake.pressing


def test_what_is_in_memory_is_stored_batch_by_batch_and_before_what_came_later(bench: Bench) -> None:
    """Thousands that are held would else keep the recorder from beating until it is killed, and lost."""
    bench.memory = UnstoredBuffer()
    bench.intake = Intake(bench.memory, bench.standing, clock=bench.clock, meter=bench.meter)
    bench.store.trouble = DiskFullError("full")
    bench.add(*range(1, 201))
    bench.commit()
    assert len(bench.memory) == 200
    bench.store.trouble = None
    bench.add(201)
    held = [200]
    while bench.memory:
        assert bench.commit()
        held.append(len(bench.memory))
        assert 0 < held[-2] - held[-1] < 100
        assert bench.intake.pressing is bool(bench.memory)
    assert bench.told[200:] == [(201, True)]
    assert bench.stored_in_order() == list(range(1, 202))


@pytest.mark.parametrize("error", [StoreBusyError("locked"), StoreError("read-only file system")])
def test_trouble_that_lasts_has_people_told_from_memory_and_is_stored_in_the_end(
    bench: Bench, error: StoreError
) -> None:
    bench.store.trouble = error
    bench.add(1)
    for _ in range(9):
        assert not bench.commit()
    assert bench.told == []
    bench.commit()
    bench.commit()
    assert bench.told == [(1, False)]
    bench.add(2)
    assert bench.commit()
    assert bench.told[1:] == [(2, False)], "while it lasts, what comes need not wait as long"
    bench.store.trouble = None
    bench.add(3)
    bench.commit()
    assert bench.told[2:] == [(3, True)]
    assert bench.stored() == {1, 2, 3}
    bench.store.trouble = error
    bench.add(4)
    assert not bench.commit(), "another trouble is a new one"
