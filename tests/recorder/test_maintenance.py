"""Retention in steps, clock jumps, and incidents of the recorder."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from maskwatch.clock import ManualClock
from maskwatch.config.schema import RetentionConfig
from maskwatch.domain import Incident, IncidentKind
from maskwatch.errors import StoreDamagedError
from maskwatch.recorder.delivery import OutboxDelivery
from maskwatch.recorder.maintenance import ClockJumpDetector, Maintenance
from maskwatch.recorder.monitoring import IncidentDetector
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.queries import Filter, events, read_session
from maskwatch.store.store import Store
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from tests.fakes.flipped_bits import flip
from tests.fakes.samples import JPEG, START, change, entry, make_store
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
    jumps = ClockJumpDetector(clock, START)
    for _ in range(10):
        clock.advance(86400)
        assert jumps.is_steady()


@pytest.mark.parametrize("by", [DAY, -DAY, timedelta(minutes=11)])
def test_a_clock_that_jumped_is_not_trusted_until_steady_for_a_day(
    clock: JumpingClock, by: timedelta
) -> None:
    jumps = ClockJumpDetector(clock, START)
    clock.jump(by)
    assert not jumps.is_steady()
    clock.advance(86000)
    assert not jumps.is_steady()
    clock.advance(401)
    assert jumps.is_steady()


def test_small_steps_of_a_time_server_are_not_a_jump(clock: JumpingClock) -> None:
    jumps = ClockJumpDetector(clock, START)
    for _ in range(100):
        clock.advance(600)
        clock.jump(timedelta(seconds=20))
        assert jumps.is_steady()


def test_the_clock_is_not_trusted_long_after_the_newest_row(
    clock: JumpingClock,
) -> None:
    assert not ClockJumpDetector(clock, START - 31 * DAY).is_steady()
    assert ClockJumpDetector(clock, START - 29 * DAY).is_steady()


# --- the search for damage --------------------------------------------------------------------------


def test_every_row_and_picture_is_checked_each_day(store: Store, clock: JumpingClock) -> None:
    store.changes.record([entry(change(index), JPEG) for index in range(8)])
    maintenance = Maintenance(RetentionConfig(), START, clock=clock, meter=Meter())

    def search() -> None:
        for _ in range(40):
            clock.advance(1)
            maintenance.turn(store)

    clock.advance(60)
    search()
    assert store.pictures.take_damaged() == []
    picture = next(store.data_dir.pictures.glob("*/*.jpg"))
    flip(picture, 8 * 50)
    search()
    assert store.pictures.take_damaged() == [], "not again on the same day"
    clock.advance(86400)
    search()
    assert store.pictures.take_damaged() == [str(picture.relative_to(store.data_dir.pictures))]
    with closing(sqlite3.connect(store.data_dir.database)) as other, other:
        other.execute("UPDATE change SET kind = 'closed' WHERE id = 3")
    clock.advance(86400)
    with pytest.raises(StoreDamagedError):
        search()


# --- retention in steps -----------------------------------------------------------------------------


def count(store: Store) -> int:
    with read_session(store.data_dir.database) as session:
        return len(list(events(session, Filter())))


def test_retention_runs_at_its_interval_and_reports_its_success(
    store: Store, clock: JumpingClock
) -> None:
    meter = Meter()
    rules = RetentionConfig(violations_days=1, max_megabytes=0, interval=100)
    store.changes.record([entry(change(index, closed=True)) for index in range(60)])
    maintenance = Maintenance(rules, store.changes.last_stored_at(), clock=clock, meter=meter)
    for _ in range(20):
        clock.advance(86400 / 10)
        maintenance.turn(store)
        while maintenance.busy:
            maintenance.turn(store)
    assert count(store) == 0
    values = {
        s.name: s.value for s in meter.snapshot().samples if s.name == catalogue.RETENTION_LAST_SUCCESS
    }
    assert values == {catalogue.RETENTION_LAST_SUCCESS: clock.now().timestamp()}
    removed = [s.value for s in meter.snapshot().samples if dict(s.labels) == {"kind": "violation"}]
    assert removed == [60]


def test_changed_rules_start_a_pass_and_the_same_rules_do_not(store: Store, clock: JumpingClock) -> None:
    rules = RetentionConfig(max_megabytes=0, interval=100_000)
    store.changes.record([entry(change(index, closed=True)) for index in range(5)])
    maintenance = Maintenance(rules, store.changes.last_stored_at(), clock=clock, meter=Meter())

    def left(rules: RetentionConfig) -> int:
        clock.advance(40)
        maintenance.configure(rules)
        maintenance.turn(store)
        while maintenance.busy:
            maintenance.turn(store)
        return count(store)

    assert left(rules) == 5, "the first pass, soon after the start, has nothing to remove"
    clock.advance(2 * 86400)
    assert left(RetentionConfig(max_megabytes=0, interval=100_000)) == 5
    assert left(RetentionConfig(violations_days=1, max_megabytes=0, interval=100_000)) == 0


def test_after_a_clock_jump_nothing_is_removed(store: Store, clock: JumpingClock) -> None:
    rules = RetentionConfig(violations_days=1, max_megabytes=0, interval=100)
    store.changes.record([entry(change(1, closed=True))])
    maintenance = Maintenance(rules, store.changes.last_stored_at(), clock=clock, meter=Meter())
    clock.jump(3650 * DAY)
    for _ in range(10):
        clock.advance(200)
        maintenance.turn(store)
    assert count(store) == 1


def test_the_reserve_is_refilled(tmp_path: Path, clock: JumpingClock) -> None:
    store = make_store(tmp_path / "other", reserve=1 << 16, clock=clock)
    maintenance = Maintenance(
        RetentionConfig(), store.changes.last_stored_at(), clock=clock, meter=Meter()
    )
    store.reserve.release()
    clock.advance(11)
    maintenance.turn(store)
    assert store.reserve.complete
    store.close()


# --- incidents ----------------------------------------------------------------------------------------


def test_a_backlog_is_reported_once_and_so_is_its_end(tmp_path: Path, clock: JumpingClock) -> None:
    store = make_store(tmp_path / "late", clock=clock)
    incidents: list[Incident] = []
    detector = IncidentDetector(clock, incidents.append)
    delivery = OutboxDelivery(FakeSink(), UnstoredBuffer(), clock=clock, meter=Meter())
    store.changes.record([entry(change(1))])
    for _ in range(8):
        clock.advance(60)
        detector.update(store, [delivery], UnstoredBuffer(), "")
    assert [(item.kind, item.number, item.ended) for item in incidents] == [
        (IncidentKind.BACKLOG, 1, None)
    ]
    assert "mqtt: 1 alerts wait" in incidents[0].reason
    store.outbox.sinks = ()
    detector.update(store, [], UnstoredBuffer(), "")
    assert [(item.id, item.number) for item in incidents[1:]] == [(incidents[0].id, 2)]
    assert incidents[1].ended == clock.now()
    store.close()


def test_a_restarted_recorder_closes_incidents_without_repeating_them(
    tmp_path: Path, clock: JumpingClock
) -> None:
    store = make_store(tmp_path / "again", reserve=1 << 16, clock=clock)
    incidents: list[Incident] = []
    store.reserve.release()
    IncidentDetector(clock, incidents.append).update(store, [], UnstoredBuffer(), "")
    successor = IncidentDetector(clock, incidents.append, incidents)
    successor.update(store, [], UnstoredBuffer(), "")
    store.reserve.fill()
    successor.update(store, [], UnstoredBuffer(), "")
    assert [(item.id, item.number, item.ended is None) for item in incidents] == [
        (incidents[0].id, 1, True),
        (incidents[0].id, 2, False),
    ]
    store.close()


def test_quiet_hours_are_not_a_backlog(tmp_path: Path, clock: JumpingClock) -> None:
    store = make_store(tmp_path / "quiet", clock=clock)
    incidents: list[Incident] = []
    detector, sink = IncidentDetector(clock, incidents.append), FakeSink()
    delivery = OutboxDelivery(sink, UnstoredBuffer(), clock=clock, meter=Meter())
    store.changes.record([entry(change(1))])
    sink.paused = True
    for _ in range(60):
        clock.advance(60)
        detector.update(store, [delivery], UnstoredBuffer(), "")
    sink.paused = False
    detector.update(store, [delivery], UnstoredBuffer(), "")
    assert incidents == [], "what gathered is sent in a moment"
    clock.advance(301)
    detector.update(store, [delivery], UnstoredBuffer(), "")
    assert [item.kind for item in incidents] == [IncidentKind.BACKLOG]
    store.close()


def test_a_spent_reserve_is_a_disk_incident(tmp_path: Path, clock: JumpingClock) -> None:
    store = make_store(tmp_path / "full", reserve=1 << 16, clock=clock)
    incidents: list[Incident] = []
    detector = IncidentDetector(clock, incidents.append)
    detector.update(store, [], UnstoredBuffer(), "")
    assert incidents == []
    store.reserve.release()
    detector.update(store, [], UnstoredBuffer(), "")
    store.reserve.fill()
    detector.update(store, [], UnstoredBuffer(), "")
    assert [(item.kind, item.number) for item in incidents] == [
        (IncidentKind.DISK, 1),
        (IncidentKind.DISK, 2),
    ]
    store.close()
