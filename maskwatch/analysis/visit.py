"""The state of one person during one visit, and one sighting of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from maskwatch.analysis.evidence import Evidence
from maskwatch.analysis.face_confidence import FaceConfidence
from maskwatch.analysis.own_motion import Liveness, MotionEvidence
from maskwatch.analysis.trail import Trail
from maskwatch.analysis.violation_lifecycle import ViolationLifecycle
from maskwatch.analysis.zones import ZoneState
from maskwatch.config.schema import ZoneRule
from maskwatch.domain import Detection, GateReason, Reading, Verdict
from maskwatch.tracking.track import Track
from maskwatch.vision.quality import Quality

if TYPE_CHECKING:
    from maskwatch.vision.camera_motion import Grey


@dataclass(slots=True)
class Visit:
    """A person and the decisions about them; one for each track, confirmed or not.

    Attributes:
        number: the track's.
        evidence: the accumulated readings of the mask.
        face_confidence: evidence that the track is a face at all.
        motion: evidence that the face is alive.
        first_seen, last_seen: capture times (UTC) of the first and the latest match.
        first_moment: moment (seconds) of the first match.
        trail: where the face was.
        zone: the zone that the face is in, as it applies now.
        zone_since: moment at which the face entered that zone.
        zones: names of the zones passed through, in order.
        seen_frontal: whether the face was ever seen facing the camera.
        gates: number of times that each reason kept the face from being read.
        read_moment, read_crop: moment of the latest reading, and how the face looked then.
        reading: the reading of this frame, if there is one.
        at_still_place: whether the face is where a still one was: a track that moved onto a poster.
        lifecycle: the violation that is open, or was last.
    """

    number: int
    evidence: Evidence
    face_confidence: FaceConfidence
    motion: MotionEvidence
    first_seen: datetime
    first_moment: float
    last_seen: datetime
    trail: Trail
    zone: ZoneState = field(default_factory=lambda: ZoneState("", ZoneRule.REQUIRED))
    zone_since: float = 0.0
    zones: list[str] = field(default_factory=list)
    seen_frontal: bool = False
    gates: Counter[GateReason] = field(default_factory=Counter)
    read_moment: float | None = None
    read_crop: Grey | None = None
    reading: Reading | None = None
    at_still_place: bool = False
    lifecycle: ViolationLifecycle | None = None

    @property
    def verdict(self) -> Verdict:
        return self.evidence.verdict

    @property
    def wavering(self) -> bool:
        """Whether the latest readings contradict the verdict."""
        return any(value > 0 for value in self.evidence.cusums.values())

    @property
    def still(self) -> bool:
        """Whether the face has shown no motion of its own for so long that it counts as a poster."""
        return self.motion.liveness is Liveness.STILL

    @property
    def violating(self) -> bool:
        return self.lifecycle is not None and self.lifecycle.is_open

    def continue_from(self, before: Visit) -> None:
        """Take over the open violation, and the zones, of the same person's earlier track."""
        self.lifecycle, before.lifecycle = before.lifecycle, None
        self.first_seen = min(self.first_seen, before.first_seen)
        self.zones = [*before.zones, *(name for name in self.zones if name not in before.zones)]

    def enter(self, zone: ZoneState, moment: float) -> None:
        """Set the zone that the face is in; the dwell starts again in each zone."""
        if zone.name != self.zone.name or not self.zones:
            self.zone_since = moment
            if not self.zones or self.zones[-1] != zone.name:
                self.zones.append(zone.name)
        self.zone = zone


@dataclass(slots=True)
class Sighting:
    """A visit in a frame that matched its track.

    Attributes:
        detection: the matched detection, in pixels of the full picture.
        quality: what was measured of the face.
    """

    track: Track
    visit: Visit
    detection: Detection
    quality: Quality
