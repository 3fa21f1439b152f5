"""What the pipeline says of one frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from maskwatch.domain import Box, Change, Detection, OccupancyMinute, Reading, Verdict
from maskwatch.tracking.still import Liveness

__all__ = ["Outcome", "TrackView"]


@dataclass(frozen=True, slots=True)
class TrackView:
    """One track at one frame, for the annotated video, the explanation and the replay's JSON.

    Attributes:
        number: the track's.
        box: the face in pixels of the full picture; predicted where `detected` is False.
        detected: whether this frame matched a detection.
        reading: what was read of it in this frame, or why nothing was; None when it was not due.
        evidence: log-likelihood ratio of no mask over mask so far, in nats.
        watched: the CUSUM of the class that comes nearest to replacing the verdict, in nats.
        zone: name of the zone it is in, "" outside all.
        obstacle: why no violation may open, "" when one may.
        violation: id of the open violation.

    """

    number: int
    box: Box
    detected: bool
    verdict: Verdict
    liveness: Liveness
    reading: Reading | None
    evidence: float
    watched: float
    zone: str
    obstacle: str
    violation: UUID | None


@dataclass(slots=True)
class Outcome:
    """What one frame led to.

    Attributes:
        looked: whether the motion gate let the frame through.
        changes: each with its anonymized JPEG, or None without a new picture.
        minutes: finished minutes of the occupancy.
        tracks: every confirmed track.
        detections: all faces found, in pixels of the full picture, doubtful ones included.

    """

    looked: bool = False
    changes: list[tuple[Change, bytes | None]] = field(default_factory=list)
    minutes: list[OccupancyMinute] = field(default_factory=list)
    tracks: list[TrackView] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
