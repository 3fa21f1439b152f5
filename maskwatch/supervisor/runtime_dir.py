"""The runtime directory: made if need be, and one daemon's alone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from maskwatch.errors import ConfigError, StoreLockedError

__all__ = ["RuntimeDir"]

# The kernel's limit for the path of a Unix socket is 108 bytes with its end.
_LONGEST = 107 - len("/recorder.sock")


class RuntimeDir:
    """Holds the directory, locked, until `close`; the lock needs no file and outlives no process.

    Raises:
        ConfigError: it cannot be made or used.
        StoreLockedError: another daemon holds it.

    """

    def __init__(self, path: Path) -> None:
        if len(os.fsencode(path)) > _LONGEST:
            raise ConfigError(f"runtime_dir: {path} is longer than the {_LONGEST} bytes a socket allows")
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(f"runtime_dir: {path} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise StoreLockedError(
                f"another maskwatch daemon runs with the runtime directory {path}; "
                "stop it first, or give this one a runtime_dir and a data_dir of its own"
            ) from None

    def close(self) -> None:
        """Let another daemon have it."""
        os.close(self._fd)
