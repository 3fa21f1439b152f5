"""What the pipeline says of one frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from maskwatch.analysis.own_motion import Liveness
from maskwatch.analysis.violation_lifecycle import Sighting
from maskwatch.analysis.visit import Visit
from maskwatch.domain import (
    Box,
    Change,
    Detection,
    OccupancyMinute,
    Reading,
    Verdict,
    Violation,
)
from maskwatch.tracking.track import Track

__all__ = ["FrameResult", "TrackView", "beginning", "sight_of", "view_of"]

_NO_BOX = Box(0.0, 0.0, 0.0, 0.0)


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
class FrameResult:
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


def view_of(track: Track, visit: Visit, obstacle: str) -> TrackView:
    """Return a track as it stands after a frame."""
    detected = track.detection is not None
    return TrackView(
        number=track.number,
        box=track.detection.box if track.detection else track.box,
        detected=detected,
        verdict=visit.verdict,
        liveness=visit.motion.liveness,
        reading=visit.reading if detected else None,
        evidence=visit.evidence.over(Verdict.NO_MASK, Verdict.MASK),
        watched=max(visit.evidence.changes.values(), default=0.0),
        zone=visit.place.zone,
        obstacle=obstacle,
        violation=visit.life.id if visit.life and visit.violating else None,
    )


def sight_of(visit: Visit) -> Sighting:
    """Return what is known of a person, as it enters the violation."""
    evidence, verdict = visit.evidence, visit.verdict
    return Sighting(
        verdict=verdict,
        zones=tuple(visit.zones),
        confidence=round(evidence.confidence(verdict), 6),
        evidence=round(evidence.behind(verdict), 4),
        readings=evidence.readings,
    )


def beginning(number: UUID, camera: str, model: str, visit: Visit, at: datetime) -> Violation:
    """Return the violation that opens `at` (UTC), without its face yet."""
    sight = sight_of(visit)
    return Violation(
        id=number,
        camera=camera,
        zone=visit.place.zone,
        zones=sight.zones,
        track=visit.number,
        verdict=sight.verdict,
        first_seen=visit.first_seen,
        started=at,
        ended=None,
        close_reason=None,
        confidence=sight.confidence,
        evidence=sight.evidence,
        readings=sight.readings,
        face_height=0.0,
        box=_NO_BOX,
        model=model,
    )
