"""Replaces files that others depend on: whole or not at all, and as theirs as before."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

__all__ = ["fsync_directory", "replace_file"]


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of the file's contents, or make a new file.

    A reader finds the old or the new contents, whole, also after a power cut. Owner, group and mode
    stay what they were; of a symbolic link the file that it names is replaced.

    Raises:
        OSError: it cannot be done; the old file is as it was.

    """
    real = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _take_after(real, file.fileno())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(real)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    fsync_directory(real.parent)


def _take_after(old: Path, handle: int) -> None:
    try:
        status = old.stat()
    except FileNotFoundError:
        umask = os.umask(0o077)
        os.umask(umask)
        os.fchmod(handle, 0o666 & ~umask)
        return
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(handle, status.st_uid, status.st_gid)
    os.fchmod(handle, status.st_mode & 0o7777)


def fsync_directory(path: Path) -> None:
    """Make the directory's entries durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
