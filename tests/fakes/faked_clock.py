"""A wall clock that a test may move, for any number of processes at once; monotonic time goes on.

It is libfaketime's, preloaded, which takes its time from the age of a file: `stat` is a call that even a
worker behind Landlock may make, whereas it could not read libfaketime's own file of times. A fault of
version 0.9.10 is gone round: though told to leave the monotonic clock alone, it takes the moments that
`clock_nanosleep` and `pthread_cond_timedwait` wait for as faked ones. Python's `time.sleep` then fails
with EINVAL, and waits inside native code end too soon or never. So a copy of the library is preloaded
that no longer offers these functions.
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

__all__ = ["FakedClock"]

_LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
_WITHDRAWN = (
    b"clock_nanosleep",
    b"pthread_cond_timedwait",
    b"pthread_cond_init",
    b"pthread_cond_destroy",
)
_SEEN = 15.0  # seconds: a process sees a jump a little later, and judges frames from before it
# Names the shared memory in which libfaketime keeps the moment that all its offsets count from; it is
# removed when this process ends in order, and outlives every daemon that is killed.
_KEEPER = """
import os, sys, time
print(os.environ["FAKETIME_SHARED"], time.time(), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Era:
    """From `since` (true seconds since 1970) on, the clock is ahead by `offset` seconds."""

    since: float
    offset: float


class FakedClock:
    """A context; processes started with `env` have the clock until the end of it.

    Attributes:
        eras: what the clock has been set to so far.
    """

    def __init__(self, folder: Path) -> None:
        self.eras: list[Era] = []
        self._followed = folder / "clock"
        self._library = folder / "libfaketime-without-waits.so"
        self._library.write_bytes(_without(_LIBRARY.read_bytes(), _WITHDRAWN))
        self._followed.touch()

    def __enter__(self) -> Self:
        self._keeper = subprocess.Popen(
            [sys.executable, "-c", _KEEPER],
            env={**os.environ, **self._settings()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C must not keep it from tidying up
        )
        assert self._keeper.stdout is not None
        *shared, told = self._keeper.stdout.readline().split()
        self._shared = b" ".join(shared).decode()
        # It says: the file's time, and what has passed since the moment that all counts from.
        self._origin = int(self._followed.stat().st_mtime) + time.time() - float(told)
        self.jump_to(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeper.communicate()

    @property
    def env(self) -> dict[str, str]:
        """What a process must have in its environment."""
        return {**self._settings(), "FAKETIME_SHARED": self._shared}

    def jump_to(self, offset: float) -> None:
        """Put the clock ahead of the true one by `offset` seconds, or behind; seen within a second."""
        shown = math.ceil(self._origin + offset)  # libfaketime reads whole seconds only
        os.utime(self._followed, (shown, shown))
        self.eras.append(Era(time.time(), shown - self._origin))

    def true_moments(self, shown: float) -> list[float]:
        """Return the true times at which the clock may have shown this (seconds since 1970)."""
        ends = [era.since for era in self.eras[1:]] + [math.inf]
        spans = zip(self.eras, ends, strict=True)
        moments = [(shown - era.offset, era.since, end) for era, end in spans]
        return [at for at, since, end in moments if since - _SEEN <= at <= end + _SEEN]

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
    """Return the library with these functions under names that nobody asks for."""
    for name in names:
        # Only the dynamic symbols' names lie between zeros and are followed by more of them; what the
        # library itself looks up in the C library by the same name must stay.
        at = library.index(b"\0" + name + b"\0")
        library = library[: at + 1] + b"X" + library[at + 2 :]
    return library
