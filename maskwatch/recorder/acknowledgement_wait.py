"""Violations that a sink sends only if they stay unacknowledged for some time.

Nothing here needs to survive: when a violation is due follows from its stored time.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from maskwatch.clock import Clock
from maskwatch.domain import Change, ChangeKind, Incident


class AcknowledgementWait:
    """Which violations of one sink are not due yet.

    A violation is due `seconds` after its change. Within one run its wait does not depend on the wall
    clock, and after a restart it never exceeds `seconds`, however wrong the clock is.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._due: dict[UUID, float] = {}  # monotonic, of those that wait
        self._was_due: set[UUID] = set()

    @property
    def waiting(self) -> Collection[UUID]:
        return self._due.keys()

    def holds(self, subject: Change | Incident) -> bool:
        """Return whether this change must wait; from then on it is `waiting`."""
        if not self._seconds or isinstance(subject, Incident) or subject.kind is not ChangeKind.OPENED:
            return False
        violation = subject.violation.id
        if violation in self._was_due:
            return False
        age = (self._clock.now() - subject.at).total_seconds()
        left = min(max(0.0, self._seconds - age), self._seconds)
        now = self._clock.monotonic()
        return self._due.setdefault(violation, now + left) > now

    def release_due(self) -> bool:
        """Let those wait no longer that are due; return whether there are any."""
        now = self._clock.monotonic()
        due = [violation for violation, at in self._due.items() if at <= now]
        for violation in due:
            del self._due[violation]
        self._was_due.update(due)
        return bool(due)

    def forget(self, subject: UUID) -> None:
        """Forget a subject that the sink has accepted, or that was parked."""
        self._was_due.discard(subject)
