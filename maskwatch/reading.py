"""Read a file that somebody names: a regular one, and no more of it than makes sense.

`/dev/zero` has no end, and a named pipe may never begin; neither is what was meant.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TypeVar

import msgspec

__all__ = ["KIB", "MIB", "read_file", "read_json", "require_regular"]

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
