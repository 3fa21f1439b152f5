"""From a frame to changes of violations: motion, faces, tracks, quality, masks, evidence, policy.

Without I/O, deterministic, single-threaded: the worker and `maskwatch replay` run this very code.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from maskwatch.analysis.evidence import Evidence, EvidenceLimits
from maskwatch.analysis.face_confidence import FaceConfidence
from maskwatch.analysis.liveness import LivenessMonitor
from maskwatch.analysis.metrics import PipelineMetrics
from maskwatch.analysis.occupancy import Occupancy
from maskwatch.analysis.own_motion import Liveness, MotionEvidence
from maskwatch.analysis.policy import Action, Policy
from maskwatch.analysis.readings import MaskClassifying, MaskReader
from maskwatch.analysis.results import FrameResult, track_view
from maskwatch.analysis.returning import LostPeople
from maskwatch.analysis.snapshots import CameraPictures, Faces, faces_to_cover
from maskwatch.analysis.trail import Sight, Trail
from maskwatch.analysis.violations import ViolationReporter
from maskwatch.analysis.visit import Sighting, Visit
from maskwatch.analysis.zones import ZoneMap
from maskwatch.clock import Clock, SystemClock
from maskwatch.config.schema import CameraConfig
from maskwatch.domain import Box, CloseReason, Detection, Frame, IdSource, Verdict
from maskwatch.privacy.anonymize import body_box
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from maskwatch.tracking.track import Track
from maskwatch.tracking.tracker import Tracker
from maskwatch.vision.attention import FaceSearching, KnownFace
from maskwatch.vision.motion import MotionGate
from maskwatch.vision.quality import QualityGate

_LATELY = 0.5  # s since the latest match of a face about which all is decided
_POSTER_AFTER = 0.5  # s for which a face was still, and not read, after which its readings are old


class Pipeline:
    """The analysis of one camera.

    Args:
        search: finds faces in the analysed picture.
        classifier: reads masks in the full picture.
        clock: measures durations for the metrics; no decision depends on it.
        gated: whether frames without motion are skipped.
    """

    def __init__(
        self,
        camera: CameraConfig,
        *,
        search: FaceSearching,
        classifier: MaskClassifying,
        ids: IdSource,
        meter: Meter,
        clock: Clock | None = None,
        gated: bool = True,
    ) -> None:
        decision = camera.decision
        self._camera, self._prior = camera, classifier.prior
        self._search, self._gated = search, gated
        self._clock = clock or SystemClock()
        self._metrics = PipelineMetrics(meter, camera, classifier.id)
        self._motion_gate = MotionGate()
        self._tracker = Tracker(camera.detector_score, decision.reassociate)
        self._quality_gate = QualityGate(camera.smallest_face, camera.detector_score)
        self._limits = EvidenceLimits(decision)
        self._zones = ZoneMap(camera)
        self._policy = Policy(decision)
        self._occupancy = Occupancy(camera.name)
        self._pictures = CameraPictures(camera, self._zones.private)
        self._liveness = LivenessMonitor(self._motion_gate.measure_shift)
        self._reader = MaskReader(classifier, decision.correlation_time, self._metrics, self._clock)
        self._reporter = ViolationReporter(camera, classifier.id, ids, self._pictures, self._metrics)
        self._visits: dict[int, Visit] = {}
        self._lost = LostPeople(decision.reassociate)

    def process(self, frame: Frame) -> FrameResult:
        """Analyse one sampled frame; return what it led to."""
        result = FrameResult(analysed=self._passes_gate(frame))
        if not result.analysed:
            self._tracker.pause(frame.moment)
            result.minutes += self._occupancy.count({}, frame.captured_at)
            return result
        result.detections = self._detect(frame)
        self._track(frame, result)
        sightings = [self._sight(track, frame) for track in self._tracker.tracks if track.detection]
        _note_company(sightings)
        self._reader.read(sightings, frame)
        for sighting in sightings:
            self._decide(sighting, frame, result)
        self._count_people(frame.captured_at, result)
        for track in self._confirmed_tracks():
            visit = self._visits[track.number]
            obstacle = self._policy.obstacle(visit, frame.moment)
            result.tracks.append(track_view(track, visit, obstacle))
        return result

    def idle(self, at: datetime, moment: float) -> FrameResult:
        """Let time pass to `at` (UTC), `moment` (s), without a frame; who is unseen for long left."""
        result = FrameResult()
        self._end_visits(self._tracker.expire(moment), result, moment)
        self._count_people(at, result)
        return result

    def close(self, at: datetime) -> FrameResult:
        """Interrupt everything that is open, `at` (UTC) at the earliest; the pipeline is then as new."""
        result = FrameResult()
        for visit in self._visits.values():
            interrupted = CloseReason.INTERRUPTED
            result.changes += self._reporter.close(visit, at, interrupted, visit.first_moment)
            self._metrics.visit_ended(visit)
        result.minutes = self._occupancy.close()
        for visit in self._lost.clear():
            self._leave(visit, result, visit.trail.last.moment)
        self._visits.clear()
        self._liveness = LivenessMonitor(self._motion_gate.measure_shift)
        self._tracker.tracks = []
        self._metrics.present(0, 0)
        return result

    def snapshot(self, frame: Frame) -> bytes | None:
        """Return the frame that was processed last as an anonymized JPEG; None if encoding fails.

        Faces are detected again, since the motion gate may have skipped this frame.
        """
        people = [track.detection.box for track in self._confirmed_tracks() if track.detection]
        faces = faces_to_cover(self._tracker.tracks, self._faces_on(people, frame))
        return self._pictures.snapshot(frame, people, faces)

    # --- steps of one frame -----------------------------------------------------------------------

    def _passes_gate(self, frame: Frame) -> bool:
        person_in_view = any(self._may_be_person(track) for track in self._tracker.tracks)
        awake = not self._gated or person_in_view
        passes = self._motion_gate.admit(frame.luma, frame.moment, awake=awake)
        self._metrics.frame("analysed" if passes else "gated")
        return passes

    def _may_be_person(self, track: Track) -> bool:
        visit = self._visits.get(track.number)
        return visit is None or not visit.still

    def _detect(self, frame: Frame) -> list[Detection]:
        began = self._clock.monotonic()
        known = [self._known_face(track, frame) for track in self._tracker.predict(frame.moment)]
        detections = [found.scaled(frame.scale) for found in self._search.find(frame, known)]
        self._metrics.duration(catalogue.DETECT_SECONDS, self._clock.monotonic() - began)
        self._metrics.faces(sum(d.score >= self._camera.detector_score for d in detections))
        return detections

    def _known_face(self, track: Track, frame: Frame) -> KnownFace:
        visit = self._visits.get(track.number)
        unseen = frame.moment - track.last_moment
        return KnownFace(
            box=track.box.scaled(1 / frame.scale),
            settled=visit is not None and unseen < _LATELY and self._is_settled(visit),
            still=visit is not None and visit.still,
            unseen=unseen,
        )

    def _is_settled(self, visit: Visit) -> bool:
        """Return whether nothing about a visit is undecided."""
        if visit.verdict is Verdict.UNKNOWN or visit.wavering or not visit.motion.alive:
            return False
        return visit.violating or not self._policy.is_violation(visit.verdict)

    def _faces_on(self, people: Sequence[Box], frame: Frame) -> list[Detection]:
        """Return the faces on the bodies of people, of whom the faces are given; in full pixels."""
        bodies = [body_box(face).scaled(1 / frame.scale) for face in people]
        return [found.scaled(frame.scale) for found in self._search.find_in(frame, bodies)]

    def _track(self, frame: Frame, result: FrameResult) -> None:
        """Match the detections to tracks, and end the visits whose tracks ended."""
        self._lost.resize(frame.full_size)
        analysed = [d for d in result.detections if self._zones.analysed(frame.relative(d.box).centre)]
        ended = self._tracker.update(analysed, frame.moment)
        self._end_visits(ended, result, frame.moment)
        self._liveness.follow_camera(frame, self._boxes_of(self._tracker.tracks, frame))

    def _sight(self, track: Track, frame: Frame) -> Sighting:
        detection = track.detection
        assert detection is not None
        visit = self._visits.get(track.number) or self._begin_visit(track, frame)
        visit.last_seen = max(frame.captured_at, visit.last_seen)
        visit.trail.see(Sight(detection.box, track.last_moment), track.velocity)
        visit.reading = None
        centre = frame.relative(detection.box).centre
        visit.enter(self._zones.state_at(centre, frame.captured_at), frame.moment)
        analysed = detection.scaled(1 / frame.scale)
        self._update_liveness(visit, analysed.box, frame)
        quality = self._quality_gate.measure(frame.luma, analysed, frame.scale)
        visit.face_confidence.observe(detection.score, frame.moment)
        visit.seen_frontal = visit.seen_frontal or quality.facing
        return Sighting(track, visit, detection, quality)

    def _begin_visit(self, track: Track, frame: Frame) -> Visit:
        sight = Sight(track.box, frame.moment)
        visit = Visit(
            number=track.number,
            evidence=self._no_evidence(),
            face_confidence=FaceConfidence(self._camera.decision.correlation_time),
            motion=MotionEvidence(self._camera.decision.still_after),
            first_seen=frame.captured_at,
            first_moment=frame.moment,
            last_seen=frame.captured_at,
            trail=Trail(sight, sight),
        )
        self._visits[track.number] = visit
        return visit

    def _update_liveness(self, visit: Visit, box: Box, frame: Frame) -> None:
        """Add the sighting to the visit's evidence of life; `box` in pixels of the analysed picture."""
        was_poster = visit.still and visit.motion.still_for >= _POSTER_AFTER
        others = [track for track in self._tracker.tracks if track.number != visit.number]
        liveness = self._liveness.observe(visit, box, frame, self._boxes_of(others, frame))
        if was_poster and liveness is Liveness.ALIVE:
            # The track may have moved from a poster to a passer-by: the poster's readings do not count.
            visit.evidence = self._no_evidence()

    def _no_evidence(self) -> Evidence:
        return Evidence(self._limits, self._prior)

    @staticmethod
    def _boxes_of(tracks: Sequence[Track], frame: Frame) -> list[Box]:
        """Return the tracks' boxes in pixels of the analysed picture."""
        return [track.box.scaled(1 / frame.scale) for track in tracks]

    def _decide(self, sighting: Sighting, frame: Frame, result: FrameResult) -> None:
        """Apply the policy to a confirmed track."""
        if not self._tracker.confirmed(sighting.track):
            return
        faces = Faces(
            faces_to_cover(self._tracker.tracks, result.detections),
            missed=partial(self._missed_faces, sighting.detection.box, frame),
        )
        action = self._policy.decide(sighting.visit, frame.moment)
        if action is Action.OPEN:
            action = self._known(sighting.visit)
        match action:
            case Action.OPEN:
                result.changes += self._reporter.open(sighting, frame, faces)
            case Action.UPDATE:
                result.changes += self._reporter.update(sighting, frame, faces)
            case Action.CLOSE:
                result.changes += self._reporter.close(
                    sighting.visit, frame.captured_at, CloseReason.MASKED, frame.moment
                )
            case Action.NOTHING:
                pass

    def _missed_faces(self, subject: Box, frame: Frame) -> list[Box]:
        """Return the faces on the subject's body, if the search may not have seen all of it."""
        if self._search.complete:
            return []
        return [found.box for found in self._faces_on([subject], frame)]

    def _known(self, visit: Visit) -> Action:
        """Return what to do about a face that may be that of a person who is reported already."""
        in_view = [self._visits[track.number] for track in self._confirmed_tracks()]
        reported = [one for one in in_view if one.violating]
        if any(one.trail.shares_face(visit.trail) for one in reported):
            return Action.NOTHING
        person = self._lost.find(visit, in_view)
        if person is None:
            return Action.OPEN
        self._reporter.hand_over(visit, person)
        self._lost.take(person)
        self._visits.pop(person.number, None)
        self._forget(person.number)
        self._liveness.forget(person.number)
        self._tracker.drop(person.number)
        return Action.UPDATE

    # --- ends and counts --------------------------------------------------------------------------

    def _end_visits(self, ended: Sequence[Track], result: FrameResult, moment: float) -> None:
        """End the visits of tracks that ended; people with an open violation are awaited for longer."""
        for track in ended:
            visit = self._visits.pop(track.number, None)
            self._liveness.forget(track.number)
            if visit is not None and visit.violating:
                self._lost.add(visit)
                continue
            self._forget(track.number)
            if visit is not None and self._tracker.confirmed(track):
                self._metrics.visit_ended(visit)
        for visit in self._lost.give_up(moment):
            self._leave(visit, result, moment)

    def _leave(self, visit: Visit, result: FrameResult, moment: float) -> None:
        self._forget(visit.number)
        result.changes += self._reporter.close(visit, visit.last_seen, CloseReason.LEFT, moment)
        self._metrics.visit_ended(visit)

    def _forget(self, number: int) -> None:
        self._lost.forget(number)
        for visit in self._visits.values():
            visit.trail.beside.discard(number)

    def _count_people(self, at: datetime, result: FrameResult) -> None:
        visits = [self._visits[track.number] for track in self._confirmed_tracks()]
        alive = [visit for visit in visits if visit.motion.alive]
        people = {visit.number: (visit.zone.name, visit.verdict) for visit in alive}
        result.minutes += self._occupancy.count(people, at)
        self._metrics.present(len(alive), sum(visit.violating for visit in visits))

    def _confirmed_tracks(self) -> list[Track]:
        tracks = self._tracker.tracks
        return [t for t in tracks if self._tracker.confirmed(t) and t.number in self._visits]


def _note_company(sightings: Sequence[Sighting]) -> None:
    """Note which faces were seen in one frame: these are of different people."""
    for one in sightings:
        others = (other.visit for other in sightings if other is not one)
        apart = (other.number for other in others if not other.trail.shares_face(one.visit.trail))
        one.visit.trail.beside.update(apart)
