"""Gives memory that is free back to the system.

By itself glibc gives back only what lies above everything in use. A worker's pictures of some
megabytes come and go while small things stay between them, and its memory would grow in steps for
hours. To have each picture mapped alone (M_MMAP_THRESHOLD) costs a seventh more processor time at
1080p; to let go once a minute costs next to nothing (malloc_trim(3); `make soak`).
"""

from __future__ import annotations

import ctypes
from typing import Final

from maskwatch.clock import Clock

__all__ = ["MallocTrim"]

_EVERY: Final = 60.0  # seconds


class MallocTrim:
    """Lets go of free memory once a minute. Does nothing where the C library cannot (musl)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = clock.monotonic() + _EVERY
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

    def tidy(self) -> None:
        """Let go if it is time; to be called between two frames, takes a few milliseconds then."""
        now = self._clock.monotonic()
        if self._trim is not None and now >= self._due:
            self._due = now + _EVERY
            self._trim(0)
