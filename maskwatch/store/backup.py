"""Copies the database while it is in use, checks the copy, and restores it.

Only SQLite's backup API copies: a copied file without its -wal is not the database.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

from maskwatch.errors import StoreDamagedError, StoreError
from maskwatch.files import fsync_directory
from maskwatch.store.data_dir import DataDir
from maskwatch.store.engine import connect, read_engine, translate_errors
from maskwatch.store.integrity import find_damage
from maskwatch.store.migrate import check_revision
from maskwatch.store.replacement import finish_repair


def backup(source: Path, target: Path) -> int:
    """Copy the database as of one instant; return the bytes of the copy.

    Writers continue meanwhile. The copy gets its name only when it is complete and checked.

    Raises:
        StoreError: there is no database, the target exists already, or it cannot be written.
        StoreDamagedError: the copy is damaged, because the source is.
    """
    if not source.is_file():
        raise StoreError(f"there is no database at {source}")
    if target.exists():
        raise StoreError(f"{target} exists already: choose another name")
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        _copy(source, temporary)
        damage = find_damage(temporary, thorough=True)
        if damage:
            raise StoreDamagedError(f"the database {source} is damaged: {damage}")
        temporary.rename(target)
        fsync_directory(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(source: Path, target: Path) -> None:
    with translate_errors(source), closing(connect(source, "mode=ro", timeout=10.0)) as connection:
        copy_database(connection, target)


def copy_database(
    source: sqlite3.Connection,
    target: Path,
    *,
    pages: int = -1,
    progress: Callable[[int, int, int], object] | None = None,
) -> None:
    """Copy into a new file of mode 0600, without -wal, and fsync it.

    `progress` is called as `sqlite3.Connection.backup` does, after each `pages` pages (-1: all at
    the end).

    Raises:
        sqlite3.Error: the source cannot be read, or there is no space.
        StoreError: the target cannot be created.
    """
    with translate_errors(target):
        target.unlink(missing_ok=True)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        copy = connect(target)
    with closing(copy):
        source.backup(copy, pages=pages, progress=progress)
        with translate_errors(target):
            # The copied header selects WAL mode, which would need a second file beside the copy.
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
    with translate_errors(target), target.open("rb") as file:
        os.fsync(file.fileno())


def restore(data_dir: DataDir, source: Path, now: datetime) -> Path | None:
    """Replace the database of a directory whose lock the caller holds by a backup.

    An interrupted one leaves the old database, or is finished by the next start. Alerts that were
    pending at the time of the backup are sent again, with the same ids.

    Returns:
        The new path of the replaced database, None if there was none.

    Raises:
        StoreError: the backup is missing, of another program, or from a newer version.
        StoreDamagedError: the backup is damaged.
    """
    check_backup(source)
    finish_repair(data_dir, now)
    temporary = data_dir.path / ".restore.tmp"
    try:
        _copy(source, temporary)
        temporary.rename(data_dir.repaired)
        fsync_directory(data_dir.path)
    finally:
        temporary.unlink(missing_ok=True)
    replaced = finish_repair(data_dir, now, reason="replaced")
    return replaced.kept if replaced else None


def check_backup(source: Path) -> None:
    """Check a backup without a change to the data directory; raises the errors of `restore`."""
    if not source.is_file():
        raise StoreError(f"there is no backup at {source}")
    damage = find_damage(source, thorough=True, options="mode=ro")
    if damage:
        raise StoreDamagedError(f"the backup {source} is damaged: {damage}")
    engine = read_engine(source)
    try:
        with translate_errors(source), engine.connect() as connection:
            if not connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar():
                raise StoreError(f"the backup {source} is empty")
            check_revision(connection, source)
    finally:
        engine.dispose()
