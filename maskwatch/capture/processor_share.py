"""Holds the thread that decodes to its share of the processor while others wait for it.

The scheduler shares the processor between threads, and a hostile stream keeps several busy. A camera
that wants more than its share gets it as long as no other process waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

_BURST_S = 2.0
_WINDOW_S = 1.0
_MAX_PAUSE_S = 0.25
_CONTENDED = 0.05
_STATISTICS = Path("/proc/thread-self/schedstat")


class ProcessorShare:
    """Counts the processor time of the thread that uses it.

    Args:
        share: processors that the thread may use on average, such as 0.5.
        cpu_time: returns the seconds of processor time of the thread.
        waited: returns the seconds for which the thread was ready and had no processor.
    """

    def __init__(
        self,
        share: float,
        *,
        cpu_time: Callable[[], float] = time.thread_time,
        waited: Callable[[], float] | None = None,
    ) -> None:
        self._share = share
        self._cpu_time = cpu_time
        self._waited = waited or waited_seconds
        self._credit = _BURST_S * share
        self._last: tuple[float, float] | None = None
        self._window = (0.0, 0.0)
        self._contended = False

    def pause(self, now: float) -> float:
        """Return the seconds to pause now; `now` is in monotonic seconds."""
        used = self._cpu_time()
        if self._last is None:
            self._window = now, self._waited()
        else:
            before, used_before = self._last
            earned = (now - before) * self._share
            self._credit = min(_BURST_S * self._share, self._credit + earned - (used - used_before))
        self._last = now, used
        self._measure_contention(now)
        if not self._contended:
            self._credit = max(self._credit, 0.0)  # no process was deprived of it
            return 0.0
        return min(_MAX_PAUSE_S, max(0.0, -self._credit / self._share))

    def _measure_contention(self, now: float) -> None:
        begun, waited_before = self._window
        if now - begun >= _WINDOW_S:
            waited = self._waited()
            self._contended = waited - waited_before > _CONTENDED * (now - begun)
            self._window = now, waited


def waited_seconds() -> float:
    """Return for how long the calling thread had to wait for a processor; 0 if unknown."""
    try:
        return int(_STATISTICS.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
