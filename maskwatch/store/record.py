"""Records changes: the violation or incident, the change itself, its picture and its deliveries.

Idempotent by subject and change number.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.orm import Session

from maskwatch.clock import Clock
from maskwatch.domain import Change, ChangeKind, Incident, OccupancyMinute, Violation
from maskwatch.store.database import Database
from maskwatch.store.engine import is_damage
from maskwatch.store.models import ChangeRow, IncidentRow, OccupancyRow, ViolationRow
from maskwatch.store.outbox import Outbox
from maskwatch.store.pictures import StoredPicture, write_picture
from maskwatch.store.reserve import Reserve
from maskwatch.store.space import shortage
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A change to be stored.

    Attributes:
        subject: the change of a violation, or an incident (which is its own change).
        picture: the anonymized JPEG, if there is one.
        owner: the run and the process that report the subject.
        received_at: when the recorder received it (UTC).
        delivered: sinks that accepted it already, while it could not be stored.
        silent: whether its violation, if it is new, has no deliveries: its camera is snoozed.
    """

    subject: Change | Incident
    picture: bytes | None
    owner: str
    received_at: datetime
    delivered: frozenset[str] = frozenset()
    silent: bool = False


class RecordResult(StrEnum):
    """The result of recording an entry."""

    STORED = "stored"
    REPEATED = "repeated"  # it was stored before
    CONFLICT = "conflict"  # a change of this number was stored before, with other contents
    REFUSED = "refused"  # it violates a constraint of the tables; never stored


def subject_id(subject: Change | Incident) -> UUID:
    return subject.violation.id if isinstance(subject, Change) else subject.id


def change_kind(subject: Change | Incident) -> ChangeKind:
    """Return the kind of the change; for an incident it follows from its number and end."""
    if isinstance(subject, Change):
        return subject.kind
    if subject.ended is not None:
        return ChangeKind.CLOSED
    return ChangeKind.OPENED if subject.number == 1 else ChangeKind.UPDATED


class ChangeRecorder:
    """Records changes and occupancy in the database."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        pictures: Path,
        reserve: Reserve,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._pictures = pictures
        self._reserve = reserve
        self._clock = clock
        self._meter = meter

    def record(
        self, entries: Sequence[Entry], minutes: Sequence[OccupancyMinute] = ()
    ) -> list[RecordResult]:
        """Store changes and occupancy in one transaction; return the result of each change.

        When this returns, pictures, rows and deliveries are on disk.

        Raises:
            DiskFullError: there is no space, not even in the reserve; nothing was stored.
            StoreBusyError, StoreDamagedError, StoreError: nothing was stored.
        """
        started = self._clock.monotonic()
        results = self._database.with_room(lambda: self._record(entries, minutes))
        elapsed = self._clock.monotonic() - started
        self._meter.observe(catalogue.COMMIT_SECONDS, elapsed)
        return results

    def last_stored_at(self) -> datetime | None:
        """Return when the newest change was stored."""
        newest = select(ChangeRow.stored_at).order_by(ChangeRow.id.desc()).limit(1)
        with self._database.session() as session:
            return session.scalar(newest)

    def _record(
        self, entries: Sequence[Entry], minutes: Sequence[OccupancyMinute]
    ) -> list[RecordResult]:
        now = self._clock.now()
        with self._database.session() as session:
            results = [self._record_entry(session, entry, now) for entry in entries]
            for minute in minutes:
                _store_minute(session, minute)
        return results

    def _record_entry(self, session: Session, entry: Entry, now: datetime) -> RecordResult:
        stored = _find_change(session, entry.subject)
        if stored is not None:
            same = _is_same(stored, entry.subject)
            return RecordResult.REPEATED if same else RecordResult.CONFLICT
        picture = self._write_picture(entry)
        savepoint = session.begin_nested()
        try:
            self._store(session, entry, picture, now)
        except (StatementError, ValueError, OverflowError) as error:
            savepoint.rollback()
            if isinstance(error, DBAPIError) and not _is_refusal(error):
                raise
            _log.error("refused change %s of %s: %s", entry.subject.number, entry.owner, error)
            return RecordResult.REFUSED
        savepoint.commit()
        return RecordResult.STORED

    def _write_picture(self, entry: Entry) -> StoredPicture | None:
        """Write the picture; if that fails, the change is recorded without it."""
        change = entry.subject
        if entry.picture is None or not isinstance(change, Change):
            return None
        if not self._reserve.complete:
            self._meter.add(catalogue.PICTURES, {"fate": "failed"})
            return None
        try:
            stored = write_picture(
                self._pictures, change.violation.id, change.number, change.at, entry.picture
            )
        except (OSError, ValueError, OverflowError) as error:
            _log.error("cannot write the picture of violation %s: %s", change.violation.id, error)
            self._meter.add(catalogue.PICTURES, {"fate": "failed"})
            self._report_shortage(error)
            return None
        self._meter.add(catalogue.PICTURES, {"fate": "written"})
        return stored

    def _report_shortage(self, error: Exception) -> None:
        """Stop writing pictures until there is room: an open database grows without new files."""
        lack = shortage(error, self._pictures) if isinstance(error, OSError) else ""
        if lack:
            self._reserve.report_shortage(lack)
            self._meter.add(catalogue.STORE_ERROR_COUNT, {"reason": "full"})

    def _store(
        self, session: Session, entry: Entry, picture: StoredPicture | None, now: datetime
    ) -> None:
        """Store a new change and its deliveries.

        Raises:
            ValueError: the violation exists, of another camera.
        """
        _check_camera(session, entry.subject)
        silent = update_subject(session, entry.subject, entry.owner, silent=entry.silent)
        row = _change_row(entry, picture, now)
        session.add(row)
        session.flush()
        if not silent:
            self._outbox.add(session, row, created_at=row.received_at, delivered=entry.delivered)
            session.flush()


def _is_refusal(error: DBAPIError) -> bool:
    """Return whether the row violates a constraint, which is no trouble of the store."""
    return isinstance(error, IntegrityError) and not is_damage(error.orig)


def _find_change(session: Session, subject: Change | Incident) -> ChangeRow | None:
    key = (ChangeRow.subject == subject_id(subject), ChangeRow.number == subject.number)
    return session.scalars(select(ChangeRow).where(*key)).one_or_none()


def _is_same(stored: ChangeRow, subject: Change | Incident) -> bool:
    try:
        return stored.decode() == subject
    except msgspec.DecodeError:
        return False  # damaged: an error would end the recorder each time the worker repeats it


def _check_camera(session: Session, subject: Change | Incident) -> None:
    if isinstance(subject, Change):
        row = session.get(ViolationRow, subject.violation.id)
        if row is not None and row.camera != subject.violation.camera:
            raise ValueError(f"violation {row.id} is of camera {row.camera!r}")


def _change_row(entry: Entry, picture: StoredPicture | None, now: datetime) -> ChangeRow:
    subject = entry.subject
    return ChangeRow(
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
        picture_sha256=picture.sha256 if picture else None,
    )


def _store_minute(session: Session, minute: OccupancyMinute) -> None:
    """Store the occupancy of a minute; it replaces an earlier one of the same zone and minute."""
    values = asdict(minute)
    key = ["camera", "zone", "minute"]
    counts = {name: value for name, value in values.items() if name not in key}
    statement = insert(OccupancyRow).values(values)
    session.execute(statement.on_conflict_do_update(index_elements=key, set_=counts))


def update_subject(
    session: Session, subject: Change | Incident, owner: str, *, silent: bool = False
) -> bool:
    """Update the violation or incident to this change, unless a later change is stored.

    Returns:
        Whether it has no deliveries, because its camera was snoozed when it opened. `silent`
        decides that for a new violation.
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
        _copy_violation(row, violation)
    session.flush()
    return row.silenced


def _copy_violation(row: ViolationRow, violation: Violation) -> None:
    row.camera, row.zone, row.zones = violation.camera, violation.zone, list(violation.zones)
    row.track, row.verdict = violation.track, violation.verdict.value
    row.first_seen, row.started, row.ended = violation.first_seen, violation.started, violation.ended
    row.close_reason = violation.close_reason.value if violation.close_reason else None
    row.confidence = min(1.0, max(0.0, violation.confidence))
    row.evidence, row.readings = violation.evidence, violation.readings
    row.face_height, row.model = violation.face_height, violation.model


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
