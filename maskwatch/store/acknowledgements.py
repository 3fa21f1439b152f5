"""Who has acknowledged which violation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from maskwatch.clock import Clock
from maskwatch.store.database import Database
from maskwatch.store.models import ViolationRow


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who acknowledged a violation, and when; `first` is False if it was acknowledged before."""

    by: str
    at: datetime
    first: bool


def acknowledge(session: Session, violation: UUID, by: str, now: datetime) -> Acknowledgement | None:
    """Acknowledge a violation and return its first acknowledgement; None for an unknown id."""
    row = session.get(ViolationRow, violation)
    if row is None:
        return None
    if row.acknowledged_at is not None:
        return Acknowledgement(row.acknowledged_by or "", row.acknowledged_at, first=False)
    row.acknowledged_at, row.acknowledged_by = now, by[:100]
    return Acknowledgement(row.acknowledged_by, now, first=True)


class Acknowledgements:
    """The acknowledgements in the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, violation: UUID, by: str) -> Acknowledgement | None:
        """Acknowledge a violation and return its first acknowledgement; None for an unknown id."""
        with self._database.session() as session:
            return acknowledge(session, violation, by, self._clock.now())

    def of_open_violations(self) -> list[UUID]:
        conditions = (ViolationRow.ended.is_(None), ViolationRow.acknowledged_at.is_not(None))
        with self._database.session() as session:
            return list(session.scalars(select(ViolationRow.id).where(*conditions)))
