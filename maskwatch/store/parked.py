"""Parked alerts: how many there are and why, and how an operator has them delivered after all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, select, tuple_
from sqlalchemy.orm import Session

from maskwatch.store.models import AttemptRow, ChangeRow, OutboxRow, OutboxState

RETRIED = "retried"
"""The fate of an attempt that is none: the record of who had a parked alert delivered."""


class ParkedReason(StrEnum):
    """Why an alert is parked."""

    REFUSED = "refused"  # the sink refused it
    FAILED = "failed"  # the sink kept failing with it
    UNREADABLE = "unreadable"  # its row in the database is damaged
    BEHIND = "behind"  # an earlier change of its violation or incident is parked


@dataclass(frozen=True, slots=True)
class ParkedFilter:
    """Which parked alerts are meant: of a sink ("": of every one), that happened in a span of time.

    With one alert of a violation or incident all others of it are meant too, since they are delivered
    in order.
    """

    sink: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found = [OutboxRow.state == OutboxState.PARKED.value]
        if self.sink:
            found.append(OutboxRow.sink == self.sink)
        if self.since is not None:
            found.append(ChangeRow.at >= self.since)
        if self.until is not None:
            found.append(ChangeRow.at < self.until)
        return found


def _selected(criteria: ParkedFilter) -> Select[OutboxRow]:
    meant = select(OutboxRow.sink, OutboxRow.subject).join(OutboxRow.change)
    key = tuple_(OutboxRow.sink, OutboxRow.subject)
    statement = select(OutboxRow).where(OutboxRow.state == OutboxState.PARKED.value)
    return statement.where(key.in_(meant.where(*criteria.conditions()))).order_by(OutboxRow.id)


_last_fate = (
    select(AttemptRow.fate)
    .where(AttemptRow.outbox_id == OutboxRow.id, AttemptRow.fate != RETRIED)
    .order_by(AttemptRow.number.desc())
    .limit(1)
    .correlate(OutboxRow)
    .scalar_subquery()
)
_reason = case(
    (OutboxRow.last_error.startswith("unreadable:"), ParkedReason.UNREADABLE.value),
    (OutboxRow.last_error.regexp_match("^(an earlier change|change [0-9]+) was refused$"), "behind"),
    else_=func.coalesce(_last_fate, ParkedReason.BEHIND.value),
)


def count_parked(session: Session, criteria: ParkedFilter) -> dict[str, dict[ParkedReason, int]]:
    """Return the numbers of parked alerts by sink and reason."""
    ids = _selected(criteria).with_only_columns(OutboxRow.id).order_by(None)
    statement = (
        select(OutboxRow.sink, _reason, func.count())
        .where(OutboxRow.id.in_(ids))
        .group_by(OutboxRow.sink, _reason)
    )
    counts: dict[str, dict[ParkedReason, int]] = {}
    for sink, reason, number in session.execute(statement):
        counts.setdefault(sink, {})[ParkedReason(reason)] = number
    return counts


def newest_reason(session: Session, sink: str) -> str:
    """Return in the sink's words why its newest parked alert is parked; "" if none is."""
    parked = and_(OutboxRow.sink == sink, OutboxRow.state == OutboxState.PARKED.value)
    newest = select(OutboxRow.last_error).where(parked, _last_fate.is_not(None))
    return session.scalar(newest.order_by(OutboxRow.finished_at.desc()).limit(1)) or ""


def known_sinks(session: Session) -> list[str]:
    """Return the sinks that the outbox has deliveries for."""
    return list(session.scalars(select(OutboxRow.sink).distinct().order_by(OutboxRow.sink)))


def put_back(session: Session, criteria: ParkedFilter, by: str, now: datetime) -> dict[str, int]:
    """Make parked alerts pending again; return how many of each sink.

    `by` and `now` are kept as one of the attempts of each. An alert whose later change was delivered
    is superseded: no sink receives a number lower than one that it has accepted.
    """
    rows = session.scalars(_selected(criteria)).all()
    delivered = _newest_delivered(session, {row.subject for row in rows})
    counts: dict[str, int] = {}
    for row in rows:
        if row.number < delivered.get((row.sink, row.subject), 0):
            row.state = OutboxState.SUPERSEDED.value
            continue
        row.state, row.finished_at, row.created_at = OutboxState.PENDING.value, None, now
        row.attempts += 1
        session.add(_record(row, by, now))
        counts[row.sink] = counts.get(row.sink, 0) + 1
    return counts


def _record(row: OutboxRow, by: str, now: datetime) -> AttemptRow:
    detail = f"put back by {by}"[:500]
    return AttemptRow(
        outbox_id=row.id, number=row.attempts, sent_at=now, ended_at=now, fate=RETRIED, detail=detail
    )


def _newest_delivered(session: Session, subjects: Iterable[UUID]) -> dict[tuple[str, UUID], int]:
    """Return the highest delivered number of each of these subjects, by sink and subject."""
    newest = select(OutboxRow.sink, OutboxRow.subject, func.max(OutboxRow.number))
    delivered = newest.where(OutboxRow.state == OutboxState.DELIVERED.value)
    grouped = delivered.group_by(OutboxRow.sink, OutboxRow.subject)
    wanted = set(subjects)
    return {(s, subject): n for s, subject, n in session.execute(grouped) if subject in wanted}
