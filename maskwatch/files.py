"""Read a file that somebody names: a regular one, and no more of it than makes sense.

`/dev/zero` has no end, and a named pipe may never begin; neither is what was meant.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

__all__ = ["KIB", "MIB", "fsync_directory", "read_file", "read_json", "replace_file", "require_regular"]


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


T = TypeVar("T")

KIB = 1024
MIB = 1024 * KIB


def read_file(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file of at most `most` bytes. Raises OSError for any other."""
    require_regular(path)
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        limit = f"{most // MIB} MiB" if most >= MIB else f"{most // KIB} KiB"
        raise OSError(errno.EFBIG, f"larger than {limit}", str(path))
    return data


def read_json(path: Path, most: int, kind: type[T]) -> T:
    """Return what a JSON file of at most `most` bytes holds.

    Raises:
        OSError: it cannot be read.
        msgspec.DecodeError: it is no JSON, or (ValidationError) not of that kind.

    """
    data = read_file(path, most)
    try:
        return msgspec.json.decode(data, type=kind)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None


def require_regular(path: Path) -> None:
    """Raise OSError unless `path` is a regular file, or a link to one."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
