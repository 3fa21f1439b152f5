"""Checks that a database is sound."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from pathlib import Path

from maskwatch.errors import StoreDamagedError, StoreError
from maskwatch.store import checksums
from maskwatch.store.engine import APPLICATION_ID, connect, translate_errors
from maskwatch.store.wal import WalFile

_log = logging.getLogger(__name__)
_OWN_TABLES = {"alembic_version", "violation", "change", "outbox"}
_WAL_READS = 2


def find_damage(path: Path, *, thorough: bool, options: str = "mode=rw") -> str:
    """Return what is wrong with the database at `path`, "" if it is sound (or empty: a new one).

    Args:
        path: an existing file.
        thorough: also compare every index with its table, and every row with its checksum; takes
            about a second per 100 MiB.
        options: how to open it; with `mode=rw` a -wal is applied first.

    Raises:
        StoreBusyError: another program keeps it locked.
        StoreError: it is a sound database of another program, or cannot be read.
    """
    check = "integrity_check" if thorough else "quick_check"
    wal_damage = find_wal_damage(path)
    if wal_damage:
        return wal_damage
    try:
        with translate_errors(path), closing(connect(path, options)) as connection:
            findings = [str(row[0]) for row in connection.execute(f"PRAGMA {check}(5)").fetchall()]
            if findings != ["ok"]:
                return "; ".join(findings)
            altered = checksums.find_altered(connection) if thorough else ""
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            owner = connection.execute("PRAGMA application_id").fetchone()[0]
    except StoreDamagedError as error:
        return str(error.__cause__)
    if tables and owner != APPLICATION_ID:
        if tables >= _OWN_TABLES:
            return "the application id in its header is not that of maskwatch"
        raise StoreError(f"{path} is a database of another program: set another data_dir")
    return altered


def find_wal_damage(path: Path) -> str:
    """Return what is wrong with the -wal of a database, "" if it is sound.

    Another process may write it meanwhile: damage is what remains.
    """
    wal = WalFile(path)
    for _ in range(_WAL_READS if wal.damage else 0):
        time.sleep(0.1)
        again = WalFile(path)
        if again.damage != wal.damage:
            return ""
    if wal.incomplete and not wal.damage:
        _log.warning(
            "the -wal of %s ends in an incomplete transaction: it was not acknowledged, or is damaged",
            path,
        )
    return wal.damage
