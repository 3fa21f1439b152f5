"""Retention in turns, a clock that jumps, and trouble that is told once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from maskwatch.clock import ManualClock
from maskwatch.config.schema import RetentionConfig
from maskwatch.domain import Incident, IncidentKind
from maskwatch.recorder.delivery import OutboxDelivery
from maskwatch.recorder.maintenance import ClockJumpDetector, Maintenance
from maskwatch.recorder.monitoring import IncidentDetector
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.database import Store
from maskwatch.store.queries import Filter, events, reading
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START, change, entry, make_store
from tests.fakes.sink import FakeSink

DAY = timedelta(days=1)


class JumpingClock(ManualClock):
    """A clock whose wall time can be set."""

    def jump(self, by: timedelta) -> None:
        self._now += by


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock(START)


@pytest.fixture
def store(tmp_path: Path, clock: JumpingClock) -> Iterator[Store]:
    opened = make_store(tmp_path / "data", sinks=(), clock=clock)
    yield opened
    opened.close()


# --- the clock --------------------------------------------------------------------------------------


def test_a_steady_clock_is_trusted(clock: JumpingClock) -> None:
    watch = ClockJumpDetector(clock, START)
    for _ in range(10):
        clock.advance(86400)
        assert watch.steady()


@pytest.mark.parametrize("by", [DAY, -DAY, timedelta(minutes=11)])
def test_a_clock_that_jumped_is_not_trusted_until_it_was_steady_for_a_day(
    clock: JumpingClock, by: timedelta
) -> None:
    watch = ClockJumpDetector(clock, START)
    clock.jump(by)
    assert not watch.steady()
    clock.advance(86000)
    assert not watch.steady()
    clock.advance(401)
    assert watch.steady()


def test_the_small_steps_of_a_time_server_are_no_jump(clock: JumpingClock) -> None:
    watch = ClockJumpDetector(clock, START)
    for _ in range(100):
        clock.advance(600)
        clock.jump(timedelta(seconds=20))
        assert watch.steady()


def test_a_daemon_that_wakes_up_long_after_its_newest_row_does_not_trust_the_clock(
    clock: JumpingClock,
) -> None:
    assert not ClockJumpDetector(clock, START - 31 * DAY).steady()
    assert ClockJumpDetector(clock, START - 29 * DAY).steady()


# --- retention in turns -----------------------------------------------------------------------------


def count(store: Store) -> int:
    with reading(store.place.database) as session:
        return len(list(events(session, Filter())))


def test_retention_runs_on_its_interval_and_tells_of_its_success(
    store: Store, clock: JumpingClock
) -> None:
    meter = Meter()
    rules = RetentionConfig(violations_days=1, max_megabytes=0, interval=100)
    store.record([entry(change(index, closed=True)) for index in range(60)])
    house = Maintenance(rules, store.newest(), clock=clock, meter=meter)
    for _ in range(20):
        clock.advance(86400 / 10)
        house.turn(store)
        while house.busy:
            house.turn(store)
    assert count(store) == 0
    values = {
        s.name: s.value for s in meter.snapshot().samples if s.name == catalogue.RETENTION_LAST_SUCCESS
    }
    assert values == {catalogue.RETENTION_LAST_SUCCESS: clock.now().timestamp()}
    removed = [s.value for s in meter.snapshot().samples if dict(s.labels) == {"kind": "violation"}]
    assert removed == [60]


def test_other_rules_begin_with_a_pass_and_the_same_rules_do_not(
    store: Store, clock: JumpingClock
) -> None:
    rules = RetentionConfig(max_megabytes=0, interval=100_000)
    store.record([entry(change(index, closed=True)) for index in range(5)])
    house = Maintenance(rules, store.newest(), clock=clock, meter=Meter())

    def left(rules: RetentionConfig) -> int:
        clock.advance(40)
        house.change(rules)
        house.turn(store)
        while house.busy:
            house.turn(store)
        return count(store)

    assert left(rules) == 5, "the first pass, soon after the start, has nothing to remove"
    clock.advance(2 * 86400)
    assert left(RetentionConfig(max_megabytes=0, interval=100_000)) == 5
    assert left(RetentionConfig(violations_days=1, max_megabytes=0, interval=100_000)) == 0


def test_after_a_jump_of_the_clock_nothing_is_removed(store: Store, clock: JumpingClock) -> None:
    rules = RetentionConfig(violations_days=1, max_megabytes=0, interval=100)
    store.record([entry(change(1, closed=True))])
    house = Maintenance(rules, store.newest(), clock=clock, meter=Meter())
    clock.jump(3650 * DAY)
    for _ in range(10):
        clock.advance(200)
        house.turn(store)
    assert count(store) == 1


def test_the_reserve_is_made_whole_again(tmp_path: Path, clock: JumpingClock) -> None:
    store = make_store(tmp_path / "other", reserve=1 << 16, clock=clock)
    house = Maintenance(RetentionConfig(), store.newest(), clock=clock, meter=Meter())
    store.reserve.give_up()
    clock.advance(11)
    house.turn(store)
    assert store.reserve.whole
    store.close()


# --- worries ----------------------------------------------------------------------------------------


def test_a_backlog_is_told_once_and_so_is_its_end(tmp_path: Path, clock: JumpingClock) -> None:
    store = make_store(tmp_path / "late", clock=clock)
    told: list[Incident] = []
    worries = IncidentDetector(clock, told.append)
    courier = OutboxDelivery(FakeSink(), UnstoredBuffer(), clock=clock, meter=Meter())
    store.record([entry(change(1))])
    for _ in range(8):
        clock.advance(60)
        worries.look(store, [courier], UnstoredBuffer(), "")
    assert [(item.kind, item.number, item.ended) for item in told] == [(IncidentKind.BACKLOG, 1, None)]
    assert "mqtt: 1 alerts wait" in told[0].reason
    store.sinks = ()
    worries.look(store, [], UnstoredBuffer(), "")
    assert [(item.id, item.number) for item in told[1:]] == [(told[0].id, 2)]
    assert told[1].ended == clock.now()
    store.close()


def test_a_new_recorder_ends_what_the_one_before_it_told_and_does_not_tell_it_again(
    tmp_path: Path, clock: JumpingClock
) -> None:
    store = make_store(tmp_path / "again", reserve=1 << 16, clock=clock)
    told: list[Incident] = []
    store.reserve.give_up()
    IncidentDetector(clock, told.append).look(store, [], UnstoredBuffer(), "")
    successor = IncidentDetector(clock, told.append, told)
    successor.look(store, [], UnstoredBuffer(), "")
    store.reserve.fill()
    successor.look(store, [], UnstoredBuffer(), "")
    assert [(item.id, item.number, item.ended is None) for item in told] == [
        (told[0].id, 1, True),
        (told[0].id, 2, False),
    ]
    store.close()


def test_quiet_hours_are_no_backlog(tmp_path: Path, clock: JumpingClock) -> None:
    store = make_store(tmp_path / "quiet", clock=clock)
    told: list[Incident] = []
    worries, sink = IncidentDetector(clock, told.append), FakeSink()
    courier = OutboxDelivery(sink, UnstoredBuffer(), clock=clock, meter=Meter())
    store.record([entry(change(1))])
    sink.paused = True
    for _ in range(60):
        clock.advance(60)
        worries.look(store, [courier], UnstoredBuffer(), "")
    sink.paused = False
    worries.look(store, [courier], UnstoredBuffer(), "")
    assert told == [], "what gathered goes out in a moment"
    clock.advance(301)
    worries.look(store, [courier], UnstoredBuffer(), "")
    assert [item.kind for item in told] == [IncidentKind.BACKLOG]
    store.close()


def test_a_spent_reserve_is_an_incident_of_the_disk(tmp_path: Path, clock: JumpingClock) -> None:
    store = make_store(tmp_path / "full", reserve=1 << 16, clock=clock)
    told: list[Incident] = []
    worries = IncidentDetector(clock, told.append)
    worries.look(store, [], UnstoredBuffer(), "")
    assert told == []
    store.reserve.give_up()
    worries.look(store, [], UnstoredBuffer(), "")
    store.reserve.fill()
    worries.look(store, [], UnstoredBuffer(), "")
    assert [(item.kind, item.number) for item in told] == [
        (IncidentKind.DISK, 1),
        (IncidentKind.DISK, 2),
    ]
    store.close()
