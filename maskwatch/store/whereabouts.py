"""Notices that an open database's files were removed, or others put in their place."""

from __future__ import annotations

from pathlib import Path

from maskwatch.errors import StoreDisplacedError
from maskwatch.store.integrity import companions

__all__ = ["Whereabouts"]

Identity = tuple[int, int] | None
"""Device and inode of a file, None where there is none."""


class Whereabouts:
    """Knows which files a path named when the database was opened.

    SQLite does not mind: it goes on with files that have no name any more, and whose contents end
    with the process.
    """

    def __init__(self, database: Path) -> None:
        self._files = (database, companions(database)[0])
        self._known: tuple[Identity, ...] | None = None

    def check(self) -> None:
        """Compare; the first time, take note. To be called in a transaction: then there is a -wal.

        Raises:
            StoreDisplacedError: the path names other files now, or none.

        """
        found = tuple(_identity(file) for file in self._files)
        if self._known is None:
            self._known = found
        if found != self._known:
            raise StoreDisplacedError(
                f"the database {self._files[0]} or its -wal was removed or replaced while it was in use"
            )


def _identity(file: Path) -> Identity:
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
