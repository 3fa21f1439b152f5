"""Wall time (UTC) and monotonic time behind one protocol; a replay has its own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The time, for code that needs it."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return `time.monotonic`."""
        return time.monotonic()


class ManualClock:
    """A clock that only `advance` moves: by a file's times in replays, by hand in tests."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Return the wall time as last set."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both times forward by `seconds` (not negative)."""
        if seconds < 0:
            raise ValueError(f"monotonic time cannot go back by {-seconds} s")
        self._monotonic += seconds
        self._now += timedelta(seconds=seconds)
