"""Disk space and inodes set aside, and released on a full disk so that rows can still be written."""

from __future__ import annotations

import os
from pathlib import Path

from maskwatch.files import fsync_directory
from maskwatch.store.data_dir import DataDir
from maskwatch.store.space import find_shortage, free_bytes, shortage

_CHUNK = 1 << 20
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Reserve:
    """The reserve file of one data directory, and spare files, which hold inodes.

    It is filled with random bytes: zeros would take no space on a file system that compresses.

    Attributes:
        target_size: the bytes to set aside; 0 for no reserve.
        shortage: what a write lacked, "" since there is room again; the reserve may be untouched.
    """

    def __init__(self, data_dir: DataDir, size: int) -> None:
        self._file = data_dir.reserve
        self._spare_files = data_dir.spare_files
        self._folder = data_dir.path
        self.target_size = size
        self.shortage = ""
        self._reported = ""  # the last shortage that `take_shortage` has not returned

    @property
    def size(self) -> int:
        try:
            return self._file.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def complete(self) -> bool:
        """Whether everything is set aside and nothing has run out since."""
        return not self.shortage and self._set_aside

    @property
    def _set_aside(self) -> bool:
        spare = not self.target_size or all(file.exists() for file in self._spare_files)
        return spare and self.size >= self.target_size

    def report_shortage(self, shortage: str) -> None:
        """Note what a write lacked: the reserve is incomplete until `fill` succeeds."""
        self.shortage = self._reported = shortage

    def take_shortage(self) -> str:
        """Return what writes lack, or lacked since the last call although there is room again."""
        taken = self.shortage or self._reported
        self._reported = ""
        return taken

    def fill(self) -> bool:
        """Set the space aside if twice as much is free; return whether it is complete."""
        if self.size > self.target_size:
            os.truncate(self._file, self.target_size)
        if self.complete:
            return True
        missing = self.size < self.target_size
        needed = 2 * self.target_size if missing else self.target_size
        if free_bytes(self._folder) < needed or not self._write(missing=missing):
            return False
        # The probe also finds a quota, which the figures of the file system do not contain.
        self.shortage = self.shortage and find_shortage(self._folder)
        return self.complete

    def _write(self, *, missing: bool) -> bool:
        temporary = self._file.with_suffix(".tmp")
        try:
            if missing:
                self._write_random_bytes(temporary)
            for file in self._spare_files if self.target_size else ():
                os.close(os.open(file, _NEW_FILE, 0o600))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            self.shortage = shortage(error, self._folder)
            return False
        fsync_directory(self._folder)
        return True

    def _write_random_bytes(self, temporary: Path) -> None:
        with os.fdopen(os.open(temporary, _NEW_FILE, 0o600), "wb") as file:
            for start in range(0, self.target_size, _CHUNK):
                file.write(os.urandom(min(_CHUNK, self.target_size - start)))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._file)

    def release(self) -> bool:
        """Free the space and the inodes; return whether any were set aside."""
        files = [file for file in (self._file, *self._spare_files) if file.exists()]
        for file in files:
            file.unlink()
        if files:
            fsync_directory(self._folder)
        return bool(files)
