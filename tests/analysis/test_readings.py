"""A face is read as often as it can tell something new."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from maskwatch.analysis.evidence import Evidence, EvidenceLimits
from maskwatch.analysis.face_confidence import FaceConfidence
from maskwatch.analysis.metrics import PipelineMetrics
from maskwatch.analysis.own_motion import MotionEvidence
from maskwatch.analysis.readings import MaskReader
from maskwatch.analysis.trail import Sight, Trail
from maskwatch.analysis.visit import Sighting, Visit
from maskwatch.clock import SystemClock
from maskwatch.config.schema import CameraConfig, DecisionConfig
from maskwatch.domain import Verdict
from maskwatch.secrets import SecretUrl
from maskwatch.telemetry.meter import Meter
from maskwatch.tracking.track import Track
from maskwatch.vision.quality import Quality
from tests.fakes.vision import EPOCH, MASK, ScriptedClassifier, face, frame

_SHOWN, _ANOTHER = (
    np.random.default_rng(seed).uniform(0, 255, (48, 48)).astype(np.float32) for seed in (1, 2)
)


class _OneFace:
    """One face that is read at five frames a second."""

    def __init__(self) -> None:
        decision = DecisionConfig()
        camera = CameraConfig(name="door", url=SecretUrl("clip.mp4"))
        self.classifier = ScriptedClassifier()
        metrics = PipelineMetrics(Meter(), camera, "scripted")
        clock = SystemClock()
        self._reader = MaskReader(self.classifier, decision.correlation_time, metrics, clock)
        sight = Sight(face(100, 100).box, 0.0)
        self.visit = Visit(
            number=1,
            evidence=Evidence(EvidenceLimits(decision), self.classifier.prior),
            face_confidence=FaceConfidence(decision.correlation_time),
            motion=MotionEvidence(decision.still_after),
            first_seen=EPOCH,
            first_moment=0.0,
            last_seen=EPOCH,
            trail=Trail(sight, sight),
        )
        self._track = Track(1, face(100, 100), 0.0)
        self._frames = 0

    def shows(self, crop: np.ndarray, frames: int) -> list[float]:
        """Return the moments at which it was read."""
        read = []
        for _ in range(frames):
            before, moment = len(self.classifier.read), self._frames / 5
            quality = Quality(None, 1.0, 1.0, facing=True, crop=crop)
            sighting = Sighting(self._track, self.visit, face(100, 100), quality)
            self._reader.read([sighting], frame(self._frames, moment))
            self._frames += 1
            read += [moment] * (len(self.classifier.read) - before)
        return read


def test_an_undecided_face_is_read_in_every_frame_and_a_decided_one_seldom() -> None:
    one = _OneFace()
    read = one.shows(_SHOWN, 30)
    assert one.visit.verdict is Verdict.NO_MASK
    decided_at = next(i for i, (a, b) in enumerate(pairwise(read)) if b - a > 0.3)
    assert read[: decided_at + 1] == [index / 5 for index in range(decided_at + 1)]
    assert np.diff(read[decided_at:]) == pytest.approx(1.6)


def test_a_decided_face_that_looks_otherwise_is_read_at_once() -> None:
    one = _OneFace()
    last = one.shows(_SHOWN, 14)[-1]
    assert one.shows(_ANOTHER, 1) == [pytest.approx(2.8)]
    assert 2.8 - last < 1.5


def test_a_face_in_doubt_is_read_in_every_frame() -> None:
    one = _OneFace()
    one.shows(_SHOWN, 14)
    one.classifier.logits_for = lambda _: MASK
    begun = one.shows(_ANOTHER, 1)
    assert begun
    assert one.visit.wavering
    assert len(one.shows(_ANOTHER, 2)) == 2
