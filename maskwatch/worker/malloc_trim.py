"""Returns free memory of the C library's heap to the system.

By itself glibc returns only what lies above everything in use. A worker's pictures of some megabytes
come and go while small objects stay between them, and its memory would grow in steps for hours. To map
each picture alone (M_MMAP_THRESHOLD) costs a seventh more processor time at 1080p; malloc_trim(3) once
a minute costs next to nothing (`make soak`).
"""

from __future__ import annotations

import ctypes
from typing import Final

from maskwatch.clock import Clock

_INTERVAL_S: Final = 60.0


class MallocTrim:
    """Trims the heap once a minute. Does nothing where the C library cannot (musl)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = clock.monotonic() + _INTERVAL_S
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

    def trim_when_due(self) -> None:
        """Trim if a minute has passed; to be called between two frames, takes a few milliseconds."""
        now = self._clock.monotonic()
        if self._trim is not None and now >= self._due:
            self._due = now + _INTERVAL_S
            self._trim(0)
