"""Which faces of a frame are read, and what their readings change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from maskwatch.analysis.metrics import PipelineMetrics
from maskwatch.analysis.visit import Sighting
from maskwatch.clock import Clock
from maskwatch.domain import Detection, Frame, MaskLogits, Reading, Verdict
from maskwatch.telemetry import catalogue
from maskwatch.vision.face_motion import likeness

if TYPE_CHECKING:
    from maskwatch.domain.frame import Pixels

_MAX_READINGS = 6  # per frame: the faces of a crowd are read in turn
_REREAD_AFTER = 0.9  # of the correlation time, before a decided face that changed is read again
_REREAD_UNCHANGED = 1.5  # s, before one that looks as when it was read last
_UNCHANGED = 0.75  # correlation with the face as it was read last


class MaskClassifying(Protocol):
    """Reads masks; `vision.masks.MaskClassifier` in the product."""

    @property
    def id(self) -> str:
        """The model's name, for violations."""

    @property
    def prior(self) -> MaskLogits:
        """Logarithms of the training shares."""

    def classify(self, picture: Pixels, detections: Sequence[Detection], /) -> list[Reading]:
        """Return one reading for each detection (in pixels of the picture)."""


class MaskReader:
    """Classifies the faces of a frame and adds their readings to the visits.

    Readings are correlated over `correlation_time` (seconds). The clock only measures durations for the
    metrics; no decision depends on it.
    """

    def __init__(
        self,
        classifier: MaskClassifying,
        correlation_time: float,
        metrics: PipelineMetrics,
        clock: Clock,
    ) -> None:
        self._classifier = classifier
        self._reread_after = _REREAD_AFTER * correlation_time
        self._metrics, self._clock = metrics, clock

    def read(self, sightings: Sequence[Sighting], frame: Frame) -> None:
        """Classify the faces that pass the quality gate and are due, undecided ones first."""
        due = [sighting for sighting in sightings if self._due(sighting, frame.moment)]
        due.sort(key=_priority)
        chosen = due[:_MAX_READINGS]
        if not chosen:
            return
        began = self._clock.monotonic()
        readings = self._classifier.classify(frame.camera, [one.detection for one in chosen])
        self._metrics.duration(catalogue.CLASSIFY_SECONDS, self._clock.monotonic() - began)
        for sighting, reading in zip(chosen, readings, strict=True):
            sighting.visit.read_crop = sighting.quality.crop
            self._vote(sighting, reading, frame)

    def _due(self, sighting: Sighting, moment: float) -> bool:
        """Return whether the face is to be classified now; count and note why not."""
        visit, gate = sighting.visit, sighting.quality.gate
        if gate is not None:
            visit.gates[gate] += 1
            visit.reading = Reading(None, gate)
            self._metrics.reading(gate.value)
            return False
        if visit.still or visit.at_still_place:
            return False
        if visit.verdict is Verdict.UNKNOWN or visit.read_moment is None or visit.wavering:
            return True
        waited = moment - visit.read_moment
        return waited >= (self._reread_after if _looks_otherwise(sighting) else _REREAD_UNCHANGED)

    def _vote(self, sighting: Sighting, reading: Reading, frame: Frame) -> None:
        """Add the reading of this frame's own detection to the visit's evidence."""
        visit = sighting.visit
        visit.reading, visit.read_moment = reading, frame.moment
        if reading.logits is None:  # rejected by the classifier: counted, but no vote
            return
        self._metrics.reading("classified")
        undecided = visit.verdict is Verdict.UNKNOWN
        verdict = visit.evidence.vote(reading.logits, frame.moment, sighting.quality.weight)
        if verdict is not Verdict.UNKNOWN and undecided:
            self._metrics.duration(catalogue.DECISION_SECONDS, frame.moment - visit.first_moment)
            latency = (self._clock.now() - frame.captured_at).total_seconds()
            self._metrics.duration(catalogue.CAPTURE_TO_VERDICT_SECONDS, max(0.0, latency))


def _looks_otherwise(sighting: Sighting) -> bool:
    """Return whether the face looks otherwise than when it was read last."""
    before, now = sighting.visit.read_crop, sighting.quality.crop
    return before is None or now is None or likeness(before, now) < _UNCHANGED


def _priority(sighting: Sighting) -> tuple[bool, float]:
    """Return the sort key: undecided before decided, then the longest without a reading."""
    read_moment = sighting.visit.read_moment
    undecided = sighting.visit.verdict is Verdict.UNKNOWN
    return not undecided, float("-inf") if read_moment is None else read_moment
