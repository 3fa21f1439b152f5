"""The lifecycle of one violation: opened once, updated sparingly, closed once, times in order."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from maskwatch.domain import Box, Change, ChangeKind, CloseReason, Violation

_RESTATE_AFTER = 60.0  # s without any change after which the violation is sent again


class ViolationLifecycle:
    """Produces the changes of one violation.

    Wall time may jump; the times of a violation never go back, since each is at least the one
    before it. Moments are monotonic seconds and only time the cooldown.

    Attributes:
        violation: the current state.
        update_pending: whether something changed that is worth an update.
        updates_held: number of updates held back by the cooldown.
    """

    def __init__(self, violation: Violation, cooldown: float) -> None:
        started = max(violation.started, violation.first_seen)
        self.violation = replace(violation, started=started, ended=None, close_reason=None)
        self._cooldown = cooldown
        self._number = 0
        self._latest = started
        self._sent_moment = -math.inf
        self.update_pending = False
        self.updates_held = 0

    @property
    def id(self) -> UUID:
        return self.violation.id

    @property
    def is_open(self) -> bool:
        return self.violation.ended is None

    def open(self, moment: float) -> Change:
        """Return the change that opens it. Raises ValueError the second time."""
        if self._number:
            raise ValueError(f"violation {self.id} was opened already")
        return self._change(ChangeKind.OPENED, self._latest, moment)

    def assess(self, violation: Violation) -> None:
        """Set the violation as it is judged now; a new verdict or a new zone is worth an update."""
        before = self.violation
        self.update_pending |= (violation.verdict, violation.zones) != (before.verdict, before.zones)
        self.violation = violation

    def set_best_face(self, box: Box, face_height: float) -> None:
        """Set the face of a better picture: its box (relative) and height in pixels."""
        self.update_pending = True
        self.violation = replace(self.violation, box=box, face_height=face_height)

    def update(self, at: datetime, moment: float) -> Change | None:
        """Return an update if one is due and the cooldown has passed; count those held back.

        Raises ValueError when the violation is not open.
        """
        self._require_open()
        waited = moment - self._sent_moment
        if not (self.update_pending or waited >= _RESTATE_AFTER):
            return None
        if waited < self._cooldown:
            self.updates_held += 1
            return None
        return self._change(ChangeKind.UPDATED, at, moment)

    def close(self, ended: datetime, reason: CloseReason, moment: float) -> Change:
        """Return the change that ends it; never held back. Raises ValueError when it is not open."""
        self._require_open()
        ended = max(ended, self._latest)
        self.violation = replace(self.violation, ended=ended, close_reason=reason)
        return self._change(ChangeKind.CLOSED, ended, moment)

    def _require_open(self) -> None:
        if not (self._number and self.is_open):
            raise ValueError(f"violation {self.id} is not open")

    def _change(self, kind: ChangeKind, at: datetime, moment: float) -> Change:
        self._number += 1
        self._latest = max(at, self._latest)
        self._sent_moment = moment
        self.update_pending = False
        return Change(self._number, kind, self._latest, self.violation)
