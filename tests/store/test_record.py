"""Recording of changes: durable, atomic and idempotent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from maskwatch.errors import DiskFullError
from maskwatch.store.record import RecordResult
from maskwatch.store.state import interruptions
from maskwatch.store.store import Store
from tests.fakes.samples import JPEG, START, change, entry, incident


def test_a_recorded_change_is_pending_with_its_state_and_picture(store: Store) -> None:
    assert store.changes.record([entry(change(1), JPEG)]) == [RecordResult.STORED]
    [waiting] = store.outbox.waiting("mqtt", 10)
    assert waiting.subject == change(1)
    path = store.pictures.path(waiting.picture)
    assert path is not None
    assert path.read_bytes() == JPEG


def test_a_repeated_change_is_stored_and_delivered_once(store: Store) -> None:
    store.changes.record([entry(change(1))])
    assert store.changes.record([entry(change(1)), entry(change(1))]) == [RecordResult.REPEATED] * 2
    assert len(store.outbox.waiting("mqtt", 10)) == 1


def test_a_known_number_with_other_contents_is_a_conflict(store: Store) -> None:
    store.changes.record([entry(change(1))])
    other = change(1, closed=True)
    assert store.changes.record([entry(other)]) == [RecordResult.CONFLICT]
    assert [waiting.subject for waiting in store.outbox.waiting("mqtt", 10)] == [change(1)]


def test_an_invalid_change_is_refused_and_the_rest_of_its_batch_is_stored(store: Store) -> None:
    wrong = replace(change(2), violation=replace(change(2).violation, track=2**70))
    receipts = store.changes.record([entry(change(1)), entry(wrong), entry(change(3))])
    assert receipts == [RecordResult.STORED, RecordResult.REFUSED, RecordResult.STORED]
    assert [waiting.subject for waiting in store.outbox.waiting("mqtt", 10)] == [change(1), change(3)]


def test_a_change_of_a_violation_of_another_camera_is_refused(store: Store) -> None:
    store.changes.record([entry(change(1))])
    assert store.changes.record([entry(change(1, 2, "gate", closed=True))]) == [RecordResult.REFUSED]
    assert store.state.open_changes() == [change(1)]


def test_a_late_older_change_does_not_overwrite_the_newest_state(store: Store) -> None:
    store.changes.record([entry(change(1, 2))])
    store.changes.record([entry(change(1, 1))])
    assert store.state.open_changes() == [change(1, 2)]


def test_an_incident_is_recorded_like_a_violation(store: Store) -> None:
    store.changes.record([entry(incident())])
    assert store.state.open_incidents() == [incident()]
    assert [waiting.subject for waiting in store.outbox.waiting("mqtt", 10)] == [incident()]


def test_violations_left_open_by_another_run_are_closed_as_interrupted(store: Store) -> None:
    store.changes.record([entry(change(1)), entry(change(2), owner="run-2/4"), entry(incident())])
    changes, incidents = store.state.left_open("run-2")
    assert (changes, incidents) == ([change(1)], [incident()])
    store.changes.record(interruptions(changes, incidents, START))
    assert store.state.open_changes() == [change(2)]
    assert store.state.open_incidents() == []
    assert store.state.left_open("run-2") == ([], [])


def test_sqlite_caches_no_more_than_half_a_mebibyte(store: Store) -> None:
    """A larger cache, which fills only as the database grows, looks like a leak for an hour."""
    with store.database.session() as session:
        assert session.execute(text("PRAGMA cache_size")).scalar() == -512


def test_a_database_that_cannot_grow_raises_disk_full(
    store: Store,
) -> None:
    with store.database.session() as session:
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
        session.connection().exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFullError):
        store.changes.record([entry(change(index)) for index in range(200)])
    with store.database.session() as session:
        session.connection().exec_driver_sql("PRAGMA max_page_count = 100000")
    assert store.changes.record([entry(change(1))]) == [RecordResult.STORED]
