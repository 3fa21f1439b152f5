"""Read-only queries: lists of violations, one violation in detail, an inventory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import Select, String, cast, func, select, text
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session, selectinload

from maskwatch.domain import Change, Incident, Verdict
from maskwatch.errors import StoreDamagedError, StoreError, UsageError
from maskwatch.store.checksums import require_sound
from maskwatch.store.engine import read_engine, translate_errors
from maskwatch.store.migrate import check_revision, current_revision
from maskwatch.store.models import (
    ChangeRow,
    IncidentRow,
    OccupancyRow,
    OutboxRow,
    OutboxState,
    ViolationRow,
)
from maskwatch.store.pictures import is_altered


@dataclass(frozen=True, slots=True)
class Filter:
    """Which violations to list; empty and None do not restrict. Times are aware."""

    since: datetime | None = None
    until: datetime | None = None
    cameras: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    only_open: bool = False
    only_unacknowledged: bool = False
    only_parked: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One violation in a list. `alerts` counts deliveries by state; `picture` is relative.

    `silenced`: no alert of it was sent, because its camera was snoozed when it opened.
    """

    id: UUID
    camera: str
    zone: str
    verdict: str
    first_seen: datetime
    started: datetime
    ended: datetime | None
    close_reason: str | None
    confidence: float
    evidence: float
    readings: int
    face_height: float
    model: str
    changes: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    picture: str | None
    alerts: dict[str, int]
    silenced: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver a change."""

    number: int
    sent_at: datetime
    ended_at: datetime
    fate: str
    detail: str


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """The delivery of a change to one sink, with its last attempts."""

    sink: str
    state: str
    attempts: int
    finished_at: datetime | None
    last_error: str | None
    history: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class ChangeSummary:
    """One change, when it was received and stored, its picture and its deliveries."""

    change: Change
    received_at: datetime
    stored_at: datetime
    picture: str | None
    postings: tuple[DeliveryState, ...]


@dataclass(frozen=True, slots=True)
class EventDetail:
    """One violation with all its changes."""

    event: Event
    steps: tuple[ChangeSummary, ...]


_LISTED_IDS = 5
# Raised when a column holds another type or format, which SQLite does not check, or when an index
# names a row that is missing.
_DAMAGE_ERRORS = (ValueError, TypeError, AttributeError, msgspec.MsgspecError, NoResultFound)


@contextmanager
def read_session(path: Path) -> Iterator[Session]:
    """Open the database read-only, with or without a running daemon.

    Raises:
        StoreError: there is no database, or its revision is older than this version's.
        StoreTooNewError: its revision is newer.
        StoreDamagedError: it cannot be read.
    """
    if not path.is_file():
        raise StoreError(f"there is no database at {path}: has the daemon run with this data_dir?")
    engine = read_engine(path)
    try:
        with translate_errors(path), Session(engine) as session:
            check_revision(session.connection(), path, exact=True)
            yield session
    except _DAMAGE_ERRORS as error:
        raise StoreDamagedError(
            f"the database {path} has contents that cannot be read: {error}"
        ) from error
    finally:
        engine.dispose()


def events(session: Session, criteria: Filter) -> Iterator[Event]:
    """Yield violations, newest first."""
    statement = _matching(criteria).order_by(ViolationRow.started.desc(), ViolationRow.id.desc())
    if criteria.limit is not None:
        statement = statement.limit(criteria.limit)
    found = iter(session.scalars(statement.execution_options(yield_per=500)))
    while rows := list(islice(found, 500)):
        yield from _with_deliveries(session, rows)


def _matching(criteria: Filter) -> Select[ViolationRow]:
    statement = select(ViolationRow)
    if criteria.since is not None:
        statement = statement.where(ViolationRow.started >= criteria.since)
    if criteria.until is not None:
        statement = statement.where(ViolationRow.started < criteria.until)
    if criteria.cameras:
        statement = statement.where(ViolationRow.camera.in_(criteria.cameras))
    if criteria.zones:
        statement = statement.where(ViolationRow.zone.in_(criteria.zones))
    if criteria.verdicts:
        statement = statement.where(ViolationRow.verdict.in_([v.value for v in criteria.verdicts]))
    if criteria.only_open:
        statement = statement.where(ViolationRow.ended.is_(None))
    if criteria.only_unacknowledged:
        statement = statement.where(ViolationRow.acknowledged_at.is_(None))
    if criteria.only_parked:
        parked = select(OutboxRow.subject).where(OutboxRow.state == OutboxState.PARKED.value)
        statement = statement.where(ViolationRow.id.in_(parked))
    return statement


def _with_deliveries(session: Session, rows: Sequence[ViolationRow]) -> Iterator[Event]:
    ids = [row.id for row in rows]
    for column in (ViolationRow.id, ChangeRow.subject, OutboxRow.subject):
        require_sound(session, column, ids)
    counted = session.execute(
        select(OutboxRow.subject, OutboxRow.state, func.count())
        .where(OutboxRow.subject.in_(ids))
        .group_by(OutboxRow.subject, OutboxRow.state)
    )
    alerts: dict[UUID, dict[str, int]] = {}
    for subject, state, count in counted:
        alerts.setdefault(subject, {})[state] = count
    named = session.execute(
        select(ChangeRow.subject, ChangeRow.picture)
        .where(ChangeRow.subject.in_(ids), ChangeRow.picture.is_not(None))
        .order_by(ChangeRow.number)
    )
    pictures = {subject: picture or "" for subject, picture in named}  # the newest wins
    for row in rows:
        yield _event(row, pictures.get(row.id), alerts.get(row.id, {}))


def _event(row: ViolationRow, picture: str | None, alerts: dict[str, int]) -> Event:
    sorted_alerts = {state.value: alerts[state.value] for state in OutboxState if state in alerts}
    same = {each.name: getattr(row, each.name) for each in fields(Event) if hasattr(row, each.name)}
    return Event(**same, changes=row.number, picture=picture, alerts=sorted_alerts)


def find_violation(session: Session, start: str) -> UUID:
    """Return the id of the one violation whose id begins with `start`.

    Raises:
        UsageError: there is none, or more than one; the message then lists some of them.
    """
    digits = start.replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{1,32}", digits):
        raise UsageError(f"{start!r} is not an id of a violation: expected 1 to 32 hexadecimal digits")
    matches = select(ViolationRow.id).where(cast(ViolationRow.id, String).startswith(digits))
    found = session.scalars(matches.order_by(ViolationRow.id).limit(_LISTED_IDS + 1)).all()
    if not found:
        raise UsageError(f"there is no violation whose id begins with {start}")
    if len(found) > 1:
        more = ", ..." if len(found) > _LISTED_IDS else ""
        raise UsageError(
            f"more than one violation's id begins with {start}; give more of it: "
            f"{', '.join(map(str, found[:_LISTED_IDS]))}{more}"
        )
    return found[0]


def event_detail(session: Session, violation: UUID) -> EventDetail:
    """Return the details of a violation that `find_violation` found."""
    row = session.get_one(ViolationRow, violation)
    [event] = _with_deliveries(session, [row])
    changes = (
        select(ChangeRow)
        .where(ChangeRow.violation_id == violation)
        .order_by(ChangeRow.number)
        .options(selectinload(ChangeRow.deliveries).selectinload(OutboxRow.history))
    )
    return EventDetail(event, tuple(_change_summary(change) for change in session.scalars(changes)))


def _change_summary(row: ChangeRow) -> ChangeSummary:
    body = row.decode()
    assert not isinstance(body, Incident)
    deliveries = tuple(_delivery_state(delivery) for delivery in row.deliveries)
    return ChangeSummary(body, row.received_at, row.stored_at, row.picture, deliveries)


def _delivery_state(row: OutboxRow) -> DeliveryState:
    history = tuple(
        Attempt(item.number, item.sent_at, item.ended_at, item.fate, item.detail) for item in row.history
    )
    return DeliveryState(row.sink, row.state, row.attempts, row.finished_at, row.last_error, history)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The contents of a database: rows by kind, bytes, and pictures whose files are missing."""

    revision: str
    rows: dict[str, int]
    used_bytes: int
    picture_bytes: int
    missing_pictures: int
    damaged_pictures: tuple[str, ...]


def inventory(session: Session, pictures: Path) -> Inventory:
    """Count the contents of the database, and check the file of each picture."""
    tables = {
        "violations": ViolationRow,
        "incidents": IncidentRow,
        "changes": ChangeRow,
        "occupancy minutes": OccupancyRow,
    }
    rows = {
        name: session.scalar(select(func.count()).select_from(table)) for name, table in tables.items()
    }
    for state, count in session.execute(select(OutboxRow.state, func.count()).group_by(OutboxRow.state)):
        rows[f"alerts {state}"] = count
    with_picture = session.scalars(select(ChangeRow).where(ChangeRow.picture.is_not(None)))
    kept = [stored for row in with_picture if (stored := row.stored_picture)]
    return Inventory(
        revision=current_revision(session.connection()) or "none",
        rows={name: count or 0 for name, count in rows.items()},
        used_bytes=used_bytes(session),
        picture_bytes=sum(each.size for each in kept),
        missing_pictures=sum(not (pictures / each.path).is_file() for each in kept),
        damaged_pictures=tuple(each.path for each in kept if is_altered(pictures, each)),
    )


def picture_bytes(session: Session) -> int:
    total = select(func.coalesce(func.sum(ChangeRow.picture_bytes), 0))
    return int(session.scalar(total.where(ChangeRow.picture.is_not(None))) or 0)


def used_bytes(session: Session) -> int:
    pages, free, size = (
        int(session.execute(text(f"PRAGMA {name}")).scalar_one())
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
