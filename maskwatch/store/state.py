"""What is open now, and the newest occupancy of each camera."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import InstrumentedAttribute

from maskwatch.domain import Change, ChangeKind, CloseReason, Incident, OccupancyMinute
from maskwatch.store.database import Database
from maskwatch.store.models import ChangeRow, IncidentRow, OccupancyRow, ViolationRow
from maskwatch.store.record import Entry

_OWNER = "recorder"
_MINUTE_FIELDS = tuple(field.name for field in fields(OccupancyMinute))


class OpenViolation(NamedTuple):
    """An open violation; `silent` if it opened during a snooze that has not ended."""

    id: UUID
    camera: str
    silent: bool


class StateQueries:
    """Queries for the current state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open_violations(self) -> list[OpenViolation]:
        """Return every open violation, without its contents: there may be thousands."""
        columns = select(ViolationRow.id, ViolationRow.camera, ViolationRow.silenced)
        with self._database.session() as session:
            rows = session.execute(columns.where(ViolationRow.ended.is_(None)))
            return [OpenViolation(*row) for row in rows]

    def open_changes(self, *where: ColumnElement[bool]) -> list[Change]:
        """Return the newest change of every open violation that meets the conditions."""
        statement = _newest_of_open(ViolationRow, ChangeRow.violation_id).where(*where)
        with self._database.session() as session:
            bodies = [row.decode() for row in session.scalars(statement)]
        return [body for body in bodies if isinstance(body, Change)]

    def open_incidents(self, *where: ColumnElement[bool]) -> list[Incident]:
        """Return every open incident that meets the conditions."""
        statement = _newest_of_open(IncidentRow, ChangeRow.incident_id).where(*where)
        with self._database.session() as session:
            bodies = [row.decode() for row in session.scalars(statement)]
        return [body for body in bodies if isinstance(body, Incident)]

    def left_open(self, run: str) -> tuple[list[Change], list[Incident]]:
        """Return the violations and incidents that runs other than `run` left open."""
        prefix = f"{run}/"
        return (
            self.open_changes(~ViolationRow.owner.startswith(prefix, autoescape=True)),
            self.open_incidents(~IncidentRow.owner.startswith(prefix, autoescape=True)),
        )

    def newest_minutes(self, cameras: Collection[str]) -> dict[str, OccupancyMinute]:
        newest = select(OccupancyRow).order_by(OccupancyRow.minute.desc()).limit(1)
        with self._database.session() as session:
            rows = (
                session.scalars(newest.where(OccupancyRow.camera == camera)).first()
                for camera in cameras
            )
            return {
                row.camera: OccupancyMinute(**{n: getattr(row, n) for n in _MINUTE_FIELDS})
                for row in rows
                if row is not None
            }


def _newest_of_open(
    subject: type[ViolationRow | IncidentRow], subject_id: InstrumentedAttribute[UUID | None]
) -> Select[ChangeRow]:
    """Select the newest change of every open subject, in the order of their starts."""
    is_newest = (subject.id == subject_id) & (subject.number == ChangeRow.number)
    statement = select(ChangeRow).join(subject, is_newest)
    return statement.where(subject.ended.is_(None)).order_by(subject.started)


def interruptions(
    changes: Sequence[Change], incidents: Sequence[Incident], now: datetime
) -> list[Entry]:
    """Return the entries that close violations and incidents whose owner has ended.

    A violation ends at its last change: after that the person was not observed.
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
    return [Entry(subject, None, _OWNER, now) for subject in subjects]
