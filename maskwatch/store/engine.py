"""Connections to SQLite: their settings, and the translation of SQLite's errors.

Writers begin every transaction with BEGIN IMMEDIATE, so that they wait for the lock at the start
and never fail in the middle; readers open the file read-only.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from maskwatch.access import explain
from maskwatch.errors import (
    AccessDeniedError,
    DiskFullError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
)
from maskwatch.store import checksums
from maskwatch.store.space import NO_SPACE, find_shortage, shortage
from maskwatch.store.wal import wal_and_shm

APPLICATION_ID = 0x6D736B77  # "mskw": identifies the file in its header

_BUSY_SECONDS = 1.0
_MAX_WAL = 16 << 20  # bytes kept after a checkpoint, for rows on a full disk
_PAGE_CACHE = 512  # KiB: more than a batch needs; memory is stable within minutes instead of hours

# What SQLite reports when it cannot create or grow a file; the last two for any reason.
_SPACE_CODES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}

# What SQLite reports where an owner or mode can be the cause.
_ACCESS_CODES = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}

# sqlite3 cannot decode SQLite's message where it quotes a damaged name.
READ_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)

# What sqlite3 reports for text that is not UTF-8, in a result and as an argument of a function.
_UNREADABLE = ("Could not decode to UTF-8", "user-defined function raised exception")

_INITIAL_PRAGMAS = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # has an effect only before the first table
    f"PRAGMA application_id = {APPLICATION_ID}",
    "PRAGMA journal_mode = WAL",
)


def connect(
    path: Path, options: str = "mode=rw", *, timeout: float = _BUSY_SECONDS
) -> sqlite3.Connection:
    """Open `path` by URI with these options, in autocommit mode."""
    uri = f"file:{quote(str(path.absolute()))}?{options}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    checksums.register(connection)
    return connection


def write_engine(path: Path, *, migration: bool = False, timeout: float = _BUSY_SECONDS) -> Engine:
    """Return a read-write engine; a missing file is created with mode 0600.

    For a `migration`, which rebuilds tables, foreign keys are off and checksums are not maintained.
    `timeout`: seconds to wait for the lock of another program.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def open_connection() -> sqlite3.Connection:
        connection = connect(path, timeout=timeout)
        try:
            _set_up(connection, migration=migration)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    return _engine(open_connection, "BEGIN IMMEDIATE")


def read_engine(path: Path) -> Engine:
    """Return an engine that cannot write, for short reads beside a running daemon."""

    def open_connection() -> sqlite3.Connection:
        connection = connect(path, "mode=ro", timeout=5.0)
        try:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        except sqlite3.OperationalError:
            connection.close()
            if path.with_name(path.name + "-wal").exists():
                raise
            # A read-only directory: without a -wal beside it, the file alone is the whole database.
            return connect(path, "mode=ro&immutable=1")
        return connection

    return _engine(open_connection, "BEGIN")


def _engine(open_connection: Callable[[], sqlite3.Connection], begin: str) -> Engine:
    engine = create_engine(
        "sqlite://",
        creator=open_connection,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=1,
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _set_up(connection: sqlite3.Connection, *, migration: bool) -> None:
    new = connection.execute("PRAGMA schema_version").fetchone()[0] == 0
    for statement in _INITIAL_PRAGMAS if new else _INITIAL_PRAGMAS[2:]:
        connection.execute(statement).fetchall()
    # Otherwise SQLite needs /var/tmp or /tmp, which a read-only root does not have.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA foreign_keys = {'OFF' if migration else 'ON'}")
    connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL}").fetchall()
    connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE}")
    if not migration:
        checksums.maintain(connection)


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Translate SQLite's errors about the database `path` into `StoreError`s.

    Raises:
        DiskFullError: no space for the write.
        StoreBusyError: another program holds the database's lock.
        StoreDamagedError: the file is not a sound database.
        AccessDeniedError: this user may not use the file or its directory.
        StoreError: any other error of SQLite or the file system.
    """
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.IntegrityError) and not is_damage(error.orig):
            raise  # a row that violates a constraint is an error of its sender, not of the store
        raise _translate(path, _original_error(error)) from error
    except sqlite3.Error as error:
        raise _translate(path, error) from error
    except UnicodeDecodeError as error:
        raise StoreDamagedError(f"the database {path} is damaged: {error}") from error
    except BrokenPipeError:
        raise  # the reader of standard output ended; the database is sound
    except OSError as error:
        if lack := shortage(error, path.parent):
            raise DiskFullError(f"cannot write {path}: {lack}") from error
        if reason := _denial(path, write=True):
            raise AccessDeniedError(reason) from None
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def is_damage(error: BaseException | None) -> bool:
    """Return whether a row does not match its checksum, or contains text that is not UTF-8."""
    return any(text in str(error) for text in (checksums.REFUSAL, *_UNREADABLE))


def _original_error(error: BaseException) -> sqlite3.Error | None:
    """Return the first error of SQLite in the chain.

    On a full disk SQLite rolls the transaction back itself; then releasing the savepoint fails too.
    """
    found = None
    at: BaseException | None = error
    while isinstance(at, DBAPIError | sqlite3.Error):
        found = at if isinstance(at, sqlite3.Error) else found
        at = at.__context__
    return found


def _translate(path: Path, error: BaseException | None) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreBusyError(f"another program holds the database {path}: close it")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or is_damage(error):
        return StoreDamagedError(f"the database {path} is damaged: {error}")
    lack = find_shortage(path.parent) if code in _SPACE_CODES else ""
    if lack or code == sqlite3.SQLITE_FULL:
        return DiskFullError(f"cannot write the database {path}: {lack or NO_SPACE}")
    if code in _ACCESS_CODES and (reason := _denial(path, write=code == sqlite3.SQLITE_READONLY)):
        return AccessDeniedError(reason)
    return StoreError(f"the database {path} failed: {error}")


def _denial(path: Path, *, write: bool) -> str:
    """Return why this user may not use a database, its -wal or -shm, or create them; "" if they may."""
    files = (path, *wal_and_shm(path))
    reasons = [*(explain(file, write=write) for file in files), explain(path.parent, write=True)]
    return next(filter(None, reasons), "")
