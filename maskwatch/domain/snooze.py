"""Snoozes: a camera whose violations cause no alerts for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Snooze:
    """Violations of `camera` are judged and stored, but not delivered, until `until` (UTC).

    `since` and `until` are None for a camera that is not snoozed. `by` is who snoozed it, "" if that is
    not known.
    """

    camera: str
    since: datetime | None = None
    until: datetime | None = None
    by: str = ""

    @property
    def seconds(self) -> float:
        """Duration; 0 for a camera that is not snoozed."""
        if self.since is None or self.until is None:
            return 0.0
        return (self.until - self.since).total_seconds()
