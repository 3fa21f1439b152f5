"""Values that no correct child sends are refused on arrival."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from maskwatch.domain import Change
from maskwatch.errors import WireError
from maskwatch.ipc.messages import Record, SnapshotTaken
from maskwatch.ipc.wire import TO_RECORDER, TO_SUPERVISOR, Reader, encode
from tests.fakes.messages import NOON, make_change, make_heartbeat


def _framed(message: msgspec.Struct, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The frame of a message after a change that its class would not allow."""
    content = msgspec.json.decode(encode(message)[8:])
    change(content)
    text = msgspec.json.encode(content)
    return len(text).to_bytes(4, "big") + bytes(4) + text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("since", "0001-01-01T00:00:00Z"),
        ("since", "2026-11-25T12:00:00"),
        ("last_frame", "9999-12-31T23:59:59Z"),
        ("attempt", -1),
        ("attempt", 2**62),
    ],
)
def test_a_heartbeat_with_values_out_of_range_is_refused(field: str, value: object) -> None:
    heartbeat = make_heartbeat()
    reader = Reader(TO_SUPERVISOR)
    assert reader.feed(encode(heartbeat))
    with pytest.raises(WireError):
        reader.feed(_framed(heartbeat, lambda content: content.update({field: value})))


@pytest.mark.parametrize(
    "modify",
    [
        lambda change: replace(change, number=0),
        lambda change: replace(change, number=10**10),
        lambda change: replace(change, at=datetime(1, 1, 1, tzinfo=UTC)),
        lambda change: replace(change, at=NOON.replace(tzinfo=None)),
        lambda change: replace(change, violation=replace(change.violation, zone="../../etc")),
        lambda change: replace(change, violation=replace(change.violation, zones=("a", "+"))),
        lambda change: replace(change, violation=replace(change.violation, camera="x" * 201)),
        lambda change: replace(
            change, violation=replace(change.violation, started=NOON + timedelta(days=365 * 300))
        ),
    ],
)
def test_a_change_that_no_worker_makes_is_refused(modify: Callable[[Change], Change]) -> None:
    good, invalid = make_change(), modify(make_change())
    reader = Reader(TO_RECORDER)
    assert reader.feed(encode(Record(change=good)))
    content = msgspec.json.decode(msgspec.json.encode(invalid))
    with pytest.raises(WireError, match="invalid message"):
        reader.feed(_framed(Record(change=good), lambda whole: whole.update(change=content)))


def test_a_snapshot_with_a_time_out_of_range_is_refused() -> None:
    taken = SnapshotTaken(command="1", camera="door", at=NOON)
    with pytest.raises(WireError):
        Reader(TO_RECORDER).feed(_framed(taken, lambda c: c.update(at="0001-01-01T00:00:00")))
