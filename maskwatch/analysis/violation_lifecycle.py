"""The life of one violation: opened once, updated sparingly, closed once, times in order."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from maskwatch.domain import Box, Change, ChangeKind, CloseReason, Verdict, Violation

__all__ = ["Sighting", "ViolationLifecycle"]

_LONGER = 60.0  # s without any change after which the violation is restated


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of the person at one moment, as it enters the violation."""

    verdict: Verdict
    zones: tuple[str, ...]
    confidence: float
    evidence: float
    readings: int


class ViolationLifecycle:
    """Makes the changes of one violation.

    Wall time may jump; the times of a violation never go back, since each is at least the one
    before it.

    Args:
        violation: the state at the opening.
        cooldown: seconds after a sent change in which updates are held back.

    """

    def __init__(self, violation: Violation, cooldown: float) -> None:
        started = max(violation.started, violation.first_seen)
        self.violation = replace(violation, started=started, ended=None, close_reason=None)
        self._cooldown = cooldown
        self._number = 0
        self._latest = started
        self._sent_moment = -math.inf
        self.wish = False
        self.held = 0

    @property
    def id(self) -> UUID:
        """The violation's id."""
        return self.violation.id

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.violation.ended is None

    def begin(self, moment: float) -> Change:
        """Return the change that opens it."""
        if self._number:
            raise ValueError(f"violation {self.id} was opened already")
        return self._change(ChangeKind.OPENED, self._latest, moment)

    def see(self, sight: Sighting) -> None:
        """Take in what is known now; a new verdict or a new zone is worth an update."""
        before = self.violation
        self.wish |= (sight.verdict, sight.zones) != (before.verdict, before.zones)
        self.violation = replace(
            before,
            verdict=sight.verdict,
            zones=sight.zones,
            confidence=sight.confidence,
            evidence=sight.evidence,
            readings=sight.readings,
        )

    def show(self, box: Box, face_height: float) -> None:
        """Take in a better snapshot: the face's box (relative) and height in pixels."""
        self.wish = True
        self.violation = replace(self.violation, box=box, face_height=face_height)

    def update(self, at: datetime, moment: float) -> Change | None:
        """Return an update if one is due and the cooldown has passed; count what is held back."""
        self._require_open()
        waited = moment - self._sent_moment
        if not (self.wish or waited >= _LONGER):
            return None
        if waited < self._cooldown:
            self.held += 1
            return None
        return self._change(ChangeKind.UPDATED, at, moment)

    def close(self, ended: datetime, reason: CloseReason, moment: float) -> Change:
        """Return the change that ends it; never held back."""
        self._require_open()
        ended = max(ended, self._latest)
        self.violation = replace(self.violation, ended=ended, close_reason=reason)
        return self._change(ChangeKind.CLOSED, ended, moment)

    def _require_open(self) -> None:
        if not (self._number and self.open):
            raise ValueError(f"violation {self.id} is not open")

    def _change(self, kind: ChangeKind, at: datetime, moment: float) -> Change:
        self._number += 1
        self._latest = max(at, self._latest)
        self._sent_moment = moment
        self.wish = False
        return Change(self._number, kind, self._latest, self.violation)
