"""The outbox: which deliveries may go now, and what became of those that went.

The order law: a sink sees the changes of one subject by rising number. So only the lowest pending
number of a subject may go, a refused change parks the later ones, and a change that was overtaken
by a delivered later one (which tells the whole state) is superseded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session, aliased, joinedload

from maskwatch.domain import Change, Incident
from maskwatch.store.models import AttemptRow, OutboxRow, OutboxState
from maskwatch.store.record import decode_body

__all__ = ["Backlog", "Settled", "Waiting", "backlog", "earlier_pending", "settle", "waiting"]

_ATTEMPTS_KEPT = 20
_DETAIL = 500


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that may go now; `attempts` were made before."""

    id: int
    subject: Change | Incident
    picture: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of one attempt, and where the delivery stands after it (PENDING: to be tried again)."""

    sink: str
    subject: UUID
    number: int
    state: OutboxState
    attempt: int
    sent_at: datetime
    ended_at: datetime
    fate: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How one sink stands."""

    pending: int
    oldest: datetime | None
    parked: int


def waiting(session: Session, sink: str, limit: int) -> Sequence[Waiting]:
    """Return up to `limit` deliveries that may go now, oldest first."""
    earlier = aliased(OutboxRow)
    blocked = exists().where(
        earlier.sink == OutboxRow.sink,
        earlier.subject == OutboxRow.subject,
        earlier.number < OutboxRow.number,
        earlier.state == OutboxState.PENDING.value,
    )
    wanted = (
        select(OutboxRow)
        .options(joinedload(OutboxRow.change))
        .where(OutboxRow.sink == sink, OutboxRow.state == OutboxState.PENDING.value)
        .where(~blocked)
        .order_by(OutboxRow.id)
        .limit(limit)
    )
    found = (_waiting(row) for row in session.scalars(wanted).all())
    return [item for item in found if item is not None]


def _waiting(row: OutboxRow) -> Waiting | None:
    """Return the delivery; one whose contents cannot be read (any more) is parked."""
    try:
        subject = decode_body(row.change)
    except msgspec.MsgspecError as error:
        row.state, row.last_error = OutboxState.PARKED.value, f"unreadable: {error}"[:_DETAIL]
        return None
    return Waiting(row.id, subject, row.change.picture, row.attempts)


def earlier_pending(session: Session, sink: str, subject: UUID, number: int) -> bool:
    """Return whether an earlier change of the subject still waits, or was refused."""
    wanted = select(func.count()).where(
        OutboxRow.sink == sink,
        OutboxRow.subject == subject,
        OutboxRow.number < number,
        OutboxRow.state.in_((OutboxState.PENDING.value, OutboxState.PARKED.value)),
    )
    return bool(session.scalar(wanted))


def settle(session: Session, results: Iterable[Settled]) -> None:
    """Write the ends of attempts; one whose row is gone is ignored."""
    for result in results:
        row = _find(session, result)
        if row is None:
            continue
        row.attempts = result.attempt
        row.state = result.state.value
        row.last_error = result.detail[:_DETAIL] or None
        row.finished_at = None if result.state is OutboxState.PENDING else result.ended_at
        _keep_attempt(session, row.id, result)
        session.flush()
        if result.state is OutboxState.DELIVERED:
            _move_siblings(session, row, OutboxRow.number < row.number, OutboxState.SUPERSEDED)
        elif result.state is OutboxState.PARKED:
            _move_siblings(session, row, OutboxRow.number > row.number, OutboxState.PARKED)


def _find(session: Session, result: Settled) -> OutboxRow | None:
    wanted = select(OutboxRow).where(
        OutboxRow.sink == result.sink,
        OutboxRow.subject == result.subject,
        OutboxRow.number == result.number,
    )
    return session.scalars(wanted).one_or_none()


def _keep_attempt(session: Session, row_id: int, result: Settled) -> None:
    session.execute(
        delete(AttemptRow).where(
            AttemptRow.outbox_id == row_id, AttemptRow.number <= result.attempt - _ATTEMPTS_KEPT
        )
    )
    session.merge(
        AttemptRow(
            outbox_id=row_id,
            number=result.attempt,
            sent_at=result.sent_at,
            ended_at=result.ended_at,
            fate=result.fate,
            detail=result.detail[:_DETAIL],
        )
    )


def _move_siblings(
    session: Session, row: OutboxRow, which: ColumnElement[bool], state: OutboxState
) -> None:
    reason = f"change {row.number} was refused" if state is OutboxState.PARKED else None
    session.execute(
        update(OutboxRow)
        .where(OutboxRow.sink == row.sink, OutboxRow.subject == row.subject)
        .where(OutboxRow.state == OutboxState.PENDING.value, which)
        .values(state=state.value, finished_at=row.finished_at, last_error=reason)
    )


def backlog(session: Session, sink: str) -> Backlog:
    """Return how many deliveries of the sink wait, since when, and how many are parked."""
    pending, oldest = session.execute(
        select(func.count(), func.min(OutboxRow.created_at)).where(
            OutboxRow.sink == sink, OutboxRow.state == OutboxState.PENDING.value
        )
    ).one()
    parked = session.scalar(
        select(func.count()).where(OutboxRow.sink == sink, OutboxRow.state == OutboxState.PARKED.value)
    )
    return Backlog(pending, oldest, parked or 0)
