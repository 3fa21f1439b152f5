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


class SnoozeHarness:
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
        self.commands = CommandHandler(self.intake, self.state, self.snoozes, lambda _: None, self.clock)

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
        command = Command(id="1", verb="snooze", target=camera, seconds=seconds, origin="mqtt", by="ann")
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
def harness(tmp_path: Path) -> Iterator[SnoozeHarness]:
    opened = SnoozeHarness(tmp_path / "data")
    yield opened
    opened.store.close()


def test_violations_of_a_snoozed_camera_are_stored_and_counted_but_not_sent(
    harness: SnoozeHarness,
) -> None:
    assert harness.snooze(60).ok
    harness.add(change(1))
    harness.add(change(1, 2, closed=True))
    harness.add(change(2, camera="yard"))
    harness.turn()
    assert harness.outbox() == [(2, 1)]
    with harness.store.database.session() as session:
        found = session.connection().exec_driver_sql(
            "SELECT number, silenced FROM violation ORDER BY camera"
        )
        assert found.all() == [(2, 1), (1, 0)]
    counted = {s.name: s.value for s in harness.meter.snapshot().samples}
    assert counted[catalogue.CHANGES_SILENCED] == 2


def test_incidents_of_a_snoozed_camera_are_sent(harness: SnoozeHarness) -> None:
    harness.snooze(60)
    harness.intake.add(entry(incident(1)))
    harness.turn()
    assert len(harness.outbox()) == 1


def test_a_violation_alerted_before_the_snooze_is_alerted_to_its_end(harness: SnoozeHarness) -> None:
    harness.add(change(1))
    harness.turn()
    harness.snooze(60)
    harness.add(change(1, 2))
    harness.add(change(1, 3, closed=True))
    harness.turn()
    assert harness.outbox() == [(1, 1), (1, 2), (1, 3)]


def test_a_change_that_waited_when_the_snooze_began_is_sent(harness: SnoozeHarness) -> None:
    harness.add(change(1))
    harness.snooze(60)
    harness.turn()
    assert harness.outbox() == [(1, 1)]


def test_an_open_violation_is_sent_from_its_first_change_when_the_snooze_ends(
    harness: SnoozeHarness,
) -> None:
    harness.snooze(60)
    harness.add(change(1))
    harness.add(change(2))
    harness.add(change(2, 2, closed=True))
    harness.add(change(1, 2))
    harness.turn()
    assert harness.state.snapshot().silenced == {violation_id(1)}
    harness.clock.advance(60)
    harness.turn()
    assert harness.outbox() == [(1, 1), (1, 2)]
    assert not harness.state.snapshot().silenced
    harness.add(change(1, 3, closed=True))
    harness.turn()
    assert harness.outbox() == [(1, 1), (1, 2), (1, 3)]
    assert harness.changes[-1] == Snooze("door")


def test_zero_seconds_end_a_snooze(harness: SnoozeHarness) -> None:
    harness.snooze(3600)
    harness.add(change(1))
    assert harness.snooze(0).detail == "alerts of door are on again"
    assert harness.outbox() == [(1, 1)]
    assert not harness.snoozes.is_snoozed("door")


@pytest.mark.parametrize("seconds", [-1.0, 24 * 3600.0 + 1, float("nan")])
def test_an_invalid_duration_is_refused(harness: SnoozeHarness, seconds: float) -> None:
    done = harness.snooze(seconds)
    assert not done.ok
    assert "expected 0 (to end it) to 86400" in done.detail
    assert not harness.snoozes.is_snoozed("door")


def test_a_snooze_survives_a_restart_and_ends_on_time(harness: SnoozeHarness) -> None:
    harness.snooze(60)
    harness.add(change(1))
    harness.turn()
    harness.restart()
    harness.snoozes.announce_resumed()
    assert [snooze.until is None for snooze in harness.changes] == [False, False]
    assert [snooze.by for snooze in harness.changes] == ["ann", "ann"]
    harness.add(change(1, 2))
    harness.add(change(2))
    harness.turn()
    assert harness.outbox() == []
    harness.clock.advance(60)
    harness.turn()
    assert harness.outbox() == [(1, 1), (1, 2), (2, 1)]
    harness.restart()
    assert not harness.snoozes.is_snoozed("door")


def test_a_clock_set_back_cannot_extend_a_snooze_beyond_a_day(
    harness: SnoozeHarness,
) -> None:
    harness.snooze(60)
    harness.clock._now -= timedelta(days=300)  # a dead battery
    harness.restart()
    harness.clock.advance(24 * 3600)
    harness.turn()
    assert not harness.snoozes.is_snoozed("door")


def test_on_a_full_disk_silent_changes_are_not_sent_from_memory_either(
    harness: SnoozeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.snooze(60)
    silent, loud = entry(change(1)), entry(change(2, camera="yard"))

    def fail(*_: object) -> None:
        raise DiskFullError("full")

    monkeypatch.setattr(harness.store.changes, "record", fail)
    for each in (silent, loud):
        harness.intake.add(each)
    harness.turn()
    assert [each.subject for each in harness.unstored.deliverable("mqtt")] == [loud.subject]
    harness.unstored.release([violation_id(1)])
    assert len(list(harness.unstored.deliverable("mqtt"))) == 2


_Steps = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("snooze"), st.sampled_from([0.0, 2.0, 50.0]), st.just(value=False)),
        st.tuples(st.just("turn"), st.just(0), st.just(value=False)),
        st.tuples(st.just("restart"), st.just(0), st.just(value=False)),
    ),
    max_size=40,
)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(steps=_Steps)
def test_a_consumer_gets_all_changes_of_a_violation_or_none(steps: _Steps) -> None:
    """And in the end, when no camera is snoozed, of every one that is open."""
    with tempfile.TemporaryDirectory() as folder:
        harness = SnoozeHarness(Path(folder) / "data")
        numbers: dict[int, int] = {}
        closed: set[int] = set()
        for what, value, close in steps:
            if what == "change" and int(value) not in closed:
                index = int(value)
                numbers[index] = numbers.get(index, 0) + 1
                last = close and numbers[index] > 1
                harness.add(change(index, numbers[index], closed=last))
                closed |= {index} if last else set()
            elif what == "snooze":
                assert harness.snooze(float(value)).ok
            elif what == "turn":
                harness.turn()
            elif what == "restart":
                harness.turn()
                harness.restart()
        harness.turn()
        harness.snooze(0)
        outbox = harness.outbox()
        sent = {index: [n for i, n in outbox if i == index] for index in numbers}
        with harness.store.database.session() as session:
            stored = session.connection().exec_driver_sql("SELECT count(*) FROM change").scalar()
        harness.store.close()
    assert stored == sum(numbers.values())
    for index, last in numbers.items():
        everything = list(range(1, last + 1))
        assert sent[index] in ([], everything) if index in closed else sent[index] == everything


def test_held_back_changes_are_not_a_backlog(harness: SnoozeHarness) -> None:
    harness.snooze(60)
    harness.add(change(1))
    harness.turn()
    assert harness.store.outbox.backlog("mqtt").pending == 0
    harness.clock.advance(3600)
    harness.turn()
    state = harness.store.outbox.backlog("mqtt")
    assert state.pending == 1
    assert state.oldest == harness.clock.now(), "it is pending since its release, not since it was seen"
    settled = DeliveryResult("mqtt", violation_id(1), 1, OutboxState.DELIVERED, START, START, "accepted")
    harness.store.outbox.store_results([settled])
    assert harness.store.outbox.backlog("mqtt").pending == 0
