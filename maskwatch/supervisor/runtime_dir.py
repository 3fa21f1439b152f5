"""The runtime directory: created if missing, and locked against a second daemon."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from maskwatch.errors import ConfigError, StoreLockedError

# The kernel limits the path of a Unix socket to 108 bytes, the final zero included.
_MAX_PATH = 107 - len("/recorder.sock")


class RuntimeDir:
    """Holds the locked directory until `close`; the lock needs no file, and ends with the process.

    Raises:
        ConfigError: it cannot be created or used; the cause may be temporary.
        StoreLockedError: another daemon holds it.
    """

    def __init__(self, path: Path) -> None:
        if len(os.fsencode(path)) > _MAX_PATH:
            raise ConfigError(f"runtime_dir: {path} exceeds the {_MAX_PATH} bytes that a socket allows")
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(f"runtime_dir: {path} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise StoreLockedError(
                f"another maskwatch daemon runs with the runtime directory {path}; "
                "stop it first, or give this one a runtime_dir and a data_dir of its own"
            ) from None

    def close(self) -> None:
        os.close(self._fd)
