"""Connections: how SQLite is set up, and what its errors mean to us.

Writers begin every transaction with BEGIN IMMEDIATE, so that they wait for the lock at the start
and never fail in the middle; readers open the file read-only.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from maskwatch.errors import DiskFullError, StoreBusyError, StoreDamagedError, StoreError
from maskwatch.store.data_dir import free_bytes

__all__ = ["APPLICATION_ID", "connect", "read_engine", "translate_errors", "write_engine"]

APPLICATION_ID = 0x6D736B77  # "mskw": marks the file as ours in its header

_BUSY_SECONDS = 1.0
_WAL_KEPT = 16 << 20  # bytes of -wal kept after a checkpoint, for rows on a full disk
_PAGE_CACHE = 512  # KiB: what a batch touches and more; full within minutes, not hours of slow growth
_TIGHT = 1 << 20  # an input/output error with less free than this is a full disk

_SET_UP = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # counts only before the first table
    f"PRAGMA application_id = {APPLICATION_ID}",
    "PRAGMA journal_mode = WAL",
)


def connect(
    path: Path, options: str = "mode=rw", *, timeout: float = _BUSY_SECONDS
) -> sqlite3.Connection:
    """Open `path` by URI with these options, in autocommit mode."""
    uri = f"file:{quote(str(path.absolute()))}?{options}"
    return sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)


def write_engine(path: Path, *, foreign_keys: bool = True, timeout: float = _BUSY_SECONDS) -> Engine:
    """Return the engine of the database's one owner; makes the file (mode 0600) if need be.

    Args:
        path: the database.
        foreign_keys: off for migrations, which rebuild tables.
        timeout: seconds to wait for a stranger's lock.

    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def open_one() -> sqlite3.Connection:
        connection = connect(path, timeout=timeout)
        try:
            _set_up(connection, foreign_keys=foreign_keys)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = _engine(open_one)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def read_engine(path: Path) -> Engine:
    """Return an engine that cannot write, for short reads beside a running daemon."""

    def open_one() -> sqlite3.Connection:
        connection = connect(path, "mode=ro", timeout=5.0)
        try:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        except sqlite3.OperationalError:
            connection.close()
            if path.with_name(path.name + "-wal").exists():
                raise
            # A read-only directory: without a -wal beside it, the file alone is the whole truth.
            return connect(path, "mode=ro&immutable=1")
        return connection

    engine = _engine(open_one)
    event.listen(engine, "begin", _begin)
    return engine


def _engine(open_one: Callable[[], sqlite3.Connection]) -> Engine:
    return create_engine(
        "sqlite://", creator=open_one, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=1
    )


def _set_up(connection: sqlite3.Connection, *, foreign_keys: bool) -> None:
    fresh = connection.execute("PRAGMA schema_version").fetchone()[0] == 0
    for statement in _SET_UP if fresh else _SET_UP[2:]:
        connection.execute(statement).fetchall()
    # Else SQLite keeps a statement's undo log in /var/tmp or /tmp: not there on a read-only root.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}").fetchall()
    connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the database `path` into ours.

    Raises:
        DiskFullError: no space for the write.
        StoreBusyError: another program holds the database's lock.
        StoreDamagedError: the file is not a sound database.
        StoreError: anything else that SQLite could not do.

    """
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.IntegrityError):
            raise  # a row that breaks a constraint: its sender's fault, not the store's
        raise _meaning(path, _first(error)) from error
    except sqlite3.Error as error:
        raise _meaning(path, error) from error
    except BrokenPipeError:
        raise  # who read what we print went away: nothing of the database's
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(f"no space left for {path}") from error
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def _first(error: BaseException) -> sqlite3.Error | None:
    """Return what SQLite said first.

    On a full disk, say, it rolls everything back itself; undoing the savepoint then fails as well.
    """
    found = None
    at: BaseException | None = error
    while isinstance(at, DBAPIError | sqlite3.Error):
        found = at if isinstance(at, sqlite3.Error) else found
        at = at.__context__
    return found


def _meaning(path: Path, error: BaseException | None) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreBusyError(f"another program holds the database {path}: close it")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreDamagedError(f"the database {path} is damaged: {error}")
    if code == sqlite3.SQLITE_FULL or (code in _SHORTAGE and free_bytes(path.parent) < _TIGHT):
        return DiskFullError(f"no space left for the database {path}")
    return StoreError(f"the database {path} failed: {error}")


# What SQLite reports when it cannot make or grow -wal or -shm, for whatever reason.
_SHORTAGE = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
