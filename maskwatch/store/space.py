"""Free space of a file system, and which resource a failed write lacked: bytes, inodes or a quota."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

_SHORTAGES = {errno.ENOSPC, errno.EDQUOT}
_PROBE = 1 << 20  # bytes; with less than this, an input/output error of SQLite means a full disk

NO_SPACE = "no space is left on the disk"
_NO_INODES = "no inodes are left on the disk (too many files)"
_QUOTA = "the disk quota of this user is used up"


def free_bytes(path: Path) -> int:
    """Return the bytes an ordinary user may still write to the file system of `path`."""
    stats = os.statvfs(path)
    return stats.f_bavail * stats.f_frsize


def free_inodes(path: Path) -> int | None:
    """Return how many files an ordinary user may still create, None if the number is not limited."""
    stats = os.statvfs(path)
    return stats.f_favail if stats.f_files else None


def total_inodes(path: Path) -> int:
    """Return the number of inodes of the file system, 0 if it is not limited."""
    return os.statvfs(path).f_files


def shortage(error: OSError, folder: Path) -> str:
    """Return what a failed write in `folder` lacked, "" if it failed for another reason."""
    if error.errno not in _SHORTAGES:
        return ""
    if error.errno == errno.EDQUOT:
        return _QUOTA
    return _NO_INODES if free_inodes(folder) == 0 else NO_SPACE


def find_shortage(folder: Path, size: int = _PROBE) -> str:
    """Return what a new file of `size` bytes in `folder` lacks, "" if it can be written.

    A quota does not appear in the figures of the file system, and SQLite does not report errno.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        return shortage(error, folder)
    return ""
