"""Writes one change: its violation or incident, the change itself, and a delivery for every sink.

Idempotent by subject and change number. The caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from maskwatch.domain import Change, ChangeKind, Incident, Violation
from maskwatch.store.models import ChangeRow, IncidentRow, OutboxRow, OutboxState, ViolationRow
from maskwatch.store.pictures import StoredPicture

__all__ = [
    "Entry",
    "Receipt",
    "change_kind",
    "decode_body",
    "find_change",
    "record_change",
    "restate",
    "subject_id",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """A change to be stored.

    Attributes:
        subject: the change of a violation, or an incident (which is its own change).
        picture: the anonymized JPEG, if there is one.
        owner: the run and the process that speak for the subject.
        received_at: when the recorder received it (UTC).
        delivered: sinks that took it already, while it could not be stored.
        silent: whether its violation, if it is new, is told to nobody (its camera is snoozed).

    """

    subject: Change | Incident
    picture: bytes | None
    owner: str
    received_at: datetime
    delivered: frozenset[str] = frozenset()
    silent: bool = False


class Receipt(StrEnum):
    """What became of an entry."""

    STORED = "stored"
    REPEATED = "repeated"  # it was there already
    CONFLICT = "conflict"  # the number was there already, with other contents
    REFUSED = "refused"  # it breaks a rule of the tables; never stored


def subject_id(subject: Change | Incident) -> UUID:
    """Return the id of the violation or incident."""
    return subject.violation.id if isinstance(subject, Change) else subject.id


def change_kind(subject: Change | Incident) -> ChangeKind:
    """Return what the change does; for an incident it follows from its number and end."""
    if isinstance(subject, Change):
        return subject.kind
    if subject.ended is not None:
        return ChangeKind.CLOSED
    return ChangeKind.OPENED if subject.number == 1 else ChangeKind.UPDATED


def decode_body(row: ChangeRow) -> Change | Incident:
    """Return the change that a row holds."""
    if row.violation_id is not None:
        return msgspec.json.decode(row.body, type=Change)
    return msgspec.json.decode(row.body, type=Incident)


def find_change(session: Session, subject: UUID, number: int) -> ChangeRow | None:
    """Return the row of this change, if it was stored."""
    wanted = select(ChangeRow).where(ChangeRow.subject == subject, ChangeRow.number == number)
    return session.scalars(wanted).one_or_none()


def record_change(
    session: Session,
    entry: Entry,
    picture: StoredPicture | None,
    sinks: Sequence[str],
    now: datetime,
) -> None:
    """Store a change that `find_change` did not find.

    Raises:
        ValueError: the violation is known, and another camera's.

    """
    subject = entry.subject
    if isinstance(subject, Change):
        known = session.get(ViolationRow, subject.violation.id)
        if known is not None and known.camera != subject.violation.camera:
            raise ValueError(f"violation {known.id} is of camera {known.camera!r}")
    silenced = restate(session, subject, entry.owner, silent=entry.silent)
    row = ChangeRow(
        subject=subject_id(subject),
        number=subject.number,
        violation_id=subject.violation.id if isinstance(subject, Change) else None,
        incident_id=None if isinstance(subject, Change) else subject.id,
        kind=change_kind(subject).value,
        at=subject.at if isinstance(subject, Change) else subject.ended or entry.received_at,
        received_at=entry.received_at,
        stored_at=now,
        body=msgspec.json.encode(subject).decode(),
        picture=picture.path if picture else None,
        picture_bytes=picture.size if picture else 0,
    )
    session.add(row)
    session.flush()
    if silenced:
        return
    others = _other_deliveries(session, row)
    for sink in sinks:
        state = OutboxState.DELIVERED
        if sink not in entry.delivered:
            state = _first_state(row.number, others.get(sink, ()))
        session.add(_delivery(row, sink, state, now))
    session.flush()


def restate(session: Session, subject: Change | Incident, owner: str, *, silent: bool = False) -> bool:
    """Make the violation or incident as this change says, unless a later one has.

    Returns whether it is told to nobody, which its first change has settled: `silent` is for that.
    """
    if isinstance(subject, Change):
        return _store_violation(session, subject, owner, silent=silent)
    _store_incident(session, subject, owner)
    return False


def _store_violation(session: Session, change: Change, owner: str, *, silent: bool) -> bool:
    violation = change.violation
    row = session.get(ViolationRow, violation.id)
    if row is None:
        row = ViolationRow(id=violation.id, number=0, silenced=silent)
        session.add(row)
    if change.number > row.number:
        row.number, row.owner = change.number, owner
        _fill(row, violation)
    session.flush()
    return row.silenced


def _fill(row: ViolationRow, violation: Violation) -> None:
    row.camera, row.zone, row.zones = violation.camera, violation.zone, list(violation.zones)
    row.track, row.verdict = violation.track, violation.verdict.value
    row.first_seen, row.started, row.ended = violation.first_seen, violation.started, violation.ended
    row.close_reason = violation.close_reason.value if violation.close_reason else None
    row.confidence = min(1.0, max(0.0, violation.confidence))
    row.evidence = violation.evidence
    row.readings, row.face_height, row.model = (
        violation.readings,
        violation.face_height,
        violation.model,
    )


def _store_incident(session: Session, incident: Incident, owner: str) -> None:
    row = session.get(IncidentRow, incident.id)
    if row is None:
        row = IncidentRow(id=incident.id, number=0)
        session.add(row)
    if incident.number > row.number:
        row.number, row.owner = incident.number, owner
        row.kind, row.camera, row.reason = incident.kind.value, incident.camera, incident.reason
        row.started, row.ended = incident.started, incident.ended
    session.flush()


def _delivery(change: ChangeRow, sink: str, state: OutboxState, now: datetime) -> OutboxRow:
    return OutboxRow(
        sink=sink,
        change_id=change.id,
        subject=change.subject,
        number=change.number,
        state=state.value,
        attempts=1 if state is OutboxState.DELIVERED else 0,
        created_at=change.received_at,
        finished_at=None if state is OutboxState.PENDING else now,
        last_error="an earlier change was refused" if state is OutboxState.PARKED else None,
    )


def _other_deliveries(session: Session, change: ChangeRow) -> dict[str, list[tuple[int, str]]]:
    """Return, by sink, number and state of the deliveries of the subject's other changes."""
    wanted = select(OutboxRow.sink, OutboxRow.number, OutboxRow.state)
    found: dict[str, list[tuple[int, str]]] = {}
    for sink, number, state in session.execute(wanted.where(OutboxRow.subject == change.subject)):
        found.setdefault(sink, []).append((number, state))
    return found


def _first_state(number: int, others: Iterable[tuple[int, str]]) -> OutboxState:
    """Keep the order of a subject: no sink sees a number lower than one it has seen."""
    state = OutboxState.PENDING
    for other, known in others:
        if other > number and known == OutboxState.DELIVERED.value:
            return OutboxState.SUPERSEDED
        if other < number and known == OutboxState.PARKED.value:
            state = OutboxState.PARKED
    return state
