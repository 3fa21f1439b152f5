"""Decides what a sink is sent after failures, and which delivery is parked. Pure: no I/O.

While a sink accepts nothing, the trouble is its own: it is tried in rounds with growing pauses, and
nothing is parked. A round sends one delivery at a time: the oldest, then others, so that one bad
delivery does not pass for a sink in trouble. A delivery that fails while others are accepted pauses by
itself, and is parked when that has lasted long enough.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from maskwatch.alerts.sink import DeliveryOutcome, DeliveryStatus
from maskwatch.backoff import Backoff, RetryTimer
from maskwatch.recorder.unstored import Key

_BACKOFF = Backoff(first=0.5, cap=60.0, min_fraction=0.1)
_TRIED_IN_ROUND = 5
_MEMORY = 3600.0  # seconds after which a failure that was not repeated no longer counts


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How deliveries to a sink are paced and retried.

    Attributes:
        backoff: of the sink after failures in a row, and of each delivery.
        max_strikes: failures of one delivery, each after another one was accepted, that may park it.
        refused_for: seconds for which a delivery must have been refused before it is parked.
        failing_for: the same, if the sink failed, or refused it for a reason that an operator can
            correct.
        timeout: seconds after which a delivery without an outcome counts as failed.
        rate: the most deliveries sent per second.
    """

    backoff: Backoff = _BACKOFF
    max_strikes: int = 5
    refused_for: float = 30.0
    failing_for: float = 3600.0
    timeout: float = 300.0
    rate: float = 500.0


class Choice(Enum):
    """What may be sent now."""

    ALL = auto()  # whatever waits and does not pause
    OLDEST = auto()  # one: begin a round
    OTHER = auto()  # one that this round did not try, with the fewest attempts
    NEW = auto()  # the same, if it was never tried
    NOTHING = auto()


@dataclass(slots=True)
class _Failure:
    """What is known of a delivery that failed; `refused`: at least once."""

    timer: RetryTimer
    accepted_before: int
    failures: int = 0
    strikes: int = 0
    since: float = 0.0
    last: float = 0.0
    refused: bool = False


class Retries:
    """The failures of one sink; times are monotonic seconds."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.accepted_count = 0
        self._policy = policy
        self._rng = random.Random()  # noqa: S311 - jitter is no secret
        self._timer = RetryTimer(policy.backoff, self._rng)
        self._tried: set[UUID] = set()  # subjects that failed in this round
        self._failures: dict[Key, _Failure] = {}

    @property
    def in_trouble(self) -> bool:
        """Whether the sink accepted nothing since its last failure."""
        return self._timer.failures > 0

    def choice(self, now: float) -> Choice:
        """Return what may be sent, if nothing of this round is in flight."""
        if not self.in_trouble:
            return Choice.ALL
        if len(self._tried) < _TRIED_IN_ROUND:
            return Choice.OTHER
        if self._timer.due(now):
            return Choice.OLDEST
        return Choice.NEW if len(self._tried) == _TRIED_IN_ROUND else Choice.NOTHING

    def may_repeat(self, now: float) -> bool:
        """Return whether a round may begin although the last one found no other delivery."""
        return self._timer.due(now)

    def next_change(self, now: float) -> float:
        """Return when more may be sent than now; infinity if time alone changes nothing."""
        if self.in_trouble:
            return self._timer.retry_at
        pauses = (each.timer.retry_at for each in self._failures.values())
        return min((at for at in pauses if at > now), default=math.inf)

    @property
    def tried(self) -> frozenset[UUID]:
        return frozenset(self._tried)

    def pausing(self, now: float) -> set[UUID]:
        """Return the subjects whose failed delivery pauses by itself."""
        return {key[0] for key, each in self._failures.items() if not each.timer.due(now)}

    def has_failed(self, key: Key) -> bool:
        return key in self._failures

    def failures(self, key: Key) -> int:
        """Return how often the sink failed with a delivery, without having refused it."""
        return self._failures[key].failures if key in self._failures else 0

    def accepted(self, key: Key) -> None:
        """Count an acceptance: the sink is well. If this one was refused before, try its like."""
        self.accepted_count += 1
        self._timer.succeeded()
        self._tried.clear()
        failure = self._failures.pop(key, None)
        if failure is not None and failure.refused:
            for each in self._failures.values():
                if each.refused:
                    each.timer.succeeded()

    def finished(self, key: Key) -> None:
        """Forget a delivery that is not retried."""
        self._failures.pop(key, None)

    def failed(
        self, key: Key, outcome: DeliveryOutcome, choice: Choice, accepted_before: int, now: float
    ) -> float | None:
        """Count a failure of a delivery that was sent by `choice`, after `accepted_before` others.

        Returns:
            The seconds of the pause that begins with it, 0 if none does; None: park it.
        """
        failure = self._failures.get(key)
        if failure is None:
            timer = RetryTimer(self._policy.backoff, self._rng)
            failure = self._failures[key] = _Failure(timer, accepted_before)
        others_pass = failure.accepted_before != self.accepted_count
        failure.accepted_before = self.accepted_count
        if outcome.status is DeliveryStatus.REFUSED:
            failure.refused = True
        else:
            failure.failures += 1
        failure.last = now
        if not others_pass:
            return self._round_failed(key[0], choice, now)
        return self._strike(failure, outcome, now)

    def _strike(self, failure: _Failure, outcome: DeliveryOutcome, now: float) -> float | None:
        failure.strikes += 1
        if failure.strikes == 1:
            failure.since = now
        lasting = self._policy.failing_for
        if outcome.status is DeliveryStatus.REFUSED and not outcome.correctable:
            lasting = self._policy.refused_for
        if failure.strikes >= self._policy.max_strikes and now - failure.since >= lasting:
            return None
        return failure.timer.failed(now)

    def _round_failed(self, subject: UUID, choice: Choice, now: float) -> float:
        """Begin the pause of a round: once for each, not for every delivery that was in flight."""
        if self.in_trouble and choice is not Choice.OLDEST:
            self._tried.add(subject)
            return 0.0
        self._tried = {subject}
        return self._timer.failed(now)

    def forget_old(self, now: float) -> None:
        """Forget failures that were not repeated: parked by hand, superseded, or corrected."""
        old = [key for key, each in self._failures.items() if each.last < now - _MEMORY]
        for key in old:
            del self._failures[key]
