"""A snoozed camera: violations are stored, alerts are held back until the snooze ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.clock import ManualClock
from maskwatch.domain import Change, Snooze
from maskwatch.errors import DiskFullError
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.recorder.commands import CommandHandler
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.snoozes import SnoozeManager
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.models import OutboxRow, OutboxState
from maskwatch.store.outbox import DeliveryResult
from maskwatch.store.store import Store
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START, change, entry, incident, make_store, violation_id


class SnoozeFixture:
    """A store, an intake and snoozes, without sinks: the outbox holds what would be sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(START)
        self.changes: list[Snooze] = []
        self.start()

    def start(self) -> None:
        """Open the database as a new recorder does."""
        self.store: Store = make_store(self.folder, clock=self.clock)
        self.unstored, self.meter = UnstoredBuffer(), Meter()
        self.state = CurrentState(cameras=("door", "yard"))
        self.snoozes = SnoozeManager(self.store, self.unstored, self.clock, self._changed)
        self.intake = Intake(
            self.unstored,
            self.state,
            run="run",
            clock=self.clock,
            meter=self.meter,
            is_silent=self.snoozes.is_silent,
        )
        self.commands = CommandHandler(self.intake, self.state, self.snoozes, lambda _: None)

    def _changed(self, snooze: Snooze) -> None:
        self.changes.append(snooze)
        self.state.update_snooze(snooze)

    def add(self, subject: Change) -> None:
        self.intake.add(entry(subject))

    def turn(self) -> None:
        self.clock.advance(1)
        self.intake.commit(self.store)
        if self.intake.empty:
            self.snoozes.end_expired(self.store)

    def snooze(self, seconds: float, camera: str = "door") -> CommandResult:
        command = Command(id="1", verb="snooze", target=camera, seconds=seconds, origin="mqtt")
        return self.commands.execute(self.store, command)

    def outbox(self) -> list[tuple[int, int]]:
        """Everything that would be sent: (violation's index, change number), in order."""
        with self.store.database.session() as session:
            rows = session.query(OutboxRow).order_by(OutboxRow.id).all()
            return [(row.subject.int & 0xFF, row.number) for row in rows]

    def restart(self) -> None:
        self.store.close()
        self.start()


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[SnoozeFixture]:
    opened = SnoozeFixture(tmp_path / "data")
    yield opened
    opened.store.close()


def test_violations_of_a_snoozed_camera_are_stored_and_counted_but_not_sent(
    fixture: SnoozeFixture,
) -> None:
    assert fixture.snooze(60).ok
    fixture.add(change(1))
    fixture.add(change(1, 2, closed=True))
    fixture.add(change(2, camera="yard"))
    fixture.turn()
    assert fixture.outbox() == [(2, 1)]
    with fixture.store.database.session() as session:
        found = session.connection().exec_driver_sql(
            "SELECT number, silenced FROM violation ORDER BY camera"
        )
        assert found.all() == [(2, 1), (1, 0)]
    counted = {s.name: s.value for s in fixture.meter.snapshot().samples}
    assert counted[catalogue.CHANGES_SILENCED] == 2


def test_incidents_of_a_snoozed_camera_are_sent(fixture: SnoozeFixture) -> None:
    fixture.snooze(60)
    fixture.intake.add(entry(incident(1)))
    fixture.turn()
    assert len(fixture.outbox()) == 1


def test_a_violation_alerted_before_the_snooze_is_alerted_to_its_end(fixture: SnoozeFixture) -> None:
    fixture.add(change(1))
    fixture.turn()
    fixture.snooze(60)
    fixture.add(change(1, 2))
    fixture.add(change(1, 3, closed=True))
    fixture.turn()
    assert fixture.outbox() == [(1, 1), (1, 2), (1, 3)]


def test_a_change_that_waited_when_the_snooze_began_is_sent(fixture: SnoozeFixture) -> None:
    fixture.add(change(1))
    fixture.snooze(60)
    fixture.turn()
    assert fixture.outbox() == [(1, 1)]


def test_an_open_violation_is_sent_from_its_first_change_when_the_snooze_ends(
    fixture: SnoozeFixture,
) -> None:
    fixture.snooze(60)
    fixture.add(change(1))
    fixture.add(change(2))
    fixture.add(change(2, 2, closed=True))
    fixture.add(change(1, 2))
    fixture.turn()
    assert fixture.state.snapshot().silenced == {violation_id(1)}
    fixture.clock.advance(60)
    fixture.turn()
    assert fixture.outbox() == [(1, 1), (1, 2)]
    assert not fixture.state.snapshot().silenced
    fixture.add(change(1, 3, closed=True))
    fixture.turn()
    assert fixture.outbox() == [(1, 1), (1, 2), (1, 3)]
    assert fixture.changes[-1] == Snooze("door")


def test_zero_seconds_end_a_snooze(fixture: SnoozeFixture) -> None:
    fixture.snooze(3600)
    fixture.add(change(1))
    assert fixture.snooze(0).detail == "people are told of door again"
    assert fixture.outbox() == [(1, 1)]
    assert not fixture.snoozes.is_snoozed("door")


@pytest.mark.parametrize("seconds", [-1.0, 24 * 3600.0 + 1, float("nan")])
def test_an_invalid_duration_is_refused(fixture: SnoozeFixture, seconds: float) -> None:
    done = fixture.snooze(seconds)
    assert not done.ok
    assert "expected 0 (to end it) to 86400" in done.detail
    assert not fixture.snoozes.is_snoozed("door")


def test_a_snooze_survives_a_restart_and_ends_on_time(fixture: SnoozeFixture) -> None:
    fixture.snooze(60)
    fixture.add(change(1))
    fixture.turn()
    fixture.restart()
    fixture.snoozes.announce_resumed()
    assert [snooze.until is None for snooze in fixture.changes] == [False, False]
    fixture.add(change(1, 2))
    fixture.add(change(2))
    fixture.turn()
    assert fixture.outbox() == []
    fixture.clock.advance(60)
    fixture.turn()
    assert fixture.outbox() == [(1, 1), (1, 2), (2, 1)]
    fixture.restart()
    assert not fixture.snoozes.is_snoozed("door")


def test_a_clock_set_back_cannot_extend_a_snooze_beyond_a_day(
    fixture: SnoozeFixture,
) -> None:
    fixture.snooze(60)
    fixture.clock._now -= timedelta(days=300)  # a dead battery
    fixture.restart()
    fixture.clock.advance(24 * 3600)
    fixture.turn()
    assert not fixture.snoozes.is_snoozed("door")


def test_on_a_full_disk_silent_changes_are_not_sent_from_memory_either(
    fixture: SnoozeFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture.snooze(60)
    silent, loud = entry(change(1)), entry(change(2, camera="yard"))

    def fail(*_: object) -> None:
        raise DiskFullError("full")

    monkeypatch.setattr(fixture.store.changes, "record", fail)
    for each in (silent, loud):
        fixture.intake.add(each)
    fixture.turn()
    assert [each.subject for each in fixture.unstored.deliverable("mqtt")] == [loud.subject]
    fixture.unstored.release([violation_id(1)])
    assert len(list(fixture.unstored.deliverable("mqtt"))) == 2


_Steps = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("snooze"), st.sampled_from([0.0, 2.0, 50.0]), st.just(value=False)),
        st.tuples(st.just("turn"), st.just(0), st.just(value=False)),
        st.tuples(st.just("restart"), st.just(0), st.just(value=False)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=_Steps)
def test_a_consumer_gets_all_changes_of_a_violation_or_none(steps: _Steps) -> None:
    """And in the end, when no camera is snoozed, of every one that is open."""
    with tempfile.TemporaryDirectory() as folder:
        fixture = SnoozeFixture(Path(folder) / "data")
        numbers: dict[int, int] = {}
        closed: set[int] = set()
        for what, value, close in steps:
            if what == "change" and int(value) not in closed:
                index = int(value)
                numbers[index] = numbers.get(index, 0) + 1
                last = close and numbers[index] > 1
                fixture.add(change(index, numbers[index], closed=last))
                closed |= {index} if last else set()
            elif what == "snooze":
                assert fixture.snooze(float(value)).ok
            elif what == "turn":
                fixture.turn()
            elif what == "restart":
                fixture.turn()
                fixture.restart()
        fixture.turn()
        fixture.snooze(0)
        outbox = fixture.outbox()
        sent = {index: [n for i, n in outbox if i == index] for index in numbers}
        with fixture.store.database.session() as session:
            stored = session.connection().exec_driver_sql("SELECT count(*) FROM change").scalar()
        fixture.store.close()
    assert stored == sum(numbers.values())
    for index, last in numbers.items():
        everything = list(range(1, last + 1))
        assert sent[index] in ([], everything) if index in closed else sent[index] == everything


def test_held_back_changes_are_not_a_backlog(fixture: SnoozeFixture) -> None:
    fixture.snooze(60)
    fixture.add(change(1))
    fixture.turn()
    assert fixture.store.outbox.backlog("mqtt").pending == 0
    fixture.clock.advance(3600)
    fixture.turn()
    state = fixture.store.outbox.backlog("mqtt")
    assert state.pending == 1
    assert state.oldest == fixture.clock.now(), "it is pending since its release, not since it was seen"
    settled = DeliveryResult(
        "mqtt", violation_id(1), 1, OutboxState.DELIVERED, 1, START, START, "accepted"
    )
    fixture.store.outbox.store_results([settled])
    assert fixture.store.outbox.backlog("mqtt").pending == 0
