"""A snoozed camera: everything is stored, nobody is told, and what is still open is told afterwards."""

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
from maskwatch.ipc.messages import Command, CommandResult, SnapshotTaken
from maskwatch.recorder.commands import CommandHandler, ForwardedCommands
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.snoozes import SnoozeManager
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.database import Store
from maskwatch.store.models import OutboxRow, OutboxState
from maskwatch.store.outbox import DeliveryResult
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START, change, entry, incident, make_store, violation_id
from tests.fakes.sink import FakeSink


class Bench:
    """A store with all that decides who is told, without sinks: what waits is what would be told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(START)
        self.told: list[Snooze] = []
        self.start()

    def start(self) -> None:
        """As a new recorder does, over the same database."""
        self.store: Store = make_store(self.folder, clock=self.clock)
        self.memory, self.standing, self.meter = UnstoredBuffer(), CurrentState(), Meter()
        self.silence = SnoozeManager(self.store, self.memory, self.clock, self._tell)
        self.intake = Intake(
            self.memory, self.standing, clock=self.clock, meter=self.meter, covers=self.silence.covers
        )
        commands = ForwardedCommands(lambda: None)
        self.clerk = CommandHandler(commands, self.intake, self.standing, self.silence, lambda: None)

    def _tell(self, snooze: Snooze) -> None:
        self.told.append(snooze)
        self.standing.snooze(snooze)

    def add(self, subject: Change) -> None:
        self.intake.add(entry(subject), lambda _: None)

    def turn(self) -> None:
        self.clock.advance(1)
        self.intake.commit(self.store)
        if self.intake.empty:
            self.silence.turn(self.store)

    def snooze(self, seconds: float, camera: str = "door") -> CommandResult:
        command = Command(id="1", verb="snooze", target=camera, seconds=seconds, origin="mqtt")
        return self.clerk.execute(self.store, command)

    def waiting(self) -> list[tuple[int, int]]:
        """What would be told, all of it: (violation's index, change number), in order."""
        with self.store.session() as session:
            rows = session.query(OutboxRow).order_by(OutboxRow.id).all()
            return [(row.subject.int & 0xFF, row.number) for row in rows]

    def restart(self) -> None:
        self.store.close()
        self.start()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    opened = Bench(tmp_path / "data")
    yield opened
    opened.store.close()


def test_violations_of_a_snoozed_camera_are_stored_and_counted_but_not_told(bench: Bench) -> None:
    assert bench.snooze(60).ok
    bench.add(change(1))
    bench.add(change(1, 2, closed=True))
    bench.add(change(2, camera="yard"))
    bench.turn()
    assert bench.waiting() == [(2, 1)]
    with bench.store.session() as session:
        found = session.connection().exec_driver_sql(
            "SELECT number, silenced FROM violation ORDER BY camera"
        )
        assert found.all() == [(2, 1), (1, 0)]
    counted = {s.name: s.value for s in bench.meter.snapshot().samples}
    assert counted[catalogue.CHANGES_SILENCED] == 2


def test_trouble_with_a_snoozed_camera_is_told_all_the_same(bench: Bench) -> None:
    bench.snooze(60)
    bench.intake.add(entry(incident(1)), lambda _: None)
    bench.turn()
    assert len(bench.waiting()) == 1


def test_what_was_told_before_the_snooze_is_told_to_its_end(bench: Bench) -> None:
    bench.add(change(1))
    bench.turn()
    bench.snooze(60)
    bench.add(change(1, 2))
    bench.add(change(1, 3, closed=True))
    bench.turn()
    assert bench.waiting() == [(1, 1), (1, 2), (1, 3)]


def test_what_waited_to_be_stored_when_the_snooze_began_is_told(bench: Bench) -> None:
    bench.add(change(1))
    bench.snooze(60)
    bench.turn()
    assert bench.waiting() == [(1, 1)]


def test_what_is_still_open_at_the_end_is_told_from_its_first_change_on(bench: Bench) -> None:
    bench.snooze(60)
    bench.add(change(1))
    bench.add(change(2))
    bench.add(change(2, 2, closed=True))
    bench.add(change(1, 2))
    bench.turn()
    assert bench.standing.state().silenced == {violation_id(1)}
    bench.clock.advance(60)
    bench.turn()
    assert bench.waiting() == [(1, 1), (1, 2)]
    assert not bench.standing.state().silenced
    bench.add(change(1, 3, closed=True))
    bench.turn()
    assert bench.waiting() == [(1, 1), (1, 2), (1, 3)]
    assert bench.told[-1] == Snooze("door")


def test_zero_seconds_end_a_snooze_at_once(bench: Bench) -> None:
    bench.snooze(3600)
    bench.add(change(1))
    assert bench.snooze(0).detail == "people are told of door again"
    assert bench.waiting() == [(1, 1)]
    assert not bench.silence.snoozed("door")


@pytest.mark.parametrize("seconds", [-1.0, 24 * 3600.0 + 1, float("nan")])
def test_a_length_that_makes_no_sense_is_refused(bench: Bench, seconds: float) -> None:
    done = bench.snooze(seconds)
    assert not done.ok
    assert "expected 0 (to end it) to 86400" in done.detail
    assert not bench.silence.snoozed("door")


def test_a_snooze_outlives_a_restart_and_ends_when_it_was_to_end(bench: Bench) -> None:
    bench.snooze(60)
    bench.add(change(1))
    bench.turn()
    bench.restart()
    assert [snooze.camera for snooze in bench.silence.running] == ["door"]
    bench.add(change(1, 2))
    bench.add(change(2))
    bench.turn()
    assert bench.waiting() == []
    bench.clock.advance(60)
    bench.turn()
    assert bench.waiting() == [(1, 1), (1, 2), (2, 1)]
    bench.restart()
    assert bench.silence.running == []


def test_a_clock_set_back_while_the_daemon_was_away_makes_no_snooze_longer_than_a_day(
    bench: Bench,
) -> None:
    bench.snooze(60)
    bench.clock._now -= timedelta(days=300)  # a dead battery
    bench.restart()
    bench.clock.advance(24 * 3600)
    bench.turn()
    assert not bench.silence.snoozed("door")


def test_on_a_full_disk_what_is_silent_is_not_told_from_memory_either(bench: Bench) -> None:
    bench.snooze(60)
    silent, loud = entry(change(1)), entry(change(2, camera="yard"))

    class Full(Store):
        def record(self, *_: object) -> list[object]:  # type: ignore[override]
            raise DiskFullError("full")

    bench.store.__class__ = Full
    for each in (silent, loud):
        bench.intake.add(each, lambda _: None)
    bench.turn()
    assert [each.subject for each in bench.memory.waiting("mqtt")] == [loud.subject]
    bench.memory.tell([violation_id(1)])
    assert len(list(bench.memory.waiting("mqtt"))) == 2
    bench.store.__class__ = Store


def test_a_snapshot_goes_to_the_sink_that_asked_and_to_nobody_else(bench: Bench) -> None:
    commands, sink = ForwardedCommands(lambda: None), FakeSink()
    clerk = CommandHandler(commands, bench.intake, bench.standing, bench.silence, lambda: None)
    taken = SnapshotTaken(command="7", camera="door", at=START)
    assert clerk.deliver(taken, b"jpeg").detail == "nobody on the broker waits for this picture"
    commands.take(sink, Command(id="7", verb="snapshot", target="door"))
    commands.route(lambda _: None)
    assert clerk.deliver(taken, b"jpeg").ok
    assert [(s.camera, s.jpeg) for s in sink.snapshots] == [("door", b"jpeg")]


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
def test_a_consumer_hears_of_all_changes_of_a_violation_without_a_gap_or_of_none(steps: _Steps) -> None:
    """And in the end, when no camera is snoozed, of every one that is open."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "data")
        numbers: dict[int, int] = {}
        closed: set[int] = set()
        for what, value, close in steps:
            if what == "change" and int(value) not in closed:
                index = int(value)
                numbers[index] = numbers.get(index, 0) + 1
                last = close and numbers[index] > 1
                bench.add(change(index, numbers[index], closed=last))
                closed |= {index} if last else set()
            elif what == "snooze":
                assert bench.snooze(float(value)).ok
            elif what == "turn":
                bench.turn()
            elif what == "restart":
                bench.turn()
                bench.restart()
        bench.turn()
        bench.snooze(0)
        waiting = bench.waiting()
        heard = {index: [n for i, n in waiting if i == index] for index in numbers}
        with bench.store.session() as session:
            stored = session.connection().exec_driver_sql("SELECT count(*) FROM change").scalar()
        bench.store.close()
    assert stored == sum(numbers.values())
    for index, last in numbers.items():
        everything = list(range(1, last + 1))
        assert heard[index] in ([], everything) if index in closed else heard[index] == everything


def test_held_back_changes_are_no_backlog(bench: Bench) -> None:
    bench.snooze(60)
    bench.add(change(1))
    bench.turn()
    assert bench.store.backlog("mqtt").pending == 0
    bench.clock.advance(3600)
    bench.turn()
    state = bench.store.backlog("mqtt")
    assert state.pending == 1
    assert state.oldest == bench.clock.now(), "it waits since it may be told, not since it was seen"
    settled = DeliveryResult(
        "mqtt", violation_id(1), 1, OutboxState.DELIVERED, 1, START, START, "accepted"
    )
    bench.store.settle([settled])
    assert bench.store.backlog("mqtt").pending == 0
