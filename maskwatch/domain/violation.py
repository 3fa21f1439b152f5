"""Violations: one visit of one person without the required mask; and their changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from maskwatch.domain.geometry import Box
from maskwatch.domain.verdict import Verdict


class ChangeKind(StrEnum):
    """What happened to a violation (or an incident)."""

    OPENED = "opened"
    UPDATED = "updated"
    CLOSED = "closed"


class CloseReason(StrEnum):
    """Why a violation ended."""

    LEFT = "left"
    MASKED = "masked"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Violation:
    """The state of one violation, as known at one change.

    Attributes:
        id: UUIDv7 (RFC 9562); in a replay derived from clip, camera and sequence.
        camera: the camera's name.
        zone: name of the zone that required a mask ("" for the whole picture).
        zones: names of the zones passed through, in order.
        track: the track's number, unique in one run of one worker.
        verdict: NO_MASK or INCORRECT.
        first_seen: when the person's face was first seen in this visit (UTC).
        started: capture time of the frame that decided it (UTC).
        ended: when it ended (UTC), None while open.
        close_reason: None while open.
        confidence: posterior probability that the verdict is right, 0 to 1.
        evidence: accumulated log-likelihood ratio of the verdict, in nats.
        readings: number of readings that counted.
        face_height: height of the best face in pixels of the full picture.
        box: the best face, relative (0 to 1) to the picture.
        model: id of the mask model.
    """

    id: UUID
    camera: str
    zone: str
    zones: tuple[str, ...]
    track: int
    verdict: Verdict
    first_seen: datetime
    started: datetime
    ended: datetime | None
    close_reason: CloseReason | None
    confidence: float
    evidence: float
    readings: int
    face_height: float
    box: Box
    model: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a violation; numbers count from 1 without a gap.

    Attributes:
        number: 1 for opened; consumers ignore a number they have seen.
        at: capture time (UTC) of the frame that caused the change.
        violation: the state after the change.
    """

    number: int
    kind: ChangeKind
    at: datetime
    violation: Violation

    @property
    def alert_id(self) -> str:
        """Stable id of the alert about this change: violation id and change number."""
        return f"{self.violation.id}:{self.number}"
