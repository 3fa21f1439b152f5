"""Carries over what a damaged database still holds into a new one that takes its place.

The new one is made whole beside the damaged one, which is only read; then the damaged one is moved
aside with its -wal and -shm, and the new one renamed. A kill at any instant loses nothing: either
the damaged one is still in its place, or the finished new one waits to be put there.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from maskwatch.domain import Change, CloseReason
from maskwatch.errors import StoreTooNewError
from maskwatch.files import fsync_directory
from maskwatch.store.data_dir import DataDir
from maskwatch.store.engine import connect, translate_errors, write_engine
from maskwatch.store.integrity import move_aside, wal_and_shm
from maskwatch.store.migrate import head_revision, upgrade
from maskwatch.store.models import (
    AttemptRow,
    Base,
    ChangeRow,
    IncidentRow,
    OutboxRow,
    ViolationRow,
)
from maskwatch.store.outbox import add_delivery
from maskwatch.store.record import update_subject

__all__ = ["Repair", "finish_repair", "repair"]

_log = logging.getLogger(__name__)
_PROBES = 100_000  # single rows looked for between the readable ends of a damaged table
_DOUBTFUL = timedelta(days=1)  # younger changes are sent again if their deliveries are lost


@dataclass(slots=True)
class Repair:
    """What was done.

    Attributes:
        kept: where the damaged file is kept, None if there was none any more.
        rows: how many were carried over, by table; empty if that was not counted.
        losses: tables of which not everything could be read.

    """

    kept: Path | None = None
    rows: dict[str, int] = field(default_factory=dict)
    losses: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        """Return it in words."""
        kept = f"the damaged file is kept as {self.kept}" if self.kept else "no file was there any more"
        rows = ", ".join(f"{count} of {name}" for name, count in self.rows.items() if count) or "nothing"
        losses = f"; rows of {', '.join(sorted(self.losses))} could not be read" if self.losses else ""
        return f"{kept}; carried over: {rows if self.rows else 'all that there was'}{losses}"


def repair(data_dir: DataDir, sinks: Sequence[str], now: datetime) -> Repair:
    """Replace the damaged database of a directory whose lock the caller holds.

    Raises:
        StoreError: the new one cannot be written; the damaged one is still in its place.

    """
    fresh = data_dir.partial_repair
    _remove(fresh)
    done = Repair()
    with translate_errors(fresh):
        _copy_rows(data_dir.database, fresh, done)
    _mend(fresh, sinks, done)
    # Closing it has folded its -wal into it: from here it is one file.
    fresh.rename(data_dir.repaired)
    fsync_directory(data_dir.path)
    finish_repair(data_dir, now, done)
    return done


def finish_repair(data_dir: DataDir, now: datetime, done: Repair | None = None) -> Repair | None:
    """Put a finished new database in its place; return what was done, None if none waits."""
    if not data_dir.repaired.exists():
        return None
    done = done or Repair()
    if data_dir.database.exists():
        done.kept = move_aside(data_dir.database, now, "damaged")
    data_dir.repaired.rename(data_dir.database)
    fsync_directory(data_dir.path)
    return done


def _remove(path: Path) -> None:
    for file in (path, *wal_and_shm(path)):
        file.unlink(missing_ok=True)


# --- reading what can be read -----------------------------------------------------------------------


def _copy_rows(source: Path, fresh: Path, done: Repair) -> None:
    """Copy rows as they are, in the form that the damaged database had."""
    with closing(_open_damaged(source)) as old:
        _make(fresh, _revision(old))
        with closing(connect(fresh)) as new:
            new.execute("PRAGMA foreign_keys = OFF")
            new.execute("BEGIN IMMEDIATE")
            for table in Base.metadata.sorted_tables:
                done.rows[table.name] = _copy_table(old, new, table.name, done)
            new.execute("COMMIT")
    upgrade(fresh)


def _open_damaged(source: Path) -> sqlite3.Connection:
    """Open with the -wal if that makes a readable database, else without."""
    for options in ("mode=ro", "mode=ro&immutable=1"):
        connection = connect(source, options)
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            connection.execute("SELECT name FROM sqlite_master").fetchall()
        except sqlite3.DatabaseError:
            connection.close()
            continue
        return connection
    return sqlite3.connect(":memory:", isolation_level=None)


def _revision(old: sqlite3.Connection) -> str:
    try:
        row = old.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError:
        return head_revision()
    return str(row[0]) if row else head_revision()


def _make(fresh: Path, revision: str) -> None:
    try:
        upgrade(fresh, revision)
    except StoreTooNewError:
        _remove(fresh)
        raise


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str, done: Repair) -> int:
    columns = [str(row[1]) for row in new.execute(f"PRAGMA table_info('{table}')")]
    if not columns:
        return 0  # a table that the form of the damaged database does not have yet
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join("?" for _ in columns)
    insert = f'INSERT OR IGNORE INTO "{table}" ({names}) VALUES ({marks})'  # noqa: S608 - our own table names
    copied = 0
    for row in _rows(old, table, names, done):
        try:
            copied += new.execute(insert, row).rowcount
        except (sqlite3.IntegrityError, OverflowError, UnicodeEncodeError):
            done.losses.add(table)
    return copied


def _rows(old: sqlite3.Connection, table: str, names: str, done: Repair) -> Iterator[tuple[object, ...]]:
    """Yield the rows from the front until one cannot be read, then from the back, then in between."""
    select_all = f'SELECT rowid, {names} FROM "{table}" NOT INDEXED'  # noqa: S608 - our own table names
    front = back = 0
    for row in _until_damage(old, f"{select_all} ORDER BY rowid", done, table):
        front = row[0]
        yield row[1:]
    if table not in done.losses:
        return
    for row in _until_damage(old, f"{select_all} ORDER BY rowid DESC", done, table):
        back = row[0]
        if back <= front:
            return
        yield row[1:]
    for rowid in range(front + 1, min(back, front + _PROBES)):
        for row in _until_damage(old, f"{select_all} WHERE rowid = {rowid}", done, table):
            yield row[1:]


def _until_damage(
    old: sqlite3.Connection, statement: str, done: Repair, table: str
) -> Iterator[tuple[int, *tuple[object, ...]]]:
    try:
        yield from old.execute(statement)
    except sqlite3.DatabaseError as error:
        if "no such table" not in str(error):
            _log.warning("damaged table %s: %s", table, error)
        done.losses.add(table)


# --- making it consistent ---------------------------------------------------------------------------


def _mend(fresh: Path, sinks: Sequence[str], done: Repair) -> None:
    engine = write_engine(fresh, foreign_keys=False)
    try:
        with translate_errors(fresh), Session(engine) as session, session.begin():
            _drop_unreadable(session, done)
            _restate_subjects(session)
            _drop_strays(session)
            if OutboxRow.__tablename__ in done.losses:
                _post_again(session, sinks)
    finally:
        engine.dispose()


def _drop_unreadable(session: Session, done: Repair) -> None:
    """Leave out changes whose contents are no change: they could be neither shown nor sent."""
    for row in session.scalars(select(ChangeRow)).all():
        try:
            body = row.decode()
            readable = isinstance(body, Change) == (row.violation_id is not None)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            readable = False
        if not readable:
            done.losses.add(ChangeRow.__tablename__)
            session.delete(row)
    session.flush()


def _restate_subjects(session: Session) -> None:
    """Make every violation and incident as its newest change says, also those that were lost."""
    for row in session.scalars(select(ChangeRow).order_by(ChangeRow.subject, ChangeRow.number)):
        update_subject(session, row.decode(), "repair")
    changed = exists().where(
        ChangeRow.violation_id == ViolationRow.id, ChangeRow.number == ViolationRow.number
    )
    session.execute(
        update(ViolationRow)
        .where(ViolationRow.ended.is_(None), ~changed)
        .values(ended=ViolationRow.started, close_reason=CloseReason.INTERRUPTED.value)
    )
    known = exists().where(
        ChangeRow.incident_id == IncidentRow.id, ChangeRow.number == IncidentRow.number
    )
    session.execute(
        update(IncidentRow).where(IncidentRow.ended.is_(None), ~known).values(ended=IncidentRow.started)
    )


def _drop_strays(session: Session) -> None:
    changed = exists().where(ChangeRow.id == OutboxRow.change_id)
    session.execute(delete(OutboxRow).where(~changed))
    posted = exists().where(OutboxRow.id == AttemptRow.outbox_id)
    session.execute(delete(AttemptRow).where(~posted))


def _post_again(session: Session, sinks: Sequence[str]) -> None:
    """Send young changes again whose deliveries were lost: twice is better than never."""
    newest = session.scalars(select(ChangeRow).order_by(ChangeRow.received_at.desc()).limit(1)).first()
    if newest is None:
        return
    silenced = exists().where(ViolationRow.id == ChangeRow.violation_id, ViolationRow.silenced)
    for sink in sinks:
        posted = exists().where(OutboxRow.change_id == ChangeRow.id, OutboxRow.sink == sink)
        wanted = select(ChangeRow).where(~posted, ChangeRow.received_at > newest.received_at - _DOUBTFUL)
        wanted = wanted.where(~silenced)
        for change in session.scalars(wanted.order_by(ChangeRow.id)).all():
            add_delivery(session, change, sink, created_at=change.received_at)
