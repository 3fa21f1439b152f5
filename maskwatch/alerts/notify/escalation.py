"""Violations that a channel reports only if they stay unacknowledged (`unacknowledged_for`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from maskwatch.alerts.sink import Delivery
from maskwatch.clock import Clock
from maskwatch.domain import Change

# After a restart, violations that became due up to this many seconds ago are still sent, perhaps
# for the second time.
_MAX_OVERDUE = 300.0
_MAX_ATTEMPTS = 5
_RETRY_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class HeldViolation:
    """A violation that is sent at `due` (monotonic seconds) unless it is acknowledged before.

    `attempts` counts the attempts that failed.
    """

    delivery: Delivery
    change: Change
    due: float
    attempts: int = 0

    @property
    def violation_id(self) -> UUID:
        return self.change.violation.id


class Escalation:
    """Holds violations until they are due `delay` seconds after they opened.

    It is in memory only: after a restart it is restored from the violations in the database that are
    not acknowledged.
    """

    def __init__(self, delay: float, clock: Clock) -> None:
        self._delay = delay
        self._clock = clock
        self._held: dict[UUID, HeldViolation] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, delivery: Delivery, change: Change) -> None:
        """Hold a violation; one that is held already keeps its time."""
        due = self._clock.monotonic() + max(0.0, self._delay - self._age(change))
        self._held.setdefault(change.violation.id, HeldViolation(delivery, change, due))

    def restore(self, changes: Iterable[Change]) -> None:
        """Hold what an earlier run, or the sink before this one, was holding."""
        for change in changes:
            if self._age(change) < self._delay + _MAX_OVERDUE:
                self.hold(Delivery(0, change, stored=True, picture=None), change)

    def take_due(self) -> list[HeldViolation]:
        """Return the violations that are due, and hold them no longer."""
        now = self._clock.monotonic()
        due = [held for held in self._held.values() if held.due <= now]
        for held in due:
            del self._held[held.violation_id]
        return due

    def retry(self, held: HeldViolation) -> bool:
        """Hold a violation again after a failed attempt; return False if that was the last one."""
        attempts = held.attempts + 1
        if attempts >= _MAX_ATTEMPTS:
            return False
        due = self._clock.monotonic() + _RETRY_AFTER
        self._held[held.violation_id] = replace(held, due=due, attempts=attempts)
        return True

    def _age(self, change: Change) -> float:
        return (self._clock.now() - change.at).total_seconds()
