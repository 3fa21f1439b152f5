"""A wall clock that a test moves for any number of processes; monotonic time is not affected.

libfaketime is preloaded and takes its time from the age of a file: a worker behind Landlock may call
`stat`, but could not read libfaketime's own file of times. Version 0.9.10 has a bug: with
FAKETIME_DONT_FAKE_MONOTONIC, it still treats the deadlines of `clock_nanosleep` and
`pthread_cond_timedwait` as faked times. Python's `time.sleep` then fails with EINVAL, and waits in
native code end too early or never. Therefore the preloaded copy of the library does not export these
functions.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
_NOT_EXPORTED = (
    b"clock_nanosleep",
    b"pthread_cond_timedwait",
    b"pthread_cond_init",
    b"pthread_cond_destroy",
)
_DELAY = 15.0  # seconds after a jump in which a process may still use the previous time
# Owns the shared memory with the moment that all of libfaketime's offsets count from: it must outlive
# every daemon that is killed, and is removed when this process exits.
_OWNER_SCRIPT = """
import os, sys, time
print(os.environ["FAKETIME_SHARED"], time.time(), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Era:
    """From `since` (true seconds since 1970), the clock is ahead by `offset` seconds."""

    since: float
    offset: float


class FakedClock:
    """A context manager; processes started with `env` have the clock until its end.

    Attributes:
        eras: the offsets that the clock has had so far.
    """

    def __init__(self, folder: Path) -> None:
        self.eras: list[Era] = []
        self._followed = folder / "clock"
        self._library = folder / "libfaketime-without-waits.so"
        self._library.write_bytes(_without(_LIBRARY.read_bytes(), _NOT_EXPORTED))
        self._followed.touch()

    def __enter__(self) -> Self:
        self._owner = subprocess.Popen(
            [sys.executable, "-c", _OWNER_SCRIPT],
            env={**os.environ, **self._settings()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C does not prevent the removal
        )
        assert self._owner.stdout is not None
        *shared, reported = self._owner.stdout.readline().split()
        self._shared = b" ".join(shared).decode()
        # The reported time is the file's time plus the time since that moment.
        self._origin = int(self._followed.stat().st_mtime) + time.time() - float(reported)
        self.jump_to(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._owner.communicate()

    @property
    def env(self) -> dict[str, str]:
        """The environment variables of a process with this clock."""
        return {**self._settings(), "FAKETIME_SHARED": self._shared}

    def jump_to(self, offset: float) -> None:
        """Set the clock ahead by `offset` seconds; processes see it within a second."""
        shown = math.ceil(self._origin + offset)  # libfaketime reads whole seconds only
        os.utime(self._followed, (shown, shown))
        self.eras.append(Era(time.time(), shown - self._origin))

    def true_moments(self, shown: float) -> list[float]:
        """Return the true times at which the clock may have shown `shown` (seconds since 1970)."""
        ends = [era.since for era in self.eras[1:]] + [math.inf]
        spans = zip(self.eras, ends, strict=True)
        moments = [(shown - era.offset, era.since, end) for era, end in spans]
        return [at for at, since, end in moments if since - _DELAY <= at <= end + _DELAY]

    def _settings(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME": "%",
            "FAKETIME_FOLLOW_FILE": str(self._followed),
            "FAKETIME_DONT_RESET": "1",
            "FAKETIME_CACHE_DURATION": "0",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


def _without(library: bytes, names: tuple[bytes, ...]) -> bytes:
    """Return the library with these functions under unused names."""
    for name in names:
        # The first name between zero bytes is the exported symbol. A later one is the name that the
        # library itself looks up in the C library, which must stay.
        at = library.index(b"\0" + name + b"\0")
        library = library[: at + 1] + b"X" + library[at + 2 :]
    return library
