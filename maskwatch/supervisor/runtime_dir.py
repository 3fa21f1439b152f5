"""The runtime directory: created if missing, and locked against a second daemon."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from maskwatch.access import creation_remedy, require_directory, require_replaceable
from maskwatch.errors import AccessDeniedError, ConfigError, StoreLockedError
from maskwatch.ipc.control import CONTROL_SOCKET
from maskwatch.ipc.control_token import TOKEN_FILE

# The kernel limits the path of a Unix socket to 108 bytes, the final zero included.
_MAX_PATH = 107 - len("/recorder.sock")
_OWN_FILES = (CONTROL_SOCKET, TOKEN_FILE, "recorder.sock")


class RuntimeDir:
    """Holds the locked directory until `close`; the lock needs no file, and ends with the process.

    Raises:
        AccessDeniedError: this user may not use it, or replace what a former run left in it.
        ConfigError: it cannot be created or used; the cause may be temporary.
        StoreLockedError: another daemon holds it.
    """

    def __init__(self, path: Path) -> None:
        if len(os.fsencode(path)) > _MAX_PATH:
            raise ConfigError(f"runtime_dir: {path} exceeds the {_MAX_PATH} bytes that a socket allows")
        require_directory(path)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            remedy = f": {creation_remedy(path)}" if error.errno == errno.EACCES else ""
            raise ConfigError(f"runtime_dir: {path} cannot be used: {error.strerror}{remedy}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise StoreLockedError(
                f"another maskwatch daemon runs with the runtime directory {path}; "
                "stop it first, or give this one a runtime_dir and a data_dir of its own"
            ) from None

        try:
            for name in _OWN_FILES:
                require_replaceable(path / name)
        except AccessDeniedError:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._fd)
