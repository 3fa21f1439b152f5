"""Which faults can pass by themselves, so that the same attempt can succeed later.

A file may be on a disk that is not mounted yet, an address on an interface that is not up yet; memory,
processes, descriptors and disk space may be free again. A wrong value stays wrong.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from maskwatch.errors import DiskFullError, MaskwatchError, StoreBusyError, TemporaryError

_FILES = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENODEV, errno.ENXIO,
    errno.ESTALE, errno.EBUSY, errno.ENOTCONN,
}  # fmt: skip
_RESOURCES = {
    errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOBUFS,
    errno.EINTR, errno.ETIMEDOUT,
}  # fmt: skip
_ADDRESSES = {
    errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH,
}  # fmt: skip
_CODES = frozenset(_FILES | _RESOURCES | _ADDRESSES)
_CLASSES = (TemporaryError, StoreBusyError, DiskFullError, MemoryError, socket.gaierror)
_NO_THREAD = "can't start new thread"  # the text of Python's RuntimeError


def is_temporary(error: BaseException | None) -> bool:
    """Return whether `error`, or an error that caused it, can pass by itself."""
    while error is not None:
        if isinstance(error, _CLASSES) or _NO_THREAD in str(error):
            return True
        if isinstance(error, OSError) and error.errno in _CODES:
            return True
        error = error.__cause__
    return False


def exit_code(error: MaskwatchError) -> int:
    """Return the exit code of a process of the daemon that ends with `error`."""
    return TemporaryError.exit_code if is_temporary(error) else error.exit_code


@contextmanager
def raising_temporary() -> Iterator[None]:
    """Turn an error of the system that can pass into a TemporaryError."""
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as error:
        if is_temporary(error):
            raise TemporaryError(f"not possible now: {str(error) or type(error).__name__}") from error
        raise
