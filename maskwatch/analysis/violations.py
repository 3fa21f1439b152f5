"""Opens, updates and closes the violations of visits, each change with its picture."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from maskwatch.analysis.metrics import PipelineMetrics
from maskwatch.analysis.snapshots import CameraPictures, Faces
from maskwatch.analysis.violation_lifecycle import ViolationLifecycle
from maskwatch.analysis.visit import Sighting, Visit
from maskwatch.config.schema import CameraConfig
from maskwatch.domain import Box, Change, CloseReason, Frame, IdSource, Violation

Report = tuple[Change, bytes | None]
"""A change and its anonymized JPEG; None without a new picture."""


class ViolationReporter:
    """Turns the policy's actions into changes of violations; `model` is the id of the mask model."""

    def __init__(
        self,
        camera: CameraConfig,
        model: str,
        ids: IdSource,
        pictures: CameraPictures,
        metrics: PipelineMetrics,
    ) -> None:
        self._camera, self._model, self._ids = camera, model, ids
        self._pictures, self._metrics = pictures, metrics

    def open(self, sighting: Sighting, frame: Frame, faces: Faces) -> list[Report]:
        """Open a violation of the visit."""
        visit = sighting.visit
        violation = self._violation(sighting, frame)
        visit.lifecycle = ViolationLifecycle(violation, self._camera.decision.cooldown)
        self._pictures.offer(sighting, frame, faces)
        self._metrics.violation(visit)
        return [(visit.lifecycle.open(frame.moment), self._pictures.take(visit))]

    def update(self, sighting: Sighting, frame: Frame, faces: Faces) -> list[Report]:
        """Update the visit's open violation; nothing is returned unless an update is due."""
        lifecycle = sighting.visit.lifecycle
        assert lifecycle is not None
        lifecycle.assess(_judged(lifecycle.violation, sighting.visit))
        if sighting.quality.gate is None and self._pictures.offer(sighting, frame, faces):
            lifecycle.set_best_face(*_face(sighting, frame))
        held = lifecycle.updates_held
        change = lifecycle.update(frame.captured_at, frame.moment)
        self._metrics.updates_held(lifecycle.updates_held - held)
        return [] if change is None else [(change, self._pictures.take(sighting.visit))]

    def hand_over(self, visit: Visit, before: Visit) -> None:
        """Continue the open violation of one visit as that of another."""
        visit.continue_from(before)
        self._pictures.hand_over(visit, before)

    def close(self, visit: Visit, at: datetime, reason: CloseReason, moment: float) -> list[Report]:
        if visit.lifecycle is None or not visit.lifecycle.is_open:
            return []
        report = (visit.lifecycle.close(at, reason, moment), self._pictures.take(visit))
        self._pictures.discard(visit)
        return [report]

    def _violation(self, sighting: Sighting, frame: Frame) -> Violation:
        visit, at = sighting.visit, frame.captured_at
        box, face_height = _face(sighting, frame)
        violation = Violation(
            id=self._ids.next(at),
            camera=self._camera.name,
            zone=visit.zone.name,
            zones=(),
            track=visit.number,
            verdict=visit.verdict,
            first_seen=visit.first_seen,
            started=at,
            ended=None,
            close_reason=None,
            confidence=0.0,
            evidence=0.0,
            readings=0,
            face_height=face_height,
            box=box,
            model=self._model,
        )
        return _judged(violation, visit)


def _judged(violation: Violation, visit: Visit) -> Violation:
    """Return the violation with the visit's verdict and zones as they are now."""
    evidence, verdict = visit.evidence, visit.verdict
    return replace(
        violation,
        verdict=verdict,
        zones=tuple(visit.zones),
        confidence=round(evidence.confidence(verdict), 6),
        evidence=round(evidence.margin(verdict), 4),
        readings=evidence.readings,
    )


def _face(sighting: Sighting, frame: Frame) -> tuple[Box, float]:
    """Return the face's box relative to the picture, and its height in pixels."""
    box = sighting.detection.box
    return frame.relative(box), round(box.height, 1)
