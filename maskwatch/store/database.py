"""The database as its one owner sees it: each method is one transaction, durable when it returns."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.orm import Session

from maskwatch.clock import Clock
from maskwatch.domain import Change, Incident, OccupancyMinute, Snooze
from maskwatch.errors import DiskFullError
from maskwatch.files import fsync_directory
from maskwatch.store import statements as snoozes
from maskwatch.store.backup import copy
from maskwatch.store.engine import translated, write_engine
from maskwatch.store.files import DataDir
from maskwatch.store.integrity import FileIdentity
from maskwatch.store.models import ChangeRow, IncidentRow, ViolationRow
from maskwatch.store.outbox import (
    Backlog,
    DeliveryResult,
    PendingDelivery,
    backlog,
    earlier_pending,
    settle,
    waiting,
)
from maskwatch.store.pictures import StoredPicture, write_picture
from maskwatch.store.queries import used_bytes
from maskwatch.store.record import Entry, Receipt, decode_body, find_change, record_change, subject_id
from maskwatch.store.reserve import Reserve
from maskwatch.store.statements import (
    Acknowledged,
    OpenViolation,
    acknowledge,
    count_minutes,
    newest_minutes,
    open_changes,
    open_incidents,
    unacknowledged,
)
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

__all__ = ["Store"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_PAGES_AT_A_TIME = 4096  # copied between two signs of life: well under a second


class Store:
    """A migrated database in a data directory whose lock the caller holds; see `opening`."""

    def __init__(
        self,
        place: DataDir,
        *,
        sinks: Sequence[str],
        reserve: Reserve,
        clock: Clock,
        meter: Meter,
        engine: Engine | None = None,
    ) -> None:
        """Open it; with an `engine` of its own (one that only reads) the lock need not be held."""
        self.place = place
        self.sinks = tuple(sinks)
        self.reserve = reserve
        self._clock = clock
        self._meter = meter
        self._engine = engine or write_engine(place.database)
        self._whereabouts = FileIdentity(place.database) if engine is None else None

    def close(self) -> None:
        """Close the database; SQLite then folds the -wal into it."""
        self._engine.dispose()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on an error.

        Raises:
            DiskFullError, StoreBusyError, StoreDamagedError, StoreError: as SQLite says.
            StoreDisplacedError: it would go into a file that has lost its name; see `salvage.put_back`.

        """
        with translated(self.place.database), Session(self._engine) as session, session.begin():
            yield session
            if self._whereabouts:
                self._whereabouts.check()

    # --- recording ------------------------------------------------------------------------------

    def record(self, entries: Sequence[Entry], minutes: Sequence[OccupancyMinute] = ()) -> list[Receipt]:
        """Store changes and counts in one transaction; return what became of each change.

        When this returns, pictures, rows and deliveries are on disk.

        Raises:
            DiskFullError: there is no space, not even in the reserve; nothing was stored.
            StoreBusyError, StoreDamagedError, StoreError: nothing was stored.

        """
        started = self._clock.monotonic()
        receipts = self._with_room(lambda: self._record(entries, minutes))
        elapsed = self._clock.monotonic() - started
        bounds = catalogue.METRICS[catalogue.COMMIT_SECONDS].buckets
        self._meter.observe(catalogue.COMMIT_SECONDS, elapsed, bounds)
        return receipts

    def _with_room(self, work: Callable[[], T]) -> T:
        """Do a transaction; when the disk is full make room and do it again."""
        try:
            done = work()
        except DiskFullError:
            done = self._with_reserve(work)
        if not self.reserve.whole:
            self._fold_wal()
        return done

    def _with_reserve(self, work: Callable[[], T]) -> T:
        if self._fold_wal():
            try:
                return work()
            except DiskFullError:
                pass
        if not self.reserve.give_up():
            raise DiskFullError(f"no space left in {self.place.path}, nor in the reserve")
        _log.error("the disk is full: the reserve in %s is given up", self.place.path)
        self._fold_wal()
        return work()

    def _fold_wal(self) -> bool:
        """Make space: once folded, the -wal is written anew from its start, in the space it has."""
        try:
            return self.checkpoint()
        except DiskFullError:
            return False

    def _record(self, entries: Sequence[Entry], minutes: Sequence[OccupancyMinute]) -> list[Receipt]:
        now = self._clock.now()
        with self.session() as session:
            receipts = [self._record_one(session, entry, now) for entry in entries]
            count_minutes(session, minutes)
        return receipts

    def _record_one(self, session: Session, entry: Entry, now: datetime) -> Receipt:
        found = find_change(session, subject_id(entry.subject), entry.subject.number)
        if found is not None:
            return Receipt.REPEATED if decode_body(found) == entry.subject else Receipt.CONFLICT
        picture = self._picture(entry)
        savepoint = session.begin_nested()
        try:
            record_change(session, entry, picture, self.sinks, now)
        except (StatementError, ValueError, OverflowError) as error:
            savepoint.rollback()
            if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError):
                raise
            _log.error("change %s of %s refused: %s", entry.subject.number, entry.owner, error)
            return Receipt.REFUSED
        savepoint.commit()
        return Receipt.STORED

    def _picture(self, entry: Entry) -> StoredPicture | None:
        """Write the picture; without space or right to do so the change stands without it."""
        change = entry.subject
        if entry.picture is None or not isinstance(change, Change):
            return None
        if not self.reserve.whole:
            self._meter.add(catalogue.PICTURES, {"fate": "failed"})
            return None
        try:
            stored = write_picture(
                self.place.pictures, change.violation.id, change.number, change.at, entry.picture
            )
        except (OSError, ValueError, OverflowError) as error:
            _log.error("picture of violation %s not written: %s", change.violation.id, error)
            self._meter.add(catalogue.PICTURES, {"fate": "failed"})
            return None
        self._meter.add(catalogue.PICTURES, {"fate": "written"})
        return stored

    def acknowledge(self, violation: UUID, who: str) -> Acknowledged | None:
        """Note that somebody took note; return who did so first, None for an unknown violation."""
        with self.session() as session:
            return acknowledge(session, violation, who, self._clock.now())

    def acknowledged_open(self) -> list[UUID]:
        """Return the violations that are open and that somebody took note of."""
        noted = (ViolationRow.ended.is_(None), ViolationRow.acknowledged_at.is_not(None))
        with self.session() as session:
            return list(session.scalars(select(ViolationRow.id).where(*noted)))

    def unacknowledged(self, since: datetime) -> list[Change]:
        """Return first changes of violations begun `since` that nobody took note of; see `upkeep`."""
        with self.session() as session:
            return unacknowledged(session, since)

    # --- snoozes --------------------------------------------------------------------------------

    def snoozes(self) -> list[Snooze]:
        """Return every snooze that was begun and not ended."""
        with self.session() as session:
            return snoozes.running(session)

    def settled(self) -> list[OpenViolation]:
        """Return every open violation, with whether nobody is told of it."""
        with self.session() as session:
            return snoozes.settled(session)

    def snooze(self, snooze: Snooze) -> None:
        """Note a snooze; see `maskwatch.recorder.snoozes`."""
        with self.session() as session:
            snoozes.begin(session, snooze)

    def end_snooze(self, camera: str) -> None:
        """Forget a camera's snooze, and have what is still open told from its first change on."""
        self._with_room(lambda: self._end_snooze(camera))

    def _end_snooze(self, camera: str) -> None:
        with self.session() as session:
            snoozes.end(session, camera, self.sinks, self._clock.now())

    # --- what stands ----------------------------------------------------------------------------

    def open_changes(self, *where: ColumnElement[bool]) -> list[Change]:
        """Return the newest change of every open violation that meets the conditions."""
        with self.session() as session:
            return open_changes(session, *where)

    def open_incidents(self, *where: ColumnElement[bool]) -> list[Incident]:
        """Return every incident that has not ended and meets the conditions."""
        with self.session() as session:
            return open_incidents(session, *where)

    def left_open(self, run: str) -> tuple[list[Change], list[Incident]]:
        """Return what runs other than `run` left open."""
        prefix = f"{run}/"
        return (
            self.open_changes(~ViolationRow.owner.startswith(prefix, autoescape=True)),
            self.open_incidents(~IncidentRow.owner.startswith(prefix, autoescape=True)),
        )

    def newest_minutes(self, cameras: Collection[str]) -> dict[str, OccupancyMinute]:
        """Return each camera's newest counted minute."""
        with self.session() as session:
            return newest_minutes(session, cameras)

    def newest(self) -> datetime | None:
        """Return when the newest change was stored."""
        with self.session() as session:
            return session.scalar(select(ChangeRow.stored_at).order_by(ChangeRow.id.desc()).limit(1))

    # --- outbox ---------------------------------------------------------------------------------

    def waiting(self, sink: str, limit: int) -> Sequence[PendingDelivery]:
        """Return deliveries that may go now, oldest first."""
        with self.session() as session:
            return waiting(session, sink, limit)

    def earlier_pending(self, sink: str, subject: UUID, number: int) -> bool:
        """Return whether an earlier change of the subject still waits for this sink."""
        with self.session() as session:
            return earlier_pending(session, sink, subject, number)

    def settle(self, results: Sequence[DeliveryResult]) -> None:
        """Write the ends of attempts.

        Raises:
            DiskFullError, StoreBusyError, StoreDamagedError, StoreError: nothing was written.

        """
        self._with_room(lambda: self._settle(results))

    def _settle(self, results: Sequence[DeliveryResult]) -> None:
        with self.session() as session:
            settle(session, results)

    def backlog(self, sink: str) -> Backlog:
        """Return how the sink stands."""
        with self.session() as session:
            return backlog(session, sink)

    # --- space ----------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        """Return the bytes of the database's pages that hold something."""
        with self.session() as session:
            return used_bytes(session)

    def picture_bytes(self) -> int:
        """Return the bytes of the pictures that rows refer to."""
        with self.session() as session:
            wanted = select(func.coalesce(func.sum(ChangeRow.picture_bytes), 0))
            return int(session.scalar(wanted.where(ChangeRow.picture.is_not(None))) or 0)

    def checkpoint(self, *, truncate: bool = False) -> bool:
        """Fold the -wal into the database; return False if readers kept part of it back."""
        mode = "TRUNCATE" if truncate else "PASSIVE"
        with self._raw() as connection:
            busy, pages, folded = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return bool(busy == 0 and pages == folded)

    def put_by(self, progress: Callable[[], object]) -> None:
        """Lay a copy where `open_store` finds it and takes it for the database.

        For an open database whose file has no name any more.

        Raises:
            StoreError: there is no space, or no right to do so.

        """
        self.place.prepare()
        with self._raw() as connection:
            unfinished = self.place.unfinished
            copy(connection, unfinished, pages=_PAGES_AT_A_TIME, progress=lambda *_: progress())
            unfinished.rename(self.place.repaired)
            fsync_directory(self.place.path)

    def give_back(self, pages: int) -> int:
        """Return up to so many freed pages to the disk; return how many are left."""
        with self._raw() as connection:
            connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
            return int(connection.execute("PRAGMA freelist_count").fetchone()[0])

    @contextmanager
    def _raw(self) -> Iterator[sqlite3.Connection]:
        """The connection itself, outside any transaction, for statements that need that."""
        with translated(self.place.database), self._engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            yield raw

    def picture_path(self, relative: str | None) -> Path | None:
        """Return where a picture lies."""
        return None if relative is None else self.place.pictures / relative
