"""Replaces a damaged database by a new one with all rows that can still be read.

The new one is completed beside the damaged one, which is only read; then the damaged one is moved
aside with its -wal and -shm, and the new one renamed. A kill at any instant loses nothing: either
the damaged one is still in its place, or the next start puts the completed new one there.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from maskwatch.domain import Change, CloseReason
from maskwatch.errors import StoreTooNewError
from maskwatch.files import fsync_directory
from maskwatch.store import checksums
from maskwatch.store.data_dir import DataDir
from maskwatch.store.engine import READ_ERRORS, connect, translate_errors, write_engine
from maskwatch.store.migrate import head_revision, upgrade
from maskwatch.store.models import AttemptRow, Base, ChangeRow, IncidentRow, OutboxRow, ViolationRow
from maskwatch.store.outbox import add_delivery
from maskwatch.store.record import update_subject
from maskwatch.store.replacement import Repair, finish_repair
from maskwatch.store.wal import WalFile, wal_and_shm

_log = logging.getLogger(__name__)
_MAX_PROBES = 100_000  # single rows read between the readable ends of a damaged table
_IDENTIFYING = {"id", "subject", "number", "outbox_id", "camera", "zone", "minute"}
_RESENT_AGE = timedelta(days=1)  # younger changes are sent again if their deliveries are lost


def repair(data_dir: DataDir, sinks: Sequence[str], now: datetime) -> Repair:
    """Replace the damaged database of a directory whose lock the caller holds.

    Raises:
        StoreError: the new one cannot be written; the damaged one is still in its place.
    """
    new_path = data_dir.partial_repair
    _remove(new_path)
    repaired = Repair()
    with translate_errors(new_path):
        _copy_rows(data_dir.database, new_path, repaired)
    _make_consistent(new_path, sinks, repaired)
    # Closing it has folded its -wal into it: it is one file now.
    new_path.rename(data_dir.repaired)
    fsync_directory(data_dir.path)
    finish_repair(data_dir, now, repaired)
    return repaired


def _remove(path: Path) -> None:
    for file in (path, *wal_and_shm(path)):
        file.unlink(missing_ok=True)


# --- copying readable rows -----------------------------------------------------------------------


def _copy_rows(source: Path, new_path: Path, repaired: Repair) -> None:
    """Copy the readable rows in the schema of the damaged database, then migrate them."""
    with _readable(source) as path, closing(_open_damaged(path)) as old:
        _create(new_path, _revision(old))
        with closing(connect(new_path)) as new:
            new.execute("PRAGMA foreign_keys = OFF")
            new.execute("BEGIN IMMEDIATE")
            for table in Base.metadata.sorted_tables:
                repaired.rows[table.name] = _copy_table(old, new, table.name, repaired)
            new.execute("COMMIT")
    upgrade(new_path)


@contextmanager
def _readable(source: Path) -> Iterator[Path]:
    """Give a damaged -wal to SQLite as if it were sound, under another name of the database."""
    wal = WalFile(source)
    if not wal.damage:
        yield source
        return
    linked = source.with_name(f"{source.stem}.salvage.db")
    _remove(linked)
    try:
        os.link(source, linked)
        wal.write_applicable(wal_and_shm(linked)[0])
        yield linked
    finally:
        _remove(linked)


def _open_damaged(source: Path) -> sqlite3.Connection:
    """Open it with its -wal if that is readable, else without."""
    for options in ("mode=ro", "mode=ro&immutable=1"):
        connection = connect(source, options)
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            connection.execute("SELECT name FROM sqlite_master").fetchall()
        except READ_ERRORS:
            connection.close()
            continue
        return connection
    return sqlite3.connect(":memory:", isolation_level=None)


def _revision(old: sqlite3.Connection) -> str:
    try:
        row = old.execute("SELECT version_num FROM alembic_version").fetchone()
    except READ_ERRORS:
        return head_revision()
    return str(row[0]) if row else head_revision()


def _create(new_path: Path, revision: str) -> None:
    try:
        upgrade(new_path, revision)
    except StoreTooNewError:
        _remove(new_path)
        raise


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str, repaired: Repair) -> int:
    columns = [str(row[1]) for row in new.execute(f"PRAGMA table_info('{table}')")]
    if not columns:
        return 0  # a table that is newer than the damaged database
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join("?" for _ in columns)
    insert = f'INSERT OR IGNORE INTO "{table}" ({names}) VALUES ({marks})'  # noqa: S608 - constant table names
    copied = 0
    for row in _rows(old, table, names, repaired):
        if not _is_sound(columns, row):
            _log.error("a damaged row of %s is not copied: %s", table, _identity(columns, row))
            repaired.losses.add(table)
            continue
        try:
            copied += new.execute(insert, row).rowcount
        except (sqlite3.IntegrityError, OverflowError, UnicodeEncodeError):
            repaired.losses.add(table)
    return copied


def _is_sound(columns: Sequence[str], row: Sequence[object]) -> bool:
    """Return whether a row matches its checksum; without one, of an earlier version, it does."""
    values = dict(zip(columns, row, strict=True))
    if checksums.COLUMN not in values:
        return True
    stored = values.pop(checksums.COLUMN)
    return stored == checksums.row_checksum(*(values[name] for name in sorted(values)))


def _identity(columns: Sequence[str], row: Sequence[object]) -> str:
    """Return the columns that identify a row, of which one may be what is damaged."""
    pairs = zip(columns, row, strict=True)
    return ", ".join(f"{name}={value}" for name, value in pairs if name in _IDENTIFYING)


def _rows(
    old: sqlite3.Connection, table: str, names: str, repaired: Repair
) -> Iterator[tuple[object, ...]]:
    """Yield rows from the front until one cannot be read, then from the back, then in between."""
    select_all = f'SELECT rowid, {names} FROM "{table}" NOT INDEXED'  # noqa: S608 - constant table names
    front = back = 0
    for row in _until_damage(old, f"{select_all} ORDER BY rowid", repaired, table):
        front = row[0]
        yield row[1:]
    if table not in repaired.losses:
        return
    for row in _until_damage(old, f"{select_all} ORDER BY rowid DESC", repaired, table):
        back = row[0]
        if back <= front:
            return
        yield row[1:]
    for rowid in range(front + 1, min(back, front + _MAX_PROBES)):
        for row in _until_damage(old, f"{select_all} WHERE rowid = {rowid}", repaired, table):
            yield row[1:]


def _until_damage(
    old: sqlite3.Connection, statement: str, repaired: Repair, table: str
) -> Iterator[tuple[int, *tuple[object, ...]]]:
    try:
        yield from old.execute(statement)
    except READ_ERRORS as error:
        if "no such table" not in str(error):
            _log.warning("damaged table %s: %s", table, error)
        repaired.losses.add(table)


# --- making the copy consistent ---------------------------------------------------------------------


def _make_consistent(new_path: Path, sinks: Sequence[str], repaired: Repair) -> None:
    engine = write_engine(new_path)
    try:
        with translate_errors(new_path), Session(engine) as session, session.begin():
            _drop_unreadable(session, repaired)
            _update_subjects(session)
            _drop_dangling(session)
            if OutboxRow.__tablename__ in repaired.losses:
                _deliver_again(session, sinks)
    finally:
        engine.dispose()


def _drop_unreadable(session: Session, repaired: Repair) -> None:
    """Delete changes that cannot be decoded: they could be neither shown nor delivered."""
    for row in session.scalars(select(ChangeRow)).all():
        try:
            body = row.decode()
            readable = isinstance(body, Change) == (row.violation_id is not None)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            readable = False
        if not readable:
            repaired.losses.add(ChangeRow.__tablename__)
            session.delete(row)
    session.flush()


def _update_subjects(session: Session) -> None:
    """Update every violation and incident to its newest change, also those that were lost."""
    for row in session.scalars(select(ChangeRow).order_by(ChangeRow.subject, ChangeRow.number)):
        update_subject(session, row.decode(), "repair")
    current_violation = exists().where(
        ChangeRow.violation_id == ViolationRow.id, ChangeRow.number == ViolationRow.number
    )
    session.execute(
        update(ViolationRow)
        .where(ViolationRow.ended.is_(None), ~current_violation)
        .values(ended=ViolationRow.started, close_reason=CloseReason.INTERRUPTED.value)
    )
    current_incident = exists().where(
        ChangeRow.incident_id == IncidentRow.id, ChangeRow.number == IncidentRow.number
    )
    session.execute(
        update(IncidentRow)
        .where(IncidentRow.ended.is_(None), ~current_incident)
        .values(ended=IncidentRow.started)
    )


def _drop_dangling(session: Session) -> None:
    changed = exists().where(ChangeRow.id == OutboxRow.change_id)
    session.execute(delete(OutboxRow).where(~changed))
    delivery = exists().where(OutboxRow.id == AttemptRow.outbox_id)
    session.execute(delete(AttemptRow).where(~delivery))


def _deliver_again(session: Session, sinks: Sequence[str]) -> None:
    """Deliver young changes whose deliveries were lost: a repeated alert beats a lost one."""
    newest = session.scalars(select(ChangeRow).order_by(ChangeRow.received_at.desc()).limit(1)).first()
    if newest is None:
        return
    silenced = exists().where(ViolationRow.id == ChangeRow.violation_id, ViolationRow.silenced)
    for sink in sinks:
        delivery = exists().where(OutboxRow.change_id == ChangeRow.id, OutboxRow.sink == sink)
        young = select(ChangeRow).where(
            ~delivery, ChangeRow.received_at > newest.received_at - _RESENT_AGE
        )
        young = young.where(~silenced)
        for change in session.scalars(young.order_by(ChangeRow.id)).all():
            add_delivery(session, change, sink, created_at=change.received_at)
