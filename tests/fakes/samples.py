"""Changes, incidents and stores for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

from maskwatch.clock import Clock, SystemClock
from maskwatch.domain import (
    Box,
    Change,
    ChangeKind,
    CloseReason,
    Incident,
    IncidentKind,
    Verdict,
    Violation,
)
from maskwatch.store.data_dir import DataDir
from maskwatch.store.migrate import upgrade
from maskwatch.store.models import OutboxState
from maskwatch.store.outbox import DeliveryResult
from maskwatch.store.record import Entry
from maskwatch.store.store import Store, open_store
from maskwatch.telemetry.meter import Meter

# Young enough for the default retention.
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 100 + b"\xff\xd9"


def violation_id(index: int) -> UUID:
    """A valid violation id for each index."""
    return UUID(f"019d0000-0000-7000-8000-{index:012x}")


def violation(index: int = 1, camera: str = "door", started: datetime = START) -> Violation:
    """An open violation."""
    return Violation(
        id=violation_id(index),
        camera=camera,
        zone="hall",
        zones=("street", "hall"),
        track=index,
        verdict=Verdict.NO_MASK,
        first_seen=started - timedelta(seconds=1),
        started=started,
        ended=None,
        close_reason=None,
        confidence=0.99,
        evidence=7.5,
        readings=6,
        face_height=64.5,
        box=Box(0.1, 0.2, 0.3, 0.4),
        model="test-1",
    )


def change(
    index: int = 1,
    number: int = 1,
    camera: str = "door",
    started: datetime = START,
    *,
    closed: bool = False,
) -> Change:
    """The change with this number of the violation with this index; `closed` ends it."""
    at = started + timedelta(seconds=number - 1)
    state = replace(violation(index, camera, started), readings=5 + number)
    if closed:
        state = replace(state, ended=at, close_reason=CloseReason.LEFT)
        return Change(number, ChangeKind.CLOSED, at, state)
    return Change(number, ChangeKind.OPENED if number == 1 else ChangeKind.UPDATED, at, state)


def large_change(index: int) -> Change:
    """The first change of a violation whose alert has more than 4000 bytes: in eighty zones."""
    small = change(index)
    zones = tuple(f"zone {number:050}" for number in range(80))
    return replace(small, violation=replace(small.violation, zones=zones))


def incident(index: int = 1, number: int = 1, ended: datetime | None = None) -> Incident:
    """An incident of an offline camera."""
    return Incident(
        violation_id(1000 + index), number, IncidentKind.CAMERA_OFFLINE, "door", "no route", START, ended
    )


def entry(
    subject: Change | Incident | None = None, picture: bytes | None = None, owner: str = "run-1/10"
) -> Entry:
    """An entry as the recorder builds it from a worker's message."""
    return Entry(subject or change(), picture, owner, START)


def delivery_result(
    index: int,
    state: OutboxState = OutboxState.DELIVERED,
    fate: str = "accepted",
    detail: str = "",
) -> DeliveryResult:
    """The result of an attempt to deliver the first change of the violation with this index."""
    return DeliveryResult("mqtt", violation_id(index), 1, state, START, START, fate, detail)


def deliver(store: Store, indexes: Iterable[int]) -> None:
    """Store that the first changes of these violations were delivered."""
    store.outbox.store_results([delivery_result(index) for index in indexes])


@cache
def empty_database() -> bytes:
    """An empty migrated database, cached: a migration takes most of the time of a test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "maskwatch.db"
        upgrade(path)
        return path.read_bytes()


def make_store(
    path: Path,
    *,
    sinks: tuple[str, ...] = ("mqtt",),
    reserve: int = 0,
    clock: Clock | None = None,
    meter: Meter | None = None,
) -> Store:
    """Open a store in a new or existing directory, without its lock."""
    data_dir = DataDir(path)
    data_dir.prepare()
    if not data_dir.database.exists():
        data_dir.database.write_bytes(empty_database())
    store, _ = open_store(
        data_dir,
        sinks=sinks,
        reserve_bytes=reserve,
        clock=clock or SystemClock(),
        meter=meter or Meter(),
    )
    return store
