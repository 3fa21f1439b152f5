"""Disk space set aside, and released on a full disk so that rows can still be written."""

from __future__ import annotations

import os

from maskwatch.files import fsync_directory
from maskwatch.store.data_dir import DataDir, free_bytes

_CHUNK = 1 << 20


class Reserve:
    """The reserve file of one data directory.

    It is filled with random bytes: zeros would take no space on a file system that compresses.
    """

    def __init__(self, data_dir: DataDir, size: int) -> None:
        self._file = data_dir.reserve
        self._folder = data_dir.path
        self.target_size = size

    @property
    def size(self) -> int:
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def complete(self) -> bool:
        return self.size >= self.target_size

    def fill(self) -> bool:
        """Set the space aside if twice as much is free; return whether it is complete."""
        if self.size > self.target_size:
            os.truncate(self._file, self.target_size)
        if self.complete:
            return True
        if free_bytes(self._folder) < 2 * self.target_size:
            return False
        return self._write()

    def _write(self) -> bool:
        temporary = self._file.with_suffix(".tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                for start in range(0, self.target_size, _CHUNK):
                    file.write(os.urandom(min(_CHUNK, self.target_size - start)))
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self._file)
        except OSError:
            temporary.unlink(missing_ok=True)
            return False
        fsync_directory(self._folder)
        return True

    def release(self) -> bool:
        """Free the space; return whether any was set aside."""
        if self.size == 0:
            return False
        self._file.unlink()
        fsync_directory(self._folder)
        return True
