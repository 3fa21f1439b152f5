"""All that is known of one person during one visit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from maskwatch.analysis.evidence import Evidence
from maskwatch.analysis.face_confidence import FaceEvidence
from maskwatch.analysis.own_motion import MotionEvidence
from maskwatch.analysis.violation_lifecycle import ViolationLifecycle
from maskwatch.analysis.zones import Place
from maskwatch.config.schema import ZoneRule
from maskwatch.domain import GateReason, Reading, Verdict

__all__ = ["Visit"]


@dataclass(slots=True)
class Visit:
    """A person and the decisions about them; one per confirmed or yet doubtful track.

    Attributes:
        number: the track's.
        first_seen, last_seen: capture times (UTC) of the first and the latest match.
        place: where the face is now.
        place_since: moment at which it came to that zone.
        zones: names of the zones passed through, in order.
        face: whether it is a face at all, by the detector's scores.
        faced: whether a face that looks towards the camera was seen once.
        gates: why readings were not made, counted.
        read_moment: when it was last classified.
        reading: the reading of this frame, if there is one.
        decided_moment: when a verdict was first reached.
        on_poster: whether the face is where a still one was: a poster's track went astray.
        life: the violation that is open, or was last.

    """

    number: int
    evidence: Evidence
    face: FaceEvidence
    motion: MotionEvidence
    first_seen: datetime
    first_moment: float
    last_seen: datetime
    place: Place = field(default_factory=lambda: Place("", ZoneRule.REQUIRED))
    place_since: float = 0.0
    zones: list[str] = field(default_factory=list)
    faced: bool = False
    gates: Counter[GateReason] = field(default_factory=Counter)
    read_moment: float | None = None
    reading: Reading | None = None
    decided_moment: float | None = None
    on_poster: bool = False
    life: ViolationLifecycle | None = None

    @property
    def verdict(self) -> Verdict:
        """What is decided so far."""
        return self.evidence.verdict

    @property
    def doubtful(self) -> bool:
        """Whether the latest readings speak against the verdict."""
        return any(value > 0 for value in self.evidence.changes.values())

    @property
    def violating(self) -> bool:
        """Whether a violation is open."""
        return self.life is not None and self.life.open

    def enter(self, place: Place, moment: float) -> None:
        """Note where the face is; the dwell begins anew in each zone."""
        if place.zone != self.place.zone or not self.zones:
            self.place_since = moment
            if not self.zones or self.zones[-1] != place.zone:
                self.zones.append(place.zone)
        self.place = place
