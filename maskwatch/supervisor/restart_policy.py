"""How long to wait before a failed child is restarted: jittered backoff, a budget, quarantine."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from maskwatch.backoff import Backoff
from maskwatch.supervisor.timeouts import Timeouts


@dataclass(frozen=True, slots=True)
class Pause:
    """How long to wait; `quarantined` if the restart budget is spent."""

    seconds: float
    quarantined: bool


class RestartPolicy:
    """Counts one child's failures; times are monotonic seconds.

    Pauses between restarts have full jitter, so that a hundred children that fail for one cause do
    not restart in one instant. More than `restart_budget` failures within `restart_window` mean
    quarantine. A child that comes back from quarantine is on probation: it has no budget until it
    has run for `restart_window` seconds.
    """

    def __init__(self, timeouts: Timeouts, rng: random.Random) -> None:
        self._timeouts = timeouts
        self._rng = rng
        self._backoff = Backoff(timeouts.initial_backoff, timeouts.max_backoff)
        self._quarantine = Backoff(timeouts.quarantine, timeouts.max_quarantine, min_fraction=0.8)
        self._failures: deque[float] = deque()
        self._quarantines = 0
        self._postponed = 0

    @property
    def on_probation(self) -> bool:
        """Whether the child is in quarantine, or has not run long enough since."""
        return self._quarantines > 0

    @property
    def failures(self) -> int:
        return len(self._failures)

    def failed(self, now: float) -> Pause:
        """Count a failure; return how long to wait before the next start."""
        while self._failures and self._failures[0] < now - self._timeouts.restart_window:
            self._failures.popleft()
        self._failures.append(now)
        if self.on_probation or len(self._failures) > self._timeouts.restart_budget:
            self._quarantines += 1
            return Pause(self._quarantine.wait(self._quarantines, self._rng), quarantined=True)
        return Pause(self._backoff.wait(len(self._failures), self._rng), quarantined=False)

    def postponed(self) -> Pause:
        """Return the pause after an attempt for which something was not available.

        It never leads to quarantine: that would last longer than the cause.
        """
        self._postponed += 1
        return Pause(self._backoff.wait(self._postponed, self._rng), quarantined=False)

    def started(self) -> None:
        """Record that everything was available."""
        self._postponed = 0

    def has_run(self, seconds: float) -> None:
        """Forget all failures if the child's process has run long enough without one."""
        if seconds >= self._timeouts.restart_window:
            self.reset()

    def reset(self) -> None:
        self._failures.clear()
        self._quarantines = 0
        self._postponed = 0
