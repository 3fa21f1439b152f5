"""What the pipeline returns for one frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from maskwatch.analysis.own_motion import Liveness
from maskwatch.analysis.visit import Visit
from maskwatch.domain import Box, Change, Detection, OccupancyMinute, Reading, Verdict
from maskwatch.tracking.track import Track


@dataclass(frozen=True, slots=True)
class TrackView:
    """One track in one frame, for the annotated video, the explanation and the replay's JSON.

    Attributes:
        number: the track's.
        box: the face in pixels of the full picture; predicted where `detected` is False.
        detected: whether this frame matched a detection.
        reading: the reading of this frame, or why there is none; None when it was not due.
        evidence: log-likelihood ratio of no mask over mask so far, in nats.
        cusum: the CUSUM of the class that comes nearest to replacing the verdict, in nats.
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
    cusum: float
    zone: str
    obstacle: str
    violation: UUID | None


@dataclass(slots=True)
class FrameResult:
    """What one frame led to.

    Attributes:
        analysed: whether the motion gate let the frame through.
        changes: each with its anonymized JPEG, or None without a new picture.
        minutes: finished minutes of the occupancy.
        tracks: every confirmed track.
        detections: all faces found, in pixels of the full picture, doubtful ones included.
    """

    analysed: bool = False
    changes: list[tuple[Change, bytes | None]] = field(default_factory=list)
    minutes: list[OccupancyMinute] = field(default_factory=list)
    tracks: list[TrackView] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)


def track_view(track: Track, visit: Visit, obstacle: str) -> TrackView:
    detected = track.detection is not None
    return TrackView(
        number=track.number,
        box=track.detection.box if track.detection else track.box,
        detected=detected,
        verdict=visit.verdict,
        liveness=visit.motion.liveness,
        reading=visit.reading if detected else None,
        evidence=visit.evidence.log_ratio(Verdict.NO_MASK, Verdict.MASK),
        cusum=max(visit.evidence.cusums.values(), default=0.0),
        zone=visit.zone.name,
        obstacle=obstacle,
        violation=visit.lifecycle.id if visit.lifecycle and visit.violating else None,
    )
