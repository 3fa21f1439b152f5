"""Checks that a database is sound, and moves a damaged one aside."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path

from maskwatch.errors import StoreDamagedError, StoreError
from maskwatch.files import fsync_directory
from maskwatch.store.engine import APPLICATION_ID, connect, translate_errors


def wal_and_shm(path: Path) -> tuple[Path, Path]:
    """Return the -wal and -shm files that belong to a database file."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def find_damage(path: Path, *, thorough: bool, options: str = "mode=rw") -> str:
    """Return what is wrong with the database at `path`, "" if it is sound (or empty: a new one).

    Args:
        path: an existing file.
        thorough: also compare every index with its table; takes about a second per 100 MiB.
        options: how to open it; with `mode=rw` a -wal is applied first.

    Raises:
        StoreBusyError: another program keeps it locked.
        StoreError: it is a sound database of another program, or cannot be read.
    """
    check = "integrity_check" if thorough else "quick_check"
    try:
        with translate_errors(path), closing(connect(path, options)) as connection:
            findings = [str(row[0]) for row in connection.execute(f"PRAGMA {check}(5)").fetchall()]
            if findings != ["ok"]:
                return "; ".join(findings)
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            owner = connection.execute("PRAGMA application_id").fetchone()[0]
    except StoreDamagedError as error:
        return str(error.__cause__)
    if tables and owner != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program: set another data_dir")
    return ""


def move_aside(path: Path, now: datetime, reason: str) -> Path:
    """Rename a database and its -wal and -shm together; return the new path of the database.

    The three names still belong together, so that SQLite can open them. The database itself is
    renamed last: after a kill in between, the next start still finds it damaged.
    """
    target = path.with_name(f"{path.stem}.{reason}-{now:%Y%m%dT%H%M%S}.db")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.stem}.{reason}-{now:%Y%m%dT%H%M%S}-{number}.db")
    for old, new in zip(wal_and_shm(path), wal_and_shm(target), strict=True):
        if old.exists():
            old.rename(new)
    path.rename(target)
    fsync_directory(path.parent)
    return target
