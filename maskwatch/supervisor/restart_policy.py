"""How soon a child that failed is started again: jittered backoff, a budget, quarantine."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from maskwatch.supervisor.timeouts import Timeouts

__all__ = ["Pause", "RestartPolicy"]


@dataclass(frozen=True, slots=True)
class Pause:
    """How long to wait; `quarantined` if the budget is spent and people should hear of it."""

    seconds: float
    quarantined: bool


class RestartPolicy:
    """Remembers one child's failures; times are monotonic seconds, given by the caller.

    The pauses before the first restarts are drawn from [0, first_pause * 2**n] (full jitter, so
    that a hundred children that died of one cause do not come back in one instant). More than
    `budget` failures within `window` mean quarantine, whose length doubles with each one in
    succession. A child that came back from quarantine gets no budget of its own: it must first run
    for `window` seconds to be trusted again.
    """

    def __init__(self, limits: Timeouts, rng: random.Random) -> None:
        self._limits = limits
        self._rng = rng
        self._failures: deque[float] = deque()
        self._quarantines = 0

    @property
    def distrusted(self) -> bool:
        """Whether the child was in quarantine and has not yet proved itself."""
        return self._quarantines > 0

    @property
    def failures(self) -> int:
        """Failures that are still counted."""
        return len(self._failures)

    def failed(self, now: float) -> Pause:
        """Count a failure; return how long to wait before the next start."""
        self._forget_before(now - self._limits.window)
        self._failures.append(now)
        if self.distrusted or len(self._failures) > self._limits.budget:
            return Pause(self._next_quarantine(), quarantined=True)
        longest = self._limits.first_pause * 2 ** (len(self._failures) - 1)
        return Pause(self._rng.uniform(0, min(longest, self._limits.longest_pause)), quarantined=False)

    def ran(self, seconds: float) -> None:
        """Say that the child has run well for so long; after `window` all is forgiven."""
        if seconds >= self._limits.window:
            self._failures.clear()
            self._quarantines = 0

    def forgive(self) -> None:
        """Forget everything: the configuration changed, or an operator asked for a new try."""
        self._failures.clear()
        self._quarantines = 0

    def _next_quarantine(self) -> float:
        longest: float = self._limits.quarantine * 2**self._quarantines
        self._quarantines += 1
        capped = min(longest, self._limits.longest_quarantine)
        return capped * self._rng.uniform(0.8, 1.0)

    def _forget_before(self, moment: float) -> None:
        while self._failures and self._failures[0] < moment:
            self._failures.popleft()
