"""Exponential backoff with jitter: how long to wait before trying again what failed.

Pure: the time is an argument, chance a generator, and nothing here waits.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

_MAX_DOUBLINGS = 32  # enough for any cap, and no overflow


@dataclass(frozen=True, slots=True)
class Backoff:
    """Bounds of the waits, which are drawn uniformly between them; in seconds.

    Attributes:
        first: upper bound of the first wait; it doubles with each failure.
        cap: upper bound of every wait.
        floor: lower bound of every wait.
        min_fraction: lower bound of a wait as a fraction of its upper bound; 0 is full jitter.
    """

    first: float
    cap: float
    floor: float = 0.0
    min_fraction: float = 0.0

    def ceiling(self, failures: int) -> float:
        """Return the upper bound of the wait after the `failures`th failure in a row (from 1)."""
        return max(self.floor, min(self.cap, self.first * 2.0 ** min(failures - 1, _MAX_DOUBLINGS)))

    def wait(self, failures: int, rng: random.Random) -> float:
        """Return how many seconds to wait after the `failures`th failure in a row (from 1)."""
        ceiling = self.ceiling(failures)
        return rng.uniform(max(self.floor, self.min_fraction * ceiling), ceiling)


class RetryTimer:
    """Counts failures in a row and sets the time of the next attempt; times are monotonic seconds."""

    def __init__(self, backoff: Backoff, rng: random.Random | None = None) -> None:
        self.failures = 0
        self.retry_at = 0.0
        self._backoff = backoff
        self._rng = rng or random.Random()  # noqa: S311 - jitter is no secret

    def due(self, now: float) -> bool:
        """Return whether the next attempt may be made; always before the first failure."""
        return now >= self.retry_at

    def failed(self, now: float) -> float:
        """Count a failure; return how many seconds to wait before the next attempt."""
        self.failures += 1
        wait = self._backoff.wait(self.failures, self._rng)
        self.retry_at = now + wait
        return wait

    def succeeded(self) -> None:
        """Forget the failures: the next attempt may be made immediately."""
        self.failures = 0
        self.retry_at = 0.0
