"""Detects that the file of an open database was removed or replaced."""

from __future__ import annotations

from pathlib import Path

from maskwatch.errors import StoreDisplacedError
from maskwatch.store.integrity import wal_and_shm

__all__ = ["FileIdentity"]

Inode = tuple[int, int] | None
"""Device and inode of a file, None where there is none."""


class FileIdentity:
    """Remembers which files a database's path and its -wal named at the first check.

    SQLite does not detect a removed or replaced file: it continues to write to the open one, which
    is deleted when the process ends.
    """

    def __init__(self, database: Path) -> None:
        self._files = (database, wal_and_shm(database)[0])
        self._inodes: tuple[Inode, ...] | None = None

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


def _inode(file: Path) -> Inode:
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
