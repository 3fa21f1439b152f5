"""Statements about snoozed cameras, and about the violations that nobody was told of meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from maskwatch.domain import Snooze
from maskwatch.store.models import ChangeRow, OutboxRow, OutboxState, SnoozeRow, ViolationRow

__all__ = ["OpenViolation", "begin", "end", "running", "settled"]


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
