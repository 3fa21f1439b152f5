"""From a frame to changes of violations: motion, faces, tracks, quality, masks, evidence, policy.

Pure of I/O, deterministic, single-threaded: the daemon's worker and `maskwatch replay` run this
very code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from maskwatch.analysis.evidence import Evidence, EvidenceLimits
from maskwatch.analysis.face_confidence import FaceEvidence
from maskwatch.analysis.liveness import LivenessMonitor
from maskwatch.analysis.metrics import PipelineMetrics
from maskwatch.analysis.occupancy import Occupancy
from maskwatch.analysis.own_motion import Liveness, MotionEvidence
from maskwatch.analysis.policy import Action, Policy
from maskwatch.analysis.results import FrameResult, TrackView, beginning, sight_of, view_of
from maskwatch.analysis.snapshots import Snapshots, faces_to_cover
from maskwatch.analysis.violation_lifecycle import ViolationLifecycle
from maskwatch.analysis.visit import Visit
from maskwatch.analysis.zones import ZoneMap
from maskwatch.clock import Clock, SystemClock
from maskwatch.config.schema import CameraConfig
from maskwatch.domain import (
    Box,
    CloseReason,
    Detection,
    Frame,
    IdSource,
    MaskLogits,
    Reading,
    Verdict,
)
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from maskwatch.tracking.track import Track
from maskwatch.tracking.tracker import Tracker
from maskwatch.vision.motion import MotionGate
from maskwatch.vision.quality import Quality, QualityGate

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["FaceDetectorProtocol", "MaskClassifierProtocol", "Pipeline"]


class FaceDetectorProtocol(Protocol):
    """Finds faces; `FaceDetector` with a score of `ANONYMIZE_SCORE` in the product."""

    def detect(self, image: Image) -> list[Detection]:
        """Return the faces in uint8 BGR (height, width, 3), in pixels of it."""
        ...


class MaskClassifierProtocol(Protocol):
    """Reads masks; `MaskClassifier` in the product."""

    @property
    def id(self) -> str:
        """The model's name, for violations."""
        ...

    @property
    def prior(self) -> MaskLogits:
        """Logarithms of the training shares."""
        ...

    def classify(self, image: Image, detections: Sequence[Detection], /) -> list[Reading]:
        """Return one reading for each detection (pixels of `image`, uint8 BGR)."""
        ...


_MOST_READINGS = 6  # per frame: a crowd is read in turn
_REREAD = 0.9  # of the correlation time, before a decided face is read again


@dataclass(slots=True)
class _Seen:
    """One track that this frame matched."""

    track: Track
    visit: Visit
    detection: Detection
    quality: Quality


class Pipeline:
    """The analysis of one camera.

    Args:
        camera: what to ask for.
        detector: finds faces in the analysed picture.
        classifier: reads masks in the full picture.
        ids: gives the violations' ids.
        meter: counts.
        clock: measures durations for the meter; no decision depends on it.
        gated: whether the motion gate spares the detector; without it every frame is looked at.

    """

    def __init__(
        self,
        camera: CameraConfig,
        *,
        detector: FaceDetectorProtocol,
        classifier: MaskClassifierProtocol,
        ids: IdSource,
        meter: Meter,
        clock: Clock | None = None,
        gated: bool = True,
    ) -> None:
        decision = camera.decision
        self._camera, self._ids = camera, ids
        self._detector, self._classifier = detector, classifier
        self._clock = clock or SystemClock()
        self._tally = PipelineMetrics(meter, camera, classifier.id)
        self._gate, self._gated = MotionGate(), gated
        self._tracker = Tracker(camera.detector_score, decision.reassociate)
        self._quality = QualityGate(camera.smallest_face, camera.detector_score)
        self._limits = EvidenceLimits.of(decision)
        self._zones = ZoneMap(camera)
        self._policy = Policy(decision)
        self._occupancy = Occupancy(camera.name)
        self._snapshots = Snapshots(camera, self._zones.private)
        self._visits: dict[int, Visit] = {}
        self._life_signs = LivenessMonitor()
        self._found: list[Detection] = []

    def process(self, frame: Frame) -> FrameResult:
        """Take in one sampled frame; return what it led to."""
        outcome = FrameResult()
        awake = not self._gated or any(self._keeps_awake(track) for track in self._tracker.tracks)
        if not self._gate.look(frame.image, frame.moment, awake=awake):
            self._tally.frame("gated")
            self._tracker.rest(frame.moment)
            outcome.minutes += self._occupancy.count({}, frame.captured_at)
            return outcome
        self._tally.frame("analysed")
        outcome.looked, outcome.detections = True, self._detect(frame)
        wanted = [d for d in outcome.detections if self._zones.looked_at(_relative(d, frame).centre)]
        ended = self._tracker.update(wanted, frame.moment)
        self._end(ended, outcome, frame.moment)
        self._life_signs.look(frame, [t.box.scaled(1 / frame.scale) for t in self._tracker.tracks])
        seen = [self._meet(track, frame) for track in self._tracker.tracks if track.detection]
        self._read(seen, frame)
        for one in seen:
            self._decide(one, frame, outcome)
        self._count(frame.captured_at, outcome)
        outcome.tracks = [self._view(track, frame.moment) for track in self._people()]
        return outcome

    def idle(self, at: datetime, moment: float) -> FrameResult:
        """Let time pass without a frame: who is not seen for long enough has left."""
        outcome = FrameResult()
        self._end(self._tracker.expire(moment), outcome, moment)
        self._count(at, outcome)
        return outcome

    def close(self, at: datetime, reason: CloseReason = CloseReason.INTERRUPTED) -> FrameResult:
        """End everything that is open, `at` (UTC) at the earliest; the pipeline starts anew."""
        outcome = FrameResult()
        for visit in self._visits.values():
            self._close(visit, at, reason, outcome, moment=visit.first_moment)
            self._tally.person(visit)
        outcome.minutes = self._occupancy.close()
        self._visits.clear()
        self._life_signs = LivenessMonitor()
        self._tracker.tracks = []
        self._tally.present(0, 0)
        return outcome

    def snapshot(self, frame: Frame) -> bytes | None:
        """Return the frame that was processed last as an anonymized JPEG.

        Faces are looked for anew, since the motion gate may have spared this frame.
        """
        found = [d.scaled(frame.scale) for d in self._detector.detect(frame.image)]
        people = [track.detection.box for track in self._people() if track.detection]
        return self._snapshots.whole(frame, people, faces_to_cover(self._tracker.tracks, found))

    # --- steps of one frame -----------------------------------------------------------------------

    def _detect(self, frame: Frame) -> list[Detection]:
        began = self._clock.monotonic()
        found = [d.scaled(frame.scale) for d in self._detector.detect(frame.image)]
        self._tally.took(catalogue.DETECT_SECONDS, self._clock.monotonic() - began)
        sure = sum(d.score >= self._camera.detector_score for d in found)
        self._tally.faces(sure)
        self._found = found
        return found

    def _meet(self, track: Track, frame: Frame) -> _Seen:
        """Bring the track's visit up to date with this frame's detection."""
        detection = track.detection
        assert detection is not None
        visit = self._visits.get(track.number) or self._welcome(track, frame)
        visit.last_seen = max(frame.captured_at, visit.last_seen)
        visit.reading = None
        middle = _relative(detection, frame).centre
        visit.enter(self._zones.place(middle, frame.captured_at), frame.moment)
        on_analysed = detection.scaled(1 / frame.scale)
        self._judge_motion(visit, on_analysed.box, frame)
        quality = self._quality.measure(frame.image, on_analysed, frame.scale)
        visit.face.see(detection.score, frame.moment)
        visit.faced = visit.faced or quality.facing
        return _Seen(track, visit, detection, quality)

    def _welcome(self, track: Track, frame: Frame) -> Visit:
        visit = Visit(
            number=track.number,
            evidence=self._no_evidence(),
            face=FaceEvidence(self._limits.correlation_time),
            motion=MotionEvidence(self._camera.decision.still_after),
            first_seen=frame.captured_at,
            first_moment=frame.moment,
            last_seen=frame.captured_at,
        )
        self._visits[track.number] = visit
        return visit

    def _judge_motion(self, visit: Visit, box: Box, frame: Frame) -> None:
        """Find out whether the face is alive; `box` in pixels of the analysed picture."""
        was = visit.motion.liveness
        others = [
            t.box.scaled(1 / frame.scale) for t in self._tracker.tracks if t.number != visit.number
        ]
        now = self._life_signs.see(visit, box, frame, self._gate.shift, others)
        if was is Liveness.STILL and now is Liveness.ALIVE:
            # Perhaps the track of a poster went over to somebody who passed: what was read of the
            # poster says nothing about them.
            visit.evidence = self._no_evidence()

    def _no_evidence(self) -> Evidence:
        return Evidence(self._limits, self._classifier.prior)

    def _read(self, seen: Sequence[_Seen], frame: Frame) -> None:
        """Classify the faces that pass the gate and are due, those with the greatest need first."""
        due = [one for one in seen if self._due(one, frame.moment)]
        due.sort(key=lambda one: (one.visit.verdict is not Verdict.UNKNOWN, _read_at(one.visit)))
        chosen = due[:_MOST_READINGS]
        if not chosen:
            return
        began = self._clock.monotonic()
        picture = frame.image if frame.size == frame.full_size else frame.full()
        readings = self._classifier.classify(picture, [one.detection for one in chosen])
        self._tally.took(catalogue.CLASSIFY_SECONDS, self._clock.monotonic() - began)
        for one, reading in zip(chosen, readings, strict=True):
            self._vote(one.visit, reading, frame)

    def _due(self, one: _Seen, moment: float) -> bool:
        """Return whether the face is to be classified now; count and note why not."""
        visit, gate = one.visit, one.quality.gate
        if gate is not None:
            visit.gates[gate] += 1
            visit.reading = Reading(None, gate)
            self._tally.reading(gate.value)
            return False
        if visit.motion.liveness is Liveness.STILL or visit.on_poster:
            return False
        if visit.verdict is Verdict.UNKNOWN or visit.read_moment is None or visit.doubtful:
            return True
        return moment - visit.read_moment >= _REREAD * self._limits.correlation_time

    def _vote(self, visit: Visit, reading: Reading, frame: Frame) -> None:
        """Let a reading of this frame's own detection count."""
        visit.reading, visit.read_moment = reading, frame.moment
        if reading.logits is None:  # the classifier would not say: counted, never a vote
            return
        self._tally.reading("classified")
        undecided = visit.verdict is Verdict.UNKNOWN
        if visit.evidence.vote(reading.logits, frame.moment) is not Verdict.UNKNOWN and undecided:
            visit.decided_moment = frame.moment
            self._tally.took(catalogue.DECISION_SECONDS, frame.moment - visit.first_moment)
            waited = (self._clock.now() - frame.captured_at).total_seconds()
            self._tally.took(catalogue.CAPTURE_TO_VERDICT_SECONDS, max(0.0, waited))

    def _decide(self, one: _Seen, frame: Frame, outcome: FrameResult) -> None:
        visit = one.visit
        if not self._tracker.confirmed(one.track):
            return
        match self._policy.step(visit, frame.moment):
            case Action.OPEN:
                self._open(one, frame, outcome)
            case Action.HOLD:
                self._hold(one, frame, outcome)
            case Action.CLOSE:
                at = frame.captured_at
                self._close(visit, at, CloseReason.MASKED, outcome, moment=frame.moment)
            case Action.NOTHING:
                pass

    def _open(self, one: _Seen, frame: Frame, outcome: FrameResult) -> None:
        visit, at = one.visit, frame.captured_at
        violation = beginning(self._ids.next(at), self._camera.name, self._classifier.id, visit, at)
        violation = replace(
            violation,
            box=_relative(one.detection, frame),
            face_height=round(one.detection.box.height, 1),
        )
        visit.life = ViolationLifecycle(violation, self._camera.decision.cooldown)
        self._offer(one, frame)
        change = visit.life.begin(frame.moment)
        outcome.changes.append((change, self._snapshots.take(visit)))
        self._tally.violation(visit)

    def _hold(self, one: _Seen, frame: Frame, outcome: FrameResult) -> None:
        life = one.visit.life
        assert life is not None
        life.see(sight_of(one.visit))
        if one.quality.gate is None and self._offer(one, frame):
            life.show(_relative(one.detection, frame), round(one.detection.box.height, 1))
        held = life.held
        change = life.update(frame.captured_at, frame.moment)
        self._tally.held(life.held - held)
        if change is not None:
            outcome.changes.append((change, self._snapshots.take(one.visit)))

    def _offer(self, one: _Seen, frame: Frame) -> bool:
        worth = one.quality.worth(one.detection)
        faces = faces_to_cover(self._tracker.tracks, self._found)
        return self._snapshots.offer(one.visit, worth, frame, faces)

    # --- ends and counts --------------------------------------------------------------------------

    def _end(self, ended: Sequence[Track], outcome: FrameResult, moment: float) -> None:
        for track in ended:
            visit = self._visits.pop(track.number, None)
            self._life_signs.forget(track.number)
            if visit is not None and self._tracker.confirmed(track):
                self._close(visit, visit.last_seen, CloseReason.LEFT, outcome, moment=moment)
                self._tally.person(visit)

    def _close(
        self, visit: Visit, at: datetime, reason: CloseReason, outcome: FrameResult, *, moment: float
    ) -> None:
        if visit.life is not None and visit.life.open:
            change = visit.life.close(at, reason, moment)
            outcome.changes.append((change, self._snapshots.take(visit)))
            self._snapshots.forget(visit)

    def _view(self, track: Track, moment: float) -> TrackView:
        visit = self._visits[track.number]
        return view_of(track, visit, self._policy.obstacle(visit, moment))

    def _count(self, at: datetime, outcome: FrameResult) -> None:
        visits = [self._visits[track.number] for track in self._people()]
        alive = [visit for visit in visits if visit.motion.alive]
        people = {visit.number: (visit.place.zone, visit.verdict) for visit in alive}
        outcome.minutes += self._occupancy.count(people, at)
        self._tally.present(len(alive), sum(visit.violating for visit in visits))

    def _people(self) -> list[Track]:
        tracks = self._tracker.tracks
        return [t for t in tracks if self._tracker.confirmed(t) and t.number in self._visits]

    def _keeps_awake(self, track: Track) -> bool:
        visit = self._visits.get(track.number)
        return visit is None or visit.motion.liveness is not Liveness.STILL


def _read_at(visit: Visit) -> float:
    return visit.read_moment if visit.read_moment is not None else float("-inf")


def _relative(detection: Detection, frame: Frame) -> Box:
    width, height = frame.full_size
    return detection.box.scaled(1 / width, 1 / height)
