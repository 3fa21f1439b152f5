"""The outbox: a delivery for each change and sink, which may be sent now, and the results.

A sink receives the changes of one subject by rising number. So only the lowest pending number of a
subject may be sent, a refused change parks the later ones, and a change is superseded when a later
one, which holds the whole state, was delivered before it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, delete, exists, func, insert, select, tuple_, update
from sqlalchemy.orm import Session, aliased, contains_eager

from maskwatch.domain import Change, Incident
from maskwatch.store.checksums import require_sound
from maskwatch.store.database import Database
from maskwatch.store.models import AttemptRow, ChangeRow, OutboxRow, OutboxState, ViolationRow
from maskwatch.store.parked import ParkedFilter, ParkedReason, count_parked, newest_reason, put_back
from maskwatch.store.pictures import StoredPicture

_KEPT_ATTEMPTS = 20
_MAX_DETAIL = 500


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """A delivery that may be sent now; `attempts` were made before.

    `acknowledged`: whether its violation is.
    """

    id: int
    subject: Change | Incident
    picture: StoredPicture | None
    attempts: int
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The result of one attempt, and the state of the delivery after it (PENDING: try again)."""

    sink: str
    subject: UUID
    number: int
    state: OutboxState
    sent_at: datetime
    ended_at: datetime
    fate: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many deliveries of a sink are pending, since when, and how many are parked."""

    pending: int
    oldest: datetime | None
    parked: int


def add_delivery(
    session: Session,
    change: ChangeRow,
    sink: str,
    *,
    created_at: datetime,
    state: OutboxState = OutboxState.PENDING,
) -> None:
    session.add(
        OutboxRow(
            sink=sink,
            change_id=change.id,
            subject=change.subject,
            number=change.number,
            state=state.value,
            attempts=1 if state is OutboxState.DELIVERED else 0,
            created_at=created_at,
            finished_at=None if state is OutboxState.PENDING else change.stored_at,
            last_error="an earlier change was refused" if state is OutboxState.PARKED else None,
        )
    )


class Outbox:
    """The deliveries to all sinks.

    New changes are delivered to those in `sinks`.
    """

    def __init__(self, database: Database, sinks: Sequence[str]) -> None:
        self._database = database
        self.sinks = tuple(sinks)

    def add(
        self,
        session: Session,
        change: ChangeRow,
        *,
        created_at: datetime,
        delivered: Collection[str] = (),
    ) -> None:
        """Add a delivery of the change for each sink; those in `delivered` have accepted it already."""
        others = _other_deliveries(session, change)
        for sink in self.sinks:
            state = OutboxState.DELIVERED
            if sink not in delivered:
                state = _initial_state(change.number, others.get(sink, ()))
            add_delivery(session, change, sink, created_at=created_at, state=state)

    def waiting(
        self,
        sink: str,
        limit: int,
        blocked: Collection[UUID] = (),
        *,
        fewest_attempts: bool = False,
    ) -> list[PendingDelivery]:
        """Return up to `limit` deliveries that may be sent now, oldest first.

        None of the `blocked` subjects. With `fewest_attempts` those come first, in random order: of
        many that a sink refuses, the oldest ones are often alike.

        Raises:
            StoreDamagedError: one of them does not match its checksum: nothing may be sent.
        """
        order = (OutboxRow.attempts, func.random()) if fewest_attempts else (OutboxRow.id,)
        earlier = aliased(OutboxRow)
        behind = exists().where(
            earlier.sink == OutboxRow.sink,
            earlier.subject == OutboxRow.subject,
            earlier.number < OutboxRow.number,
            earlier.state == OutboxState.PENDING.value,
        )
        statement = (
            select(OutboxRow, ViolationRow.acknowledged_at)
            .join(OutboxRow.change)
            .outerjoin(ViolationRow, ViolationRow.id == ChangeRow.violation_id)
            .options(contains_eager(OutboxRow.change))
            .where(OutboxRow.sink == sink, OutboxRow.state == OutboxState.PENDING.value)
            .where(OutboxRow.subject.not_in(_listed(blocked)), ~behind)
            .order_by(*order)
            .limit(limit)
        )
        with self._database.session() as session:
            rows = session.execute(statement).all()
            require_sound(session, OutboxRow.id, [row.id for row, _ in rows])
            require_sound(session, ChangeRow.id, [row.change_id for row, _ in rows])
            found = [_pending_delivery(row, acknowledged_at) for row, acknowledged_at in rows]
        if None in found:  # it is parked now
            return self.waiting(sink, limit, blocked, fewest_attempts=fewest_attempts)
        return [delivery for delivery in found if delivery is not None]

    def earlier_pending(self, sink: str, subject: UUID, number: int) -> bool:
        """Return whether an earlier change of the subject is pending, or was refused."""
        count = select(func.count()).where(
            OutboxRow.sink == sink,
            OutboxRow.subject == subject,
            OutboxRow.number < number,
            OutboxRow.state.in_((OutboxState.PENDING.value, OutboxState.PARKED.value)),
        )
        with self._database.session() as session:
            return bool(session.scalar(count))

    def store_results(self, results: Sequence[DeliveryResult]) -> None:
        """Store the results of attempts; one whose delivery was removed is ignored.

        Raises:
            DiskFullError, StoreBusyError, StoreDamagedError, StoreError: nothing was stored.
        """
        self._database.with_room(lambda: self._store_results(results))

    def _store_results(self, results: Sequence[DeliveryResult]) -> None:
        with self._database.session() as session:
            for sink in {result.sink for result in results}:
                of_sink = [result for result in results if result.sink == sink]
                _store_results_of(session, sink, of_sink)

    def put_back(self, criteria: ParkedFilter, by: str, now: datetime) -> dict[str, int]:
        """Make parked deliveries pending again; return how many of each sink.

        Raises:
            DiskFullError, StoreBusyError, StoreDamagedError, StoreError: nothing was changed.
        """

        def change() -> dict[str, int]:
            with self._database.session() as session:
                return put_back(session, criteria, by, now)

        return self._database.with_room(change)

    def parked_reasons(self, sink: str) -> tuple[dict[ParkedReason, int], str]:
        """Return how many deliveries are parked by reason, and the newest reason in words."""
        with self._database.session() as session:
            counts = count_parked(session, ParkedFilter(sink)).get(sink, {})
            return counts, newest_reason(session, sink) if counts else ""

    def backlog(self, sink: str) -> Backlog:
        """Return how many deliveries of the sink are pending, since when, and how many are parked."""
        of_sink = OutboxRow.sink == sink
        is_pending = OutboxRow.state == OutboxState.PENDING.value
        is_parked = OutboxRow.state == OutboxState.PARKED.value
        pending = select(func.count(), func.min(OutboxRow.created_at)).where(of_sink, is_pending)
        parked = select(func.count()).where(of_sink, is_parked)
        with self._database.session() as session:
            count, oldest = session.execute(pending).one()
            return Backlog(count, oldest, session.scalar(parked) or 0)


def _other_deliveries(session: Session, change: ChangeRow) -> dict[str, list[tuple[int, str]]]:
    """Return, by sink, number and state of the deliveries of the subject's other changes."""
    columns = select(OutboxRow.sink, OutboxRow.number, OutboxRow.state)
    others: dict[str, list[tuple[int, str]]] = {}
    for sink, number, state in session.execute(columns.where(OutboxRow.subject == change.subject)):
        others.setdefault(sink, []).append((number, state))
    return others


def _initial_state(number: int, others: Iterable[tuple[int, str]]) -> OutboxState:
    """Keep the order of a subject: no sink receives a number lower than one it has accepted."""
    initial = OutboxState.PENDING
    for other, state in others:
        if other > number and state == OutboxState.DELIVERED.value:
            return OutboxState.SUPERSEDED
        if other < number and state == OutboxState.PARKED.value:
            initial = OutboxState.PARKED
    return initial


def _listed(subjects: Collection[UUID]) -> Select[str]:
    """Select these subjects: as one parameter, of which there may be thousands."""
    ids = json.dumps([subject.hex for subject in subjects])
    return select(func.json_each(ids).table_valued("value").c.value)


def _pending_delivery(row: OutboxRow, acknowledged_at: datetime | None) -> PendingDelivery | None:
    """Return the delivery; park it and return None if its contents cannot be decoded."""
    try:
        subject = row.change.decode()
    except msgspec.MsgspecError as error:
        row.state, row.last_error = OutboxState.PARKED.value, f"unreadable: {error}"[:_MAX_DETAIL]
        return None
    acknowledged = acknowledged_at is not None
    return PendingDelivery(row.id, subject, row.change.stored_picture, row.attempts, acknowledged)


def _store_results_of(session: Session, sink: str, results: Sequence[DeliveryResult]) -> None:
    keys = [(result.subject, result.number) for result in results]
    key = tuple_(OutboxRow.subject, OutboxRow.number)
    found = session.scalars(select(OutboxRow).where(OutboxRow.sink == sink, key.in_(keys)))
    rows = {(row.subject, row.number): row for row in found}
    attempts: list[dict[str, object]] = []
    for result in results:
        row = rows.get((result.subject, result.number))
        if row is None:
            continue
        row.attempts, row.state = row.attempts + 1, result.state.value
        row.last_error = result.detail[:_MAX_DETAIL] or None
        row.finished_at = None if result.state is OutboxState.PENDING else result.ended_at
        attempts.append(_attempt(row, result))
    session.flush()
    _store_attempts(session, attempts)
    _update_later_and_earlier(session, sink, list(rows.values()))


def _attempt(row: OutboxRow, result: DeliveryResult) -> dict[str, object]:
    return {
        "outbox_id": row.id,
        "number": row.attempts,
        "sent_at": result.sent_at,
        "ended_at": result.ended_at,
        "fate": result.fate,
        "detail": result.detail[:_MAX_DETAIL],
    }


def _store_attempts(session: Session, attempts: Sequence[dict[str, object]]) -> None:
    """Store attempts; of each delivery only the newest are kept."""
    if not attempts:
        return
    session.execute(insert(AttemptRow), attempts)
    newest = {attempt["outbox_id"]: int(str(attempt["number"])) for attempt in attempts}
    for delivery, number in newest.items():
        if number > _KEPT_ATTEMPTS:
            too_old = AttemptRow.number <= number - _KEPT_ATTEMPTS
            session.execute(delete(AttemptRow).where(AttemptRow.outbox_id == delivery, too_old))


def _update_later_and_earlier(session: Session, sink: str, rows: Sequence[OutboxRow]) -> None:
    """Supersede pending changes before a delivered one, park pending changes after a refused one."""
    pending = select(OutboxRow.subject).where(
        OutboxRow.sink == sink,
        OutboxRow.subject.in_([row.subject for row in rows]),
        OutboxRow.state == OutboxState.PENDING.value,
    )
    with_pending = set(session.scalars(pending))
    for row in rows:
        if row.subject not in with_pending:
            continue
        if row.state == OutboxState.DELIVERED.value:
            _update_pending(session, row, OutboxRow.number < row.number, OutboxState.SUPERSEDED)
        elif row.state == OutboxState.PARKED.value:
            _update_pending(session, row, OutboxRow.number > row.number, OutboxState.PARKED)


def _update_pending(
    session: Session, row: OutboxRow, which: ColumnElement[bool], state: OutboxState
) -> None:
    reason = f"change {row.number} was refused" if state is OutboxState.PARKED else None
    session.execute(
        update(OutboxRow)
        .where(OutboxRow.sink == row.sink, OutboxRow.subject == row.subject)
        .where(OutboxRow.state == OutboxState.PENDING.value, which)
        .values(state=state.value, finished_at=row.finished_at, last_error=reason)
    )
