"""The open database: transactions, room for them on a full disk, checkpoints and copies."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from maskwatch.errors import DiskFullError, StoreDisplacedError
from maskwatch.files import fsync_directory
from maskwatch.store.backup import copy_database
from maskwatch.store.data_dir import DataDir
from maskwatch.store.engine import translate_errors, write_engine
from maskwatch.store.queries import picture_bytes, used_bytes
from maskwatch.store.reserve import Reserve
from maskwatch.store.space import NO_SPACE, find_shortage
from maskwatch.store.wal import wal_and_shm

_log = logging.getLogger(__name__)

T = TypeVar("T")

_COPY_PAGES = 4096  # copied between two calls of `progress`: well under a second


class Database:
    """A migrated database in a data directory whose lock the caller holds."""

    def __init__(self, data_dir: DataDir, reserve: Reserve, engine: Engine | None = None) -> None:
        """Open it; with a read-only `engine` the lock need not be held."""
        self._data_dir = data_dir
        self._reserve = reserve
        self._engine = engine or write_engine(data_dir.database)
        self._identity = _FileIdentity(data_dir.database) if engine is None else None

    def close(self) -> None:
        """Close it; SQLite then folds the -wal into the database file."""
        self._engine.dispose()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on an error.

        Raises:
            DiskFullError, StoreBusyError, StoreDamagedError, StoreError: the error of SQLite.
            StoreDisplacedError: the database file was removed or replaced while it was open.
        """
        with (
            translate_errors(self._data_dir.database),
            Session(self._engine) as session,
            session.begin(),
        ):
            yield session
            if self._identity:
                self._identity.check()

    def with_room(self, transaction: Callable[[], T]) -> T:
        """Run a transaction; on a full disk make room, at last from the reserve, and run it again.

        Raises:
            DiskFullError: there is no space, not even in the reserve; nothing was written.
        """
        try:
            result = transaction()
        except DiskFullError:
            result = self._with_reserve(transaction)
        if not self._reserve.complete:
            self._try_checkpoint()
        return result

    def _with_reserve(self, transaction: Callable[[], T]) -> T:
        if self._try_checkpoint():
            try:
                return transaction()
            except DiskFullError:
                pass
        self._reserve.report_shortage(find_shortage(self._data_dir.path) or NO_SPACE)
        if not self._reserve.release():
            raise DiskFullError(f"no space left in {self._data_dir.path}, and the reserve is used up")
        _log.error("%s: released the reserve in %s", self._reserve.shortage, self._data_dir.path)
        self._try_checkpoint()
        return transaction()

    def _try_checkpoint(self) -> bool:
        """Make space: after a checkpoint SQLite overwrites the -wal from its start."""
        try:
            return self.checkpoint()
        except DiskFullError:
            return False

    def checkpoint(self, *, truncate: bool = False) -> bool:
        """Fold the -wal into the database; return False if a reader prevents part of it."""
        mode = "TRUNCATE" if truncate else "PASSIVE"
        with self._connection() as connection:
            busy, pages, folded = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return bool(busy == 0 and pages == folded)

    def release_pages(self, max_pages: int) -> int:
        """Return up to `max_pages` free pages to the disk; return how many free pages remain."""
        with self._connection() as connection:
            connection.execute(f"PRAGMA incremental_vacuum({max_pages})").fetchall()
            return int(connection.execute("PRAGMA freelist_count").fetchone()[0])

    def save_copy(self, progress: Callable[[], object]) -> None:
        """Write a copy that the next `open_store` puts in the place of the database.

        For an open database whose file was removed or replaced.

        Raises:
            StoreError: there is no space, or no permission.
        """
        self._data_dir.prepare()
        with self._connection() as connection:
            partial = self._data_dir.partial_repair
            copy_database(connection, partial, pages=_COPY_PAGES, progress=lambda *_: progress())
            partial.rename(self._data_dir.repaired)
            fsync_directory(self._data_dir.path)

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of a query on the raw connection.

        Raises:
            StoreDamagedError, StoreError: the error of SQLite.
        """
        with self._connection() as connection:
            return query(connection)

    def used_bytes(self) -> int:
        with self.session() as session:
            return used_bytes(session)

    def picture_bytes(self) -> int:
        with self.session() as session:
            return picture_bytes(session)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """The raw connection, for statements that cannot run in a transaction."""
        with translate_errors(self._data_dir.database), self._engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            yield raw


class _FileIdentity:
    """Remembers which files a database's path and its -wal named at the first check.

    SQLite does not detect a removed or replaced file: it continues to write to the open one, which
    is deleted when the process ends.
    """

    def __init__(self, database: Path) -> None:
        self._files = (database, wal_and_shm(database)[0])
        self._inodes: tuple[tuple[int, int] | None, ...] | None = None

    def check(self) -> None:
        """Compare with the first check. Call it in a transaction, when the -wal exists.

        Raises:
            StoreDisplacedError: the path names other files now, or none.
        """
        inodes = tuple(_inode(file) for file in self._files)
        if self._inodes is None:
            self._inodes = inodes
        if inodes != self._inodes:
            raise StoreDisplacedError(
                f"the database {self._files[0]} or its -wal was removed or replaced while it was in use"
            )


def _inode(file: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, None where there is none."""
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
