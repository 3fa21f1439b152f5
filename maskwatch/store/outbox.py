"""The outbox: which deliveries may go now, and what became of those that went.

The order law: a sink sees the changes of one subject by rising number. So only the lowest pending
number of a subject may go, a refused change parks the later ones, and a change that was overtaken
by a delivered later one (which tells the whole state) is superseded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, delete, exists, func, insert, select, tuple_, update
from sqlalchemy.orm import Session, aliased, joinedload

from maskwatch.domain import Change, Incident
from maskwatch.store.models import AttemptRow, OutboxRow, OutboxState
from maskwatch.store.record import decode_body

__all__ = [
    "NEXT",
    "Backlog",
    "DeliveryResult",
    "PendingDelivery",
    "backlog",
    "earlier_pending",
    "settle",
    "waiting",
]

NEXT = 0
_ATTEMPTS_KEPT = 20
_DETAIL = 500


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """A delivery that may go now; `attempts` were made before."""

    id: int
    subject: Change | Incident
    picture: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The end of one attempt, and where the delivery stands after it (PENDING: to be tried again).

    `attempt` is its number, or `NEXT` for one more than were made.
    """

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


def waiting(session: Session, sink: str, limit: int) -> Sequence[PendingDelivery]:
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


def _waiting(row: OutboxRow) -> PendingDelivery | None:
    """Return the delivery; one whose contents cannot be read (any more) is parked."""
    try:
        subject = decode_body(row.change)
    except msgspec.MsgspecError as error:
        row.state, row.last_error = OutboxState.PARKED.value, f"unreadable: {error}"[:_DETAIL]
        return None
    return PendingDelivery(row.id, subject, row.change.picture, row.attempts)


def earlier_pending(session: Session, sink: str, subject: UUID, number: int) -> bool:
    """Return whether an earlier change of the subject still waits, or was refused."""
    wanted = select(func.count()).where(
        OutboxRow.sink == sink,
        OutboxRow.subject == subject,
        OutboxRow.number < number,
        OutboxRow.state.in_((OutboxState.PENDING.value, OutboxState.PARKED.value)),
    )
    return bool(session.scalar(wanted))


def settle(session: Session, results: Sequence[DeliveryResult]) -> None:
    """Write the ends of attempts; one whose row is gone is ignored."""
    for sink in {result.sink for result in results}:
        _settle(session, sink, [result for result in results if result.sink == sink])


def _settle(session: Session, sink: str, results: Sequence[DeliveryResult]) -> None:
    wanted = [(result.subject, result.number) for result in results]
    key = tuple_(OutboxRow.subject, OutboxRow.number)
    found = session.scalars(select(OutboxRow).where(OutboxRow.sink == sink, key.in_(wanted)))
    rows = {(row.subject, row.number): row for row in found}
    ended: list[tuple[OutboxRow, DeliveryResult]] = []
    for each in results:
        row = rows.get((each.subject, each.number))
        if row is None:
            continue
        result = replace(each, attempt=row.attempts + 1) if each.attempt == NEXT else each
        ended.append((row, result))
        row.attempts, row.state = result.attempt, result.state.value
        row.last_error = result.detail[:_DETAIL] or None
        row.finished_at = None if result.state is OutboxState.PENDING else result.ended_at
    session.flush()
    _keep_attempts(session, ended)
    _move_siblings_of(session, sink, [row for row, _ in ended])


def _keep_attempts(session: Session, ended: Sequence[tuple[OutboxRow, DeliveryResult]]) -> None:
    if not ended:
        return
    attempts = [
        {
            "outbox_id": row.id,
            "number": result.attempt,
            "sent_at": result.sent_at,
            "ended_at": result.ended_at,
            "fate": result.fate,
            "detail": result.detail[:_DETAIL],
        }
        for row, result in ended
    ]
    session.execute(insert(AttemptRow).prefix_with("OR REPLACE"), attempts)
    for row, result in ended:
        if result.attempt > _ATTEMPTS_KEPT:
            too_many = AttemptRow.number <= result.attempt - _ATTEMPTS_KEPT
            session.execute(delete(AttemptRow).where(AttemptRow.outbox_id == row.id, too_many))


def _move_siblings_of(session: Session, sink: str, rows: Sequence[OutboxRow]) -> None:
    """Supersede what a delivered change has overtaken, park what follows a refused one."""
    ids = [row.subject for row in rows]
    pending = select(OutboxRow.subject).where(
        OutboxRow.sink == sink,
        OutboxRow.subject.in_(ids),
        OutboxRow.state == OutboxState.PENDING.value,
    )
    waiting_still = set(session.scalars(pending))
    for row in rows:
        if row.subject not in waiting_still:
            continue
        if row.state == OutboxState.DELIVERED.value:
            _move_siblings(session, row, OutboxRow.number < row.number, OutboxState.SUPERSEDED)
        elif row.state == OutboxState.PARKED.value:
            _move_siblings(session, row, OutboxRow.number > row.number, OutboxState.PARKED)


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
