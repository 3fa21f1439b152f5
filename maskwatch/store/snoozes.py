"""Snoozed cameras: violations that open during a snooze have no deliveries until it ends."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from maskwatch.clock import Clock
from maskwatch.domain import Snooze
from maskwatch.store.database import Database
from maskwatch.store.models import ChangeRow, SnoozeRow, ViolationRow
from maskwatch.store.outbox import Outbox


class Snoozes:
    """The snoozes in the database; one of each camera."""

    def __init__(self, database: Database, outbox: Outbox, clock: Clock) -> None:
        self._database = database
        self._outbox = outbox
        self._clock = clock

    def active(self) -> list[Snooze]:
        """Return the snoozes that have not been ended, by camera."""
        with self._database.session() as session:
            rows = session.scalars(select(SnoozeRow).order_by(SnoozeRow.camera))
            return [Snooze(row.camera, row.since, row.until, row.snoozed_by or "") for row in rows]

    def begin(self, snooze: Snooze) -> None:
        """Store a snooze; it replaces an earlier one of the same camera."""
        row = SnoozeRow(
            camera=snooze.camera, since=snooze.since, until=snooze.until, snoozed_by=snooze.by[:100]
        )
        with self._database.session() as session:
            session.merge(row)

    def end(self, camera: str) -> None:
        """Delete a camera's snooze, and deliver all changes of its violations that are still open."""
        self._database.with_room(lambda: self._end(camera))

    def _end(self, camera: str) -> None:
        with self._database.session() as session:
            session.execute(delete(SnoozeRow).where(SnoozeRow.camera == camera))
            held_back = (
                ViolationRow.camera == camera,
                ViolationRow.ended.is_(None),
                ViolationRow.silenced.is_(True),
            )
            for violation in session.scalars(select(ViolationRow).where(*held_back)).all():
                violation.silenced = False
                self._deliver(session, violation)

    def _deliver(self, session: Session, violation: ViolationRow) -> None:
        changes = select(ChangeRow).where(ChangeRow.violation_id == violation.id)
        for change in session.scalars(changes.order_by(ChangeRow.number)).all():
            # They wait from now on: before, they were held back on purpose, and are no backlog.
            self._outbox.add(session, change, created_at=self._clock.now())
