"""Statements beside the records: counts per minute, interruptions, acknowledgements, what is open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from maskwatch.domain import Change, ChangeKind, CloseReason, Incident, OccupancyMinute, Snooze
from maskwatch.store.models import (
    ChangeRow,
    IncidentRow,
    OccupancyRow,
    OutboxRow,
    OutboxState,
    SnoozeRow,
    ViolationRow,
)
from maskwatch.store.record import Entry, decode_body

__all__ = [
    "Acknowledged",
    "OpenViolation",
    "acknowledge",
    "begin",
    "count_minutes",
    "end",
    "interruptions",
    "newest_minutes",
    "open_changes",
    "open_incidents",
    "running",
    "settled",
    "unacknowledged",
]


class OpenViolation(NamedTuple):
    """An open violation, and whether nobody is told of it."""

    id: UUID
    camera: str
    silent: bool


def settled(session: Session) -> list[OpenViolation]:
    """Return every open violation: there may be thousands, so without their contents."""
    wanted = select(ViolationRow.id, ViolationRow.camera, ViolationRow.silenced)
    return [OpenViolation(*row) for row in session.execute(wanted.where(ViolationRow.ended.is_(None)))]


def running(session: Session) -> list[Snooze]:
    """Return every snooze that was begun and not ended."""
    rows = session.scalars(select(SnoozeRow).order_by(SnoozeRow.camera))
    return [Snooze(row.camera, row.since, row.until) for row in rows]


def begin(session: Session, snooze: Snooze) -> None:
    """Note a snooze; one of the same camera is replaced."""
    session.merge(SnoozeRow(camera=snooze.camera, since=snooze.since, until=snooze.until))


def end(session: Session, camera: str, sinks: Sequence[str], now: datetime) -> None:
    """Forget the snooze, and have what is still open told from its first change on."""
    session.execute(delete(SnoozeRow).where(SnoozeRow.camera == camera))
    still_open = (
        ViolationRow.camera == camera,
        ViolationRow.ended.is_(None),
        ViolationRow.silenced.is_(True),
    )
    for violation in session.scalars(select(ViolationRow).where(*still_open)).all():
        violation.silenced = False
        wanted = select(ChangeRow).where(ChangeRow.violation_id == violation.id)
        for change in session.scalars(wanted.order_by(ChangeRow.number)).all():
            session.add_all(_delivery(change, sink, now) for sink in sinks)


def _delivery(change: ChangeRow, sink: str, now: datetime) -> OutboxRow:
    """Return a delivery that waits from now on: before, it was held back on purpose."""
    return OutboxRow(
        sink=sink,
        change_id=change.id,
        subject=change.subject,
        number=change.number,
        state=OutboxState.PENDING.value,
        attempts=0,
        created_at=now,
    )


_RECORDER = "recorder"


def count_minutes(session: Session, minutes: Iterable[OccupancyMinute]) -> None:
    """Store counts; a minute that is there already is overwritten."""
    for minute in minutes:
        values = asdict(minute)
        statement = insert(OccupancyRow).values(values)
        keys = ["camera", "zone", "minute"]
        rest = {name: value for name, value in values.items() if name not in keys}
        session.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest))


def newest_minutes(session: Session, cameras: Collection[str]) -> dict[str, OccupancyMinute]:
    """Return each camera's newest counted minute."""
    found: dict[str, OccupancyMinute] = {}
    for camera in cameras:
        wanted = select(OccupancyRow).where(OccupancyRow.camera == camera)
        row = session.scalars(wanted.order_by(OccupancyRow.minute.desc()).limit(1)).first()
        if row is not None:
            found[camera] = _minute(row)
    return found


def _minute(row: OccupancyRow) -> OccupancyMinute:
    return OccupancyMinute(
        camera=row.camera,
        zone=row.zone,
        minute=row.minute,
        seen=row.seen,
        judged=row.judged,
        masked=row.masked,
        unmasked=row.unmasked,
        incorrect=row.incorrect,
        unknown=row.unknown,
        peak=row.peak,
    )


def open_changes(session: Session, *where: ColumnElement[bool]) -> list[Change]:
    """Return the newest change of every open violation that meets the conditions."""
    wanted = (
        select(ChangeRow)
        .join(
            ViolationRow,
            (ViolationRow.id == ChangeRow.violation_id) & (ViolationRow.number == ChangeRow.number),
        )
        .where(ViolationRow.ended.is_(None), *where)
        .order_by(ViolationRow.started)
    )
    bodies = (decode_body(row) for row in session.scalars(wanted))
    return [body for body in bodies if isinstance(body, Change)]


def open_incidents(session: Session, *where: ColumnElement[bool]) -> list[Incident]:
    """Return every incident that has not ended and meets the conditions."""
    wanted = (
        select(ChangeRow)
        .join(
            IncidentRow,
            (IncidentRow.id == ChangeRow.incident_id) & (IncidentRow.number == ChangeRow.number),
        )
        .where(IncidentRow.ended.is_(None), *where)
        .order_by(IncidentRow.started)
    )
    bodies = (decode_body(row) for row in session.scalars(wanted))
    return [body for body in bodies if isinstance(body, Incident)]


def unacknowledged(session: Session, since: datetime, most: int = 1000) -> list[Change]:
    """Return the first change of each violation that nobody took note of, oldest first.

    Of those begun `since`, the newest `most`; without those that ended while their camera was snoozed.
    """
    told = ~ViolationRow.silenced | ViolationRow.ended.is_(None)
    wanted = (
        select(ChangeRow)
        .join(ViolationRow, ViolationRow.id == ChangeRow.violation_id)
        .where(ChangeRow.number == 1, ViolationRow.started >= since)
        .where(ViolationRow.acknowledged_at.is_(None), told)
        .order_by(ViolationRow.started.desc())
        .limit(most)
    )
    bodies = (decode_body(row) for row in session.scalars(wanted))
    return [body for body in bodies if isinstance(body, Change)][::-1]


def interruptions(
    changes: Sequence[Change], incidents: Sequence[Incident], now: datetime
) -> list[Entry]:
    """Return the entries that close what nobody will close any more.

    A violation ends at its last change: what came after it, nobody saw.
    """
    closed = [
        Change(
            number=change.number + 1,
            kind=ChangeKind.CLOSED,
            at=now,
            violation=replace(
                change.violation,
                ended=max(change.at, change.violation.started),
                close_reason=CloseReason.INTERRUPTED,
            ),
        )
        for change in changes
    ]
    ended = [replace(incident, number=incident.number + 1, ended=now) for incident in incidents]
    subjects: list[Change | Incident] = [*closed, *ended]
    return [Entry(subject, None, _RECORDER, now) for subject in subjects]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Who took note of a violation, and when; `first` is False for what was known before."""

    by: str
    at: datetime
    first: bool


def acknowledge(session: Session, violation: UUID, who: str, now: datetime) -> Acknowledged | None:
    """Note who took note of a violation; the first one stands. None if there is none of that id."""
    row = session.get(ViolationRow, violation)
    if row is None:
        return None
    if row.acknowledged_at is not None:
        return Acknowledged(row.acknowledged_by or "", row.acknowledged_at, first=False)
    row.acknowledged_at, row.acknowledged_by = now, who[:100]
    return Acknowledged(row.acknowledged_by, now, first=True)
