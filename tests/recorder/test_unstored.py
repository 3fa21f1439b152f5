"""The buffer of unstored changes is bounded, and keeps which sinks accepted each."""

from __future__ import annotations

from pathlib import Path

from maskwatch.recorder.unstored import UnstoredBuffer
from tests.fakes.samples import change, entry, make_store, violation_id


def test_the_buffer_is_bounded_and_holds_no_pictures() -> None:
    unstored = UnstoredBuffer(max_entries=2)
    assert unstored.has_room_for([entry(change(1)), entry(change(2))])
    unstored.add([entry(change(1), b"jpeg"), entry(change(2))])
    assert not unstored.has_room_for([entry(change(3))])
    assert [item.picture for item in unstored.entries()] == [None, None]


def test_deliveries_from_memory_are_known_when_the_change_is_stored(tmp_path: Path) -> None:
    unstored, store = UnstoredBuffer(), make_store(tmp_path, sinks=("mqtt", "people"))
    unstored.add([entry(change(1))])
    assert unstored.mark_delivered((violation_id(1), 1), "mqtt")
    store.changes.record(unstored.entries())
    assert not store.outbox.waiting("mqtt", 10)
    assert len(store.outbox.waiting("people", 10)) == 1
    store.close()
