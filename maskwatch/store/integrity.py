"""Checks that a database is sound."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from maskwatch.errors import StoreDamagedError, StoreError
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
